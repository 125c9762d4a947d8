"""Whether `ini3d run --classes` tells two molecules apart, over many seeds.

usage: classes.py OUTPUT.json [--seeds 20] [--classes 2] [--junk 0] [--snr 0.05] [--data DIR]

The particles show one of two phantoms, 60 to 40. Of each run: the adjusted Rand index (Hubert &
Arabie, 1985) of its classes against the true ones, of the particles that are not junk, and for each
phantom the FSC 0.5 of the map that agrees with it best. Runs that are in OUTPUT.json are not
repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import starfile
from robustness import BOX_SIZE, MASK_MARGIN, PIXEL_SIZE, SNR_CIRCLE

from napari_ini3d.comparison import compare_maps
from napari_ini3d.io import read_map
from napari_ini3d.runs import RunFolder
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

DIAMETER, SEEDS_OF_PHANTOMS, OTHER_SHARE, NUMBER = 120.0, (3, 5), 0.4, 4000


def adjusted_rand_index(first: np.ndarray, second: np.ndarray) -> float:
    """Return how well two partitions (N,) agree: 1 for the same, 0 as by chance."""
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    together, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    chance = rows * columns / pairs(table.sum(keepdims=True))
    return (together - chance) / ((rows + columns) / 2 - chance)


def make_set(folder: Path, options: argparse.Namespace) -> None:
    """Simulate the particles, unless they are there, and write the true maps."""
    if (folder / "truth.star").exists():
        return
    first, second = (make_phantom("C1", seed=s, diameter=DIAMETER) for s in SEEDS_OF_PHANTOMS)
    settings = SimulationSettings(
        number=NUMBER,
        box_size=BOX_SIZE,
        pixel_size=PIXEL_SIZE,
        snr=options.snr,
        snr_diameter=SNR_CIRCLE * BOX_SIZE * PIXEL_SIZE,
        other_share=OTHER_SHARE,
        junk=options.junk,
        normalise=options.junk > 0,
        seed=1,
    )
    write_dataset(folder, simulate_particles(first, settings, other=second), first, other=second)


def run_once(folder: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Do one run, and compare its classes and maps with the truth."""
    mask = DIAMETER * MASK_MARGIN
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        command = [str(Path(sys.executable).with_name("ini3d")), "run", "particles.star"]
        command += ["--output", str(output), "--seed", str(seed), "--device", "cpu"]
        command += ["--classes", str(options.classes), "--mask-diameter", str(mask)]
        command += ["--threads", str(options.threads), "--no-independent-half-sets"]
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        wall = time.perf_counter() - started
        run = RunFolder.open(output)
        last = run.read_progress()[-1]["iteration"]
        found = starfile.read(run.iteration_path(last, "data.star"))["particles"]["rlnClassNumber"]
        maps = [
            read_map(run.class_map_path(last, k), allow_empty=True) for k in range(options.classes)
        ]
        truth = starfile.read(folder / "truth.star")["particles"]
        good = (truth["ini3dJunkKind"] == "none").to_numpy()
        resolution = [
            min(
                compare_maps(
                    read_map(folder / name).data,
                    volume.data,
                    voxel_size=PIXEL_SIZE,
                    mask_diameter=mask,
                    threads=options.threads,
                ).resolution_half
                for volume in maps
                if volume.data.any()
            )
            for name in ("truth.mrc", "truth_state2.mrc")
        ]
    index = adjusted_rand_index(truth["ini3dState"].to_numpy()[good], found.to_numpy()[good])
    return {
        "seed": seed,
        "adjusted_rand_index": round(index, 3),
        "fsc05": [round(value, 2) for value in resolution],
        "iterations": last,
        "wall_s": round(wall, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--junk", type=float, default=0.0, help="fraction of the images")
    parser.add_argument("--snr", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder to keep the particles in")
    options = parser.parse_args()
    key = f"K {options.classes}, SNR {options.snr:g}, junk {options.junk:g}"
    report = json.loads(options.output.read_text()) if options.output.exists() else {}
    runs = report.get(key, {}).get("runs", [])
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.data or Path(temporary)) / f"classes_{options.snr:g}_{options.junk:g}"
        make_set(folder, options)
        for seed in sorted(set(range(1, options.seeds + 1)) - {run["seed"] for run in runs}):
            runs.append(run_once(folder, seed, options))
            indices = [run["adjusted_rand_index"] for run in runs]
            report[key] = {
                "date": time.strftime("%Y-%m-%d"),
                "median": statistics.median(indices),
                "worst": min(indices),
                "share_above_0.8": round(sum(i >= 0.8 for i in indices) / len(indices), 3),
                "runs": runs,
            }
            options.output.write_text(json.dumps(report, indent=1) + "\n")
            print(key, runs[-1], flush=True)


if __name__ == "__main__":
    main()
