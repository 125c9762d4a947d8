"""Compare two maps after the best rotation, shift and hand.

usage: python compare_maps.py first.mrc second.mrc [fsc.png]
"""

import sys
from pathlib import Path

from napari_ini3d import read_map
from napari_ini3d.comparison import compare_maps, describe_comparison
from napari_ini3d.report import draw_comparison, save_png

first, second = read_map(sys.argv[1]), read_map(sys.argv[2])
found = compare_maps(first.data, second.data, voxel_size=first.voxel_size)
print("\n".join(describe_comparison(found)))
print(f"Mean FSC to 20 Å: {found.mean_fsc(20.0):.3f}; other hand: {found.mirrored}")
if len(sys.argv) > 3:
    save_png(draw_comparison(found), Path(sys.argv[3]))
