"""RELION 3.1's de novo job on the benchmark sets, and the scores of its maps.

usage: relion_reference.py run SETS_DIR OUTDIR [--sets asym d7] [--until 190] [--threads 2]
       relion_reference.py collect SETS_DIR OUTDIR --tools DIR [--json FILE] [--shared-machine]

`run` processes one set after another and stops each job when iteration `--until` has been written.
`collect` scores the maps that exist, and can be called again at any time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from make_datasets import SETS, score_map

SCORED = (50, 100, 150, 190)
PROGRAM = "relion_refine"
JOB = (
    "--sgd --denovo_3dref --sgd_ini_iter 50 --sgd_inbetween_iter 200 --sgd_fin_iter 50 "
    "--sgd_write_iter 10 --sgd_ini_resol 35 --sgd_fin_resol 15 --sgd_ini_subset 100 "
    "--sgd_fin_subset 500 --i particles.star --ctf --K 1 --sym C1 --flatten_solvent --zero_mask "
    "--dont_combine_weights_via_disc --preread_images --pool 3 --pad 1 --skip_gridding "
    "--oversampling 1 --healpix_order 1 --offset_range 6 --offset_step 2 --random_seed 1"
)


def run_job(folder: Path, output: Path, until: int, threads: int) -> None:
    """Run one job until iteration `until` is on disk; write job.json as iterations appear."""
    output.mkdir(parents=True, exist_ok=True)
    mask = json.loads((folder / "set.json").read_text())["mask_diameter"]
    command = [PROGRAM, "--o", str(output.resolve() / "run"), *JOB.split()]
    command += ["--particle_diameter", str(mask), "--j", str(threads)]
    facts: dict[str, Any] = {"command": command, "threads": threads, "seconds_at_iteration": {}}
    start = time.monotonic()
    with (output / "log.txt").open("w") as log:
        job = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            while job.poll() is None and not map_path(output, until).exists():
                time.sleep(1)
                note_iterations(output, facts, time.monotonic() - start)
            time.sleep(2)  # let it finish writing
            note_iterations(output, facts, time.monotonic() - start)
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGTERM)
            job.wait()


def note_iterations(output: Path, facts: dict[str, Any], seconds: float) -> None:
    """Add the iterations whose maps have appeared since the last call."""
    times = facts["seconds_at_iteration"]
    new = [i for i in range(10, 301, 10) if str(i) not in times and map_path(output, i).exists()]
    if new:
        times.update({str(i): round(seconds, 1) for i in new})
        (output / "job.json").write_text(json.dumps(facts, indent=2) + "\n")


def map_path(output: Path, iteration: int) -> Path:
    return output / f"run_it{iteration:03d}_class001.mrc"


def collect_job(folder: Path, output: Path, tools: Path) -> dict[str, Any]:
    """Score the maps of one job that are there."""
    facts = json.loads((folder / "set.json").read_text())
    job = json.loads((output / "job.json").read_text())
    mask, truth = facts["mask_diameter"], folder / "truth.mrc"
    there = [i for i in SCORED if map_path(output, i).exists()]
    return {
        "mask_diameter": mask,
        "limit": facts.get("limit"),
        "iterations": {str(i): score_map(map_path(output, i), truth, tools, mask) for i in there},
        "threads": job["threads"],
        "seconds_at_iteration": job["seconds_at_iteration"],
        "command": " ".join([PROGRAM, *job["command"][3:]]),
    }


def collect(options: argparse.Namespace) -> None:
    """Write one JSON file about all jobs that have begun."""
    results = {
        name: collect_job(options.sets_dir / name, options.output / name, options.tools)
        for name in options.sets
        if (options.output / name / "job.json").exists()
    }
    note = "wall times are from a machine shared with other work: not for quoting"
    report = {
        "program": subprocess.run(
            [PROGRAM, "--version"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "times": note if options.shared_machine else "wall time, seconds",
        "sets": results,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("run", "collect"))
    parser.add_argument("sets_dir", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=list(SETS))
    parser.add_argument("--until", type=int, default=190)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tools", type=Path)
    parser.add_argument("--shared-machine", action="store_true", help="times are not for quoting")
    default = Path(__file__).parent / "results" / "relion_reference.json"
    parser.add_argument("--json", type=Path, default=default)
    options = parser.parse_args()
    if options.verb == "collect":
        if options.tools is None:
            parser.error("collect needs --tools, the folder of score.py")
        collect(options)
        return
    for name in options.sets:
        run_job(options.sets_dir / name, options.output / name, options.until, options.threads)


if __name__ == "__main__":
    main()
