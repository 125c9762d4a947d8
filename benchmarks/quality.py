"""Quality, wall time and memory of `ini3d run` on sets with known truth, over several seeds.

usage: quality.py OUTPUT.json --tools DIR [--seeds 5] [--threads 2] [--run=OPTIONS] SET [SET ...]

A SET is a folder with particles.star, truth.mrc and set.json (see make_datasets.py), or
FOLDER,TRUTH.mrc,MASK_DIAMETER,LIMIT for other folders (LIMIT: resolution in Å at FSC 0.5 with the
true angles). DIR contains score.py. Each run is a separate process, so that the wall time includes
start-up, reading and writing, and the peak memory is that of one run. e_step.py measures the
efficiency of the matrix products.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BenchmarkSet:
    name: str
    folder: Path
    truth: Path
    mask_diameter: float
    limit: float

    @classmethod
    def parse(cls, text: str) -> BenchmarkSet:
        folder, *rest = text.split(",")
        path = Path(folder)
        if rest:
            return cls(path.name, path, Path(rest[0]), float(rest[1]), float(rest[2]))
        about = json.loads((path / "set.json").read_text())
        limit = about.get("limit", {}).get("fsc05", float("nan"))
        return cls(path.name, path, path / "truth.mrc", about["mask_diameter"], limit)


def run_once(
    data: BenchmarkSet, seed: int, threads: int, output: Path, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("ini3d")), "run", "particles.star"]
    command += ["--output", str(output), "--mask-diameter", str(data.mask_diameter)]
    command += ["--seed", str(seed), "--threads", str(threads), "--device", "cpu", "--quiet"]
    command += more
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=data.folder)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed in {data.folder}")
    progress = (output / "progress.jsonl").read_text().splitlines()
    return {
        "seed": seed,
        "wall_s": round(wall, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_rss_mb": round(usage.ru_maxrss / 1024),
        "iterations": len(progress),
    }


def score_map(data: BenchmarkSet, output: Path, tools: Path) -> dict[str, Any]:
    command = [sys.executable, str(tools / "score.py"), str(output / "initial_model.mrc")]
    command += [str(data.truth), "--mask-diameter", str(data.mask_diameter)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    scored: dict[str, Any] = json.loads(found.stdout)
    return scored


def summarise(data: BenchmarkSet, runs: list[dict[str, Any]]) -> dict[str, Any]:
    def median(key: str) -> float:
        return round(statistics.median(run[key] for run in runs), 4)

    return {
        "name": data.name,
        "mask_diameter": data.mask_diameter,
        "limit_fsc05": data.limit,
        "median_fsc05": median("fsc05"),
        "worst_fsc05": max(run["fsc05"] for run in runs),
        "median_fsc0143": median("fsc0143"),
        "median_mean_fsc_20A": median("mean_fsc_20A"),
        "median_wall_s": median("wall_s"),
        "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", default="", help="more options of `ini3d run`, in one word")
    options = parser.parse_args()
    results = []
    for data in map(BenchmarkSet.parse, options.sets):
        runs = []
        for seed in range(1, options.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "run"
                run = run_once(data, seed, options.threads, output, tuple(options.run.split()))
                runs.append({**run, **score_map(data, output, options.tools)})
            print(data.name, runs[-1], f"load {os.getloadavg()[0]:.1f}", flush=True)
        results.append(summarise(data, runs))
        report = {
            "command": " ".join(["quality.py", *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%d"),
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
            },
            "threads": options.threads,
            "sets": results,
        }
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
