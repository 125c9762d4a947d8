"""Peak memory of a run that streams 200,000 particles of 128 x 128 pixels from disk.

usage: memory.py OUTPUT.json WORK_FOLDER [--particles 200000] [--iterations 6]

500 images are simulated. The STAR file refers to them through many hard links to one stack, so
that the reader sees as many stacks and particles as in a real data set.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

IMAGES = 500


def make_set(folder: Path, n_particles: int) -> None:
    """Write particles.star and its stacks."""
    folder.mkdir(parents=True, exist_ok=True)
    phantom = make_phantom(seed=1, diameter=130)
    settings = SimulationSettings(number=IMAGES, box_size=128, pixel_size=1.7, snr=0.1, seed=1)
    write_dataset(folder, simulate_particles(phantom, settings), phantom)
    lines = (folder / "particles.star").read_text().splitlines()
    rows = [i for i, line in enumerate(lines) if "@particles.mrcs" in line]
    head, body = lines[: rows[0]], [lines[i] for i in rows]
    for number in range(-(-n_particles // IMAGES)):
        link = folder / f"stack{number:04d}.mrcs"
        link.unlink(missing_ok=True)
        os.link(folder / "particles.mrcs", link)
        head += [row.replace("@particles.mrcs", f"@stack{number:04d}.mrcs") for row in body]
    (folder / "particles.star").write_text("\n".join(head) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--particles", type=int, default=200_000)
    parser.add_argument("--iterations", type=int, default=6)
    options = parser.parse_args()
    make_set(options.folder, options.particles)
    command = [str(Path(sys.executable).with_name("ini3d")), "run"]
    command += [str(options.folder / "particles.star"), "--output", str(options.folder / "run")]
    command += ["--mask-diameter", "150", "--iterations", str(options.iterations), "--starts", "2"]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--threads", "2", "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    progress = (options.folder / "run" / "progress.jsonl").read_text().splitlines()
    result = {
        "command": " ".join(["memory.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "particles": options.particles,
        "box_size": 128,
        "subset_sizes": [json.loads(line)["subset_size"] for line in progress],
        "wall_s": round(time.perf_counter() - started, 1),
        "peak_rss_mb": round(usage.ru_maxrss / 1024),
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
