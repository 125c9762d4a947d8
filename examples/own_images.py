"""Particles from NumPy: write a stack and a STAR file, and check them as a run would.

usage: python own_images.py images.npy PIXEL_SIZE FOLDER
"""

import sys
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import starfile

from napari_ini3d.preflight import check_particles

images = np.load(sys.argv[1])  # (N, n, n), protein white
pixel_size, folder = float(sys.argv[2]), Path(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)

with mrcfile.new(folder / "images.mrcs", images.astype(np.float32), overwrite=True) as stack:
    stack.set_image_stack()
    stack.voxel_size = pixel_size

optics = {
    "rlnOpticsGroup": 1,
    "rlnOpticsGroupName": "group1",
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    "rlnImagePixelSize": pixel_size,
    "rlnImageSize": images.shape[-1],
    "rlnImageDimensionality": 2,
}
rows = {
    "rlnImageName": [f"{i + 1:06d}@images.mrcs" for i in range(len(images))],
    "rlnOpticsGroup": 1,
    "rlnDefocusU": 15000.0,  # Å; yours, per particle. Without a CTF: `--no-ctf`
    "rlnDefocusV": 15000.0,
    "rlnDefocusAngle": 0.0,
}
tables = {"optics": pd.DataFrame([optics]), "particles": pd.DataFrame(rows)}
starfile.write(tables, folder / "particles.star")

report = check_particles(folder / "particles.star")
print(f"{report.n_particles} particles of {report.box_size} pixels; {report.contrast}")
for finding in report.findings:
    print(f"{finding.level}: {finding}")
sys.exit(0 if report.ok else 3)
