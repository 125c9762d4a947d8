"""Compare the poses of the same particles in two files, after the best common rotation.

usage: python compare_poses.py first.star second.star [GROUP]
"""

import sys

import numpy as np

from napari_ini3d.comparison import compare_poses, describe_poses
from napari_ini3d.io import read_poses

group = sys.argv[3] if len(sys.argv) > 3 else "C1"
found = compare_poses(read_poses(sys.argv[1]), read_poses(sys.argv[2]), symmetry=group)
print("\n".join(describe_poses(found)))
for name in ("angle", "out_of_plane", "shift"):
    values = getattr(found, name)
    print(f"{name}: mean {values.mean():.2f}, median {np.median(values):.2f}")
