"""Run from Python, and watch every iteration.

usage: python run_and_watch.py particles.star FOLDER MASK_DIAMETER [ITERATIONS]
"""

import sys
from pathlib import Path

from napari_ini3d import InitialModelSettings, start_run

particles, folder = Path(sys.argv[1]), Path(sys.argv[2])
iterations = int(sys.argv[4]) if len(sys.argv) > 4 else 300
settings = InitialModelSettings(
    mask_diameter=float(sys.argv[3]), iterations=iterations, threads=2, seed=1
)

# The iterator computes; whoever does not ask for the next report pauses the run.
for report in start_run(particles, folder, settings):
    print(
        f"{report.iteration:3d} {report.phase:7s} {report.resolution.min():5.1f} Å", report.message
    )
    # report.volumes are the maps (K, z, y, x), report.assignments the poses so far
print(f"Map: {folder / 'initial_model.mrc'}; page: {folder / 'report.html'}")
