"""Find the point group of a map, and its axes.

usage: python map_symmetry.py map.mrc [axes.png]
"""

import sys
from pathlib import Path

from napari_ini3d import detect_symmetry, read_map
from napari_ini3d.report import draw_report, save_png

found = read_map(sys.argv[1])
report = detect_symmetry(found.data, voxel_size=found.voxel_size)
print(report.verdict)
for candidate in report.candidates:
    print(f"{candidate.group:4s} score {candidate.score:6.3f}  FSC 0.5 at {candidate.fsc05:.1f} Å")
for axis in next((c.axes for c in report.candidates if c.group == report.group), ()):
    print(f"{axis.order}-fold axis along {axis.direction}")
if len(sys.argv) > 2:
    save_png(draw_report(report, found.data), Path(sys.argv[2]))
