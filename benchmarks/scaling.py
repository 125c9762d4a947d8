"""Time, memory and quality of runs against the number of particles, the box and the classes.

usage: scaling.py OUTPUT.json DATA [--threads 2] [--series particles,box,classes] [--most 16000]

DATA receives the simulated sets (10 GB for the largest). Each point is one `ini3d run` in a process
of its own, without independent half-sets; those that are in OUTPUT.json are not repeated. The time
is from files to files, the memory the peak of the process, and the quality the FSC 0.5 with the
true map (phantom of 120 Å, C1, SNR 0.05 in it).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from napari_ini3d.comparison import compare_maps
from napari_ini3d.io import read_map
from napari_ini3d.runs import RunFolder

HERE = Path(__file__).parent
WIDTH, MASK_DIAMETER = 217.6, 140.0  # Å, of the box and the mask
PARTICLES = (1000, 2000, 4000, 8000, 16000, 32000, 64000, 100_000)
BOXES = (64, 96, 128, 192, 256, 384, 512)
CLASSES = (1, 2, 4, 8)
FIXED = 2000


def points(series: str, most: int) -> list[dict[str, int]]:
    """Return number of particles, box and classes of each point of a series."""
    if series == "particles":
        return [{"particles": n, "box": 64, "classes": 1} for n in PARTICLES if n <= most]
    if series == "box":
        return [{"particles": FIXED, "box": n, "classes": 1} for n in BOXES]
    return [{"particles": FIXED, "box": 64, "classes": k} for k in CLASSES]


def make_set(data: Path, point: dict[str, int]) -> Path:
    folder = data / f"n{point['particles']}_box{point['box']}"
    if not (folder / "particles.star").exists():
        command = [sys.executable, str(HERE / "make_large_set.py"), str(folder)]
        command += ["--number", str(point["particles"]), "--box-size", str(point["box"])]
        command += ["--pixel-size", str(WIDTH / point["box"])]
        subprocess.run(command, check=True)
    return folder


def measure(folder: Path, point: dict[str, int], threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        command = [sys.executable, "-m", "napari_ini3d", "run", str(folder / "particles.star")]
        command += ["--output", str(output), "--mask-diameter", str(MASK_DIAMETER)]
        command += ["--threads", str(threads), "--classes", str(point["classes"]), "--device=cpu"]
        command += ["--no-independent-half-sets"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        if status:
            raise SystemExit(f"{' '.join(command)} ended with status {status}")
        progress = RunFolder(output).read_progress()
        found = {
            **point,
            "wall_s": round(wall, 1),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_gib": round(usage.ru_maxrss / 2**20, 2),
            "iterations": len(progress),
            "images_visited": sum(line["subset_size"] for line in progress),
        }
        if point["classes"] == 1:
            found["fsc_05_A"] = round(agreement(folder, output), 2)
        return found


def agreement(folder: Path, output: Path) -> float:
    """Return the resolution (Å) to which the map agrees with the truth, FSC 0.5."""
    truth, found = read_map(folder / "truth.mrc"), read_map(output / "initial_model.mrc")
    compared = compare_maps(
        truth.data, found.data, voxel_size=found.voxel_size, mask_diameter=MASK_DIAMETER
    )
    return float(compared.resolution_half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--series", default="particles,box,classes")
    parser.add_argument("--most", type=int, default=16000, help="particles")
    options = parser.parse_args()
    results: dict[str, Any] = {"threads": options.threads, "points": []}
    if options.output.exists():
        results = json.loads(options.output.read_text())
    for series in options.series.split(","):
        for point in points(series, options.most):
            if any(point.items() <= known.items() for known in results["points"]):
                continue
            found = measure(make_set(options.data, point), point, options.threads)
            results["points"].append(found)
            results["date"] = time.strftime("%Y-%m-%d")
            options.output.write_text(json.dumps(results, indent=1) + "\n")
            print(found, flush=True)


if __name__ == "__main__":
    main()
