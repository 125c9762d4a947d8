"""Simulate a large set of particles in several processes.

usage: make_large_set.py FOLDER --number 100000 --box-size 128 --pixel-size 2
                         [--snr 0.05] [--symmetry C1] [--diameter 120] [--processes 0] [--seed 1]

Each process simulates parts of at most 2,000 particles of one phantom, each with its own seed.
FOLDER/particles.star and FOLDER/truth.star name the images of all parts, and FOLDER/truth.mrc is
the phantom's map.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import starfile

from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

PART = 2000


def simulate_part(part: tuple[int, int], folder: Path, phantom: Any, options: Any) -> Path:
    """Simulate one part, (number, seed), in a folder of its own; return that folder."""
    number, seed = part
    settings = SimulationSettings(
        number=number,
        box_size=options.box_size,
        pixel_size=options.pixel_size,
        snr=options.snr,
        offset_sigma=options.offset,
        seed=seed,
    )
    target = folder / f"part{seed:05d}"
    write_dataset(target, simulate_particles(phantom, settings), phantom)
    return target


def combine(parts: list[Path], folder: Path, name: str) -> None:
    """Write one STAR file of all parts."""
    blocks = [starfile.read(part / name, always_dict=True) for part in parts]
    rows = []
    for part, block in zip(parts, blocks, strict=True):
        table = block["particles"]
        table["rlnImageName"] = table["rlnImageName"].str.replace("@", f"@{part.name}/", n=1)
        rows.append(table)
    together = {"optics": blocks[0]["optics"], "particles": pd.concat(rows)}
    starfile.write(together, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--box-size", type=int, required=True)
    parser.add_argument("--pixel-size", type=float, required=True)
    parser.add_argument("--snr", type=float, default=0.05)
    parser.add_argument("--offset", type=float, default=6.0)
    parser.add_argument("--symmetry", default="C1")
    parser.add_argument("--diameter", type=float, default=120.0)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    phantom = make_phantom(options.symmetry, diameter=options.diameter)
    sizes = [PART] * (options.number // PART) + [options.number % PART]
    jobs = [(size, options.seed + i) for i, size in enumerate(sizes) if size]
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    run = partial(simulate_part, folder=options.folder, phantom=phantom, options=options)
    # not forked: the threads of BLAS would not survive
    with multiprocessing.get_context("spawn").Pool(options.processes or os.cpu_count()) as pool:
        parts = pool.map(run, jobs, chunksize=1)
    for name in ("particles.star", "truth.star"):
        combine(parts, options.folder, name)
    shutil.copyfile(parts[0] / "truth.mrc", options.folder / "truth.mrc")


if __name__ == "__main__":
    main()
