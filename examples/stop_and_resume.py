"""Stop a run at a resolution, write what there is, and resume it later.

usage: python stop_and_resume.py particles.star FOLDER MASK_DIAMETER RESOLUTION [ITERATIONS]
"""

import sys
from pathlib import Path

from napari_ini3d import InitialModelSettings, resume_run, start_run

particles, folder, wanted = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[4])
iterations = int(sys.argv[5]) if len(sys.argv) > 5 else 300
settings = InitialModelSettings(mask_diameter=float(sys.argv[3]), iterations=iterations)

resolutions = [float("inf")]
for report in start_run(particles, folder, settings, stop=lambda: resolutions[-1] <= wanted):
    resolutions.append(float(report.resolution.min()))
maps = sorted(path.name for path in folder.glob("run_it*_class*.mrc"))
print(f"Stopped after iteration {len(resolutions) - 1}; maps: {', '.join(maps)}")

for report in resume_run(folder):  # the same result, bit for bit, as without the stop
    resolutions.append(float(report.resolution.min()))
print(f"Finished at iteration {len(resolutions) - 1}: {resolutions[-1]:.1f} Å")
