"""Align the axes of a map to RELION's, impose the point group, and say how well it holds.

usage: python align_and_impose.py map.mrc GROUP aligned.mrc imposed.mrc
"""

import sys

from napari_ini3d import align_symmetry, impose_symmetry, read_map, validate_symmetry, write_map

group = sys.argv[2]
found = read_map(sys.argv[1])
alignment = align_symmetry(found.data, group, voxel_size=found.voxel_size)
print(alignment.verdict)
if not alignment.holds:
    sys.exit(4)  # as `ini3d symmetry align` does

aligned = alignment.apply(found.data)
write_map(sys.argv[3], aligned, found.voxel_size)
print(validate_symmetry(aligned, group, voxel_size=found.voxel_size).verdict)
write_map(sys.argv[4], impose_symmetry(aligned, group), found.voxel_size)
