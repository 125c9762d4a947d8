"""Write the particles of a run that are no junk, and the junk, micrograph by micrograph.

usage: python select_without_junk.py RUN_FOLDER good.star junk.star [MAX_JUNK]
"""

import sys
from pathlib import Path

from napari_ini3d.runs import RunFolder, select_particles

folder = RunFolder.open(Path(sys.argv[1]))
max_junk = float(sys.argv[4]) if len(sys.argv) > 4 else 0.5
selection = select_particles(folder, max_junk=max_junk)
print(f"{selection.n_kept} particles stay, {selection.n_rejected} leave")
for group in selection.count_groups():
    print(f"  {group.name}: {group.kept} stay, {group.rejected} leave")
selection.write(Path(sys.argv[2]), kept=True)
if selection.n_rejected:
    selection.write(Path(sys.argv[3]), kept=False)
