"""Write particles in all asymmetric units of a point group, and back in one.

The poses are those of a map on RELION's axes of the group (particles_aligned.star of a run).

usage: python expand_and_fold.py aligned.star GROUP expanded.star folded.star
"""

import sys

from napari_ini3d import expand_particles, fold_particles

source, group, expanded, folded = sys.argv[1:5]
print(f"{expand_particles(source, expanded, group)} poses in {expanded}")
fold_particles(expanded, folded, group)
print(f"{folded}: every pose in the same asymmetric unit")
