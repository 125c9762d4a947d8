"""Reconstruct several sets of particles one after another, and sum up their verdicts.

usage: python batch.py OUTPUT MASK_DIAMETER ITERATIONS first.star second.star ...
"""

import json
import sys
from pathlib import Path

from napari_ini3d import Ini3dError, InitialModelSettings, start_run

output = Path(sys.argv[1])
settings = InitialModelSettings(mask_diameter=float(sys.argv[2]), iterations=int(sys.argv[3]))
for path in map(Path, sys.argv[4:]):
    folder = output / path.parent.name
    try:
        for _ in start_run(path, folder, settings):
            pass
    except Ini3dError as error:  # says what was found, what was expected, and what to do
        print(f"{path}: {error}")
        continue
    found = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    print(f"{path}: {found['verdict']}", *found["reasons"], sep="; ")
