"""Benchmark of large boxes: models from particles in their own and in a smaller box.

usage: working_box.py OUTPUT.json FOLDER MASK_DIAMETER [--threads 1] [--iterations 300]
       [--symmetry C1] [--only working]

FOLDER contains particles.star and truth.mrc, as written by `ini3d simulate`. Each run is a separate
process, to measure its peak memory. Both maps are resampled to the smaller box and aligned to the
truth there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from napari_ini3d.comparison import compare_maps
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import read_map, read_particles
from napari_ini3d.jobs import run as run_module
from napari_ini3d.preflight import PixelGrid, choose_working_grid, particle_grid
from napari_ini3d.settings import InitialModelSettings

KIBIBYTES_PER_GIB = 2**20


def run(star: Path, folder: Path, settings: InitialModelSettings, *, own: bool) -> dict[str, Any]:
    """Do a whole run with its files; return its time, memory and resolution."""
    started = time.perf_counter()
    choice = (lambda grid, _: grid) if own else choose_working_grid
    with mock.patch.object(run_module, "choose_working_grid", choice):
        *_, report = run_module.start_run(star, folder, settings)
    return {
        "box_size": report.volumes.shape[-1],
        "voxel_size": round(report.voxel_size, 4),
        "iterations": report.iteration,
        "resolution_reported": round(float(report.resolution[0]), 2),
        "wall_s": round(time.perf_counter() - started, 1),
        "peak_rss_gib": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES_PER_GIB, 2
        ),
    }


def compare_with_truth(
    result: Path, truth: Path, grid: PixelGrid, mask_diameter: float
) -> dict[str, Any]:
    """Compare the result of a run with the truth, both in the smaller box."""
    maps = [read_map(path) for path in (truth, result)]
    first, second = (resize_map(each.data, grid.box_size) for each in maps)
    found = compare_maps(first, second, voxel_size=grid.pixel_size, mask_diameter=mask_diameter)
    curve = np.asarray(found.fsc)
    return {
        "result_box_size": len(maps[1].data),
        "fsc_0.5_angstrom": round(found.resolution_half, 2),
        "fsc_0.143_angstrom": round(found.resolution_0143, 2),
        "fsc": [round(float(value), 4) for value in curve],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--symmetry", default="C1")
    parser.add_argument("--only", choices=["own", "working"])
    options = parser.parse_args()
    settings = InitialModelSettings(
        mask_diameter=options.mask_diameter,
        threads=options.threads,
        iterations=options.iterations,
        symmetry=options.symmetry,
    )
    star = options.folder / "particles.star"
    particles, _ = read_particles(star)
    own = particle_grid(particles)
    grid = choose_working_grid(own, settings)
    result: dict[str, Any] = {
        "command": " ".join(["working_box.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "particles": len(particles),
        "own_grid": str(own),
        "working_grid": str(grid),
    }
    for way in [options.only] if options.only else ["working", "own"]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                taken = pool.apply(run, (star, folder, settings), {"own": way == "own"})
            found = compare_with_truth(
                folder / "initial_model.mrc",
                options.folder / "truth.mrc",
                grid,
                options.mask_diameter,
            )
        result[way] = taken | found
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
