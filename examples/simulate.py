"""Simulate particles of a D2 tetramer with junk among them, and the truth beside them.

usage: python simulate.py FOLDER [NUMBER]
"""

import sys
from pathlib import Path

from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

folder = Path(sys.argv[1])
number = int(sys.argv[2]) if len(sys.argv) > 2 else 800

phantom = make_phantom("D2", diameter=120.0)
settings = SimulationSettings(number=number, box_size=32, pixel_size=6.0, snr=0.4, junk=0.1)
star = write_dataset(folder, simulate_particles(phantom, settings), phantom)
print(f"{star}; the true map is {folder / 'truth.mrc'}, the true poses are in truth.star")
