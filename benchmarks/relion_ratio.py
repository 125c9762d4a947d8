"""Wall time of `ini3d run` and of RELION's de novo job on the same particles and machine.

usage: relion_ratio.py OUTPUT.json FOLDER TRUTH.mrc MASK_DIAMETER --tools DIR [--until 190]

RELION runs with the job of relion_reference.py and is stopped when iteration `--until` (of its 300)
has been written. Both use the same number of threads, one after the other. `ini3d run` runs before
and after RELION, to show a drift in the speed of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from quality import BenchmarkSet, run_once, score_map
from relion_reference import run_job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--until", type=int, default=190)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    data = BenchmarkSet("set", options.folder, options.truth, options.mask_diameter, float("nan"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = run_once(data, 1, options.threads, folder / "before")
        ours = score_map(data, folder / "before", options.tools)
        inputs = folder / "set"
        inputs.mkdir()
        for file in options.folder.iterdir():
            (inputs / file.name).symlink_to(file.resolve())
        (inputs / "set.json").write_text(json.dumps({"mask_diameter": options.mask_diameter}))
        run_job(inputs, folder / "relion", options.until, options.threads)
        facts = json.loads((folder / "relion" / "job.json").read_text())
        relion_map = folder / "relion" / f"run_it{options.until:03d}_class001.mrc"
        (folder / "relion" / "initial_model.mrc").symlink_to(relion_map)
        theirs = score_map(data, folder / "relion", options.tools)
        after = run_once(data, 1, options.threads, folder / "after")
    seconds = facts["seconds_at_iteration"][str(options.until)]
    wall = (before["wall_s"] + after["wall_s"]) / 2
    result = {
        "command": " ".join(["relion_ratio.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "threads": options.threads,
        "cores": os.cpu_count(),
        "ini3d": {"wall_s_before": before["wall_s"], "wall_s_after": after["wall_s"], **ours},
        "relion_3.1.3": {"iteration": options.until, "wall_s": round(seconds, 1), **theirs},
        "ratio": round(seconds / wall, 1),
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
