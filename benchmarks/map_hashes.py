"""Hashes of the maps of run folders, to show that a change of the code changes no bit.

    python benchmarks/map_hashes.py RUN_FOLDER ... > before.txt

Prints one line per map: the SHA-256 of its voxels, the run folder and the file. Headers, which
contain labels and dates, are ignored.
"""

import hashlib
import sys
from pathlib import Path

import mrcfile
import numpy as np


def hash_voxels(path: Path) -> str:
    with mrcfile.open(path, permissive=True) as mrc:
        return hashlib.sha256(np.ascontiguousarray(mrc.data, np.float32).tobytes()).hexdigest()


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        for path in sorted(folder.glob("*.mrc")):
            print(hash_voxels(path), folder.name, path.name)


if __name__ == "__main__":
    main()
