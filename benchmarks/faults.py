"""Faults: kills at random moments, small disks, and mutated files of every reader.

Prints one table for docs/reliability.md: cases, survived, refused cleanly, other. A kill is
survived if the resumed run has the map of a run that was not killed; a full disk, if the run ends
with a message and, with more space, with that map; a mutated file, if it is read. It is refused
cleanly if the error is one that says what to do. Anything else is `other`, and makes the exit code
1.

Usage: python benchmarks/faults.py [--kills 50] [--disks 12] [--files 10000] [--seed 1]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_ini3d.errors import Ini3dError
from napari_ini3d.io import read_map, read_particles, read_stack_header, write_map
from napari_ini3d.runs import RunFolder, SymmetryFiles, read_summaries
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

RUN = [sys.executable, "-c", "from napari_ini3d.cli import main; main()"]
SETTINGS = [
    *("--mask-diameter", "100", "--iterations", "5", "--starts", "1"),
    *("--threads", "1", "--write-every", "2"),
]
ROWS: dict[str, Counter[str]] = {}


def note(row: str, outcome: str, detail: str = "") -> None:
    """Count an outcome, and print what is neither survived nor refused."""
    ROWS.setdefault(row, Counter())[outcome] += 1
    if outcome == "other":
        print(f"{row}: {detail}", file=sys.stderr)


def command(*words: str | Path) -> list[str]:
    """Return a command of ini3d, run by this Python."""
    return [*RUN, *map(str, words)]


def result_of(folder: Path) -> str:
    """Return the hash of the map of a finished run; empty if there is none."""
    done = (folder / "RELION_JOB_EXIT_SUCCESS").exists() and (folder / "report.html").exists()
    path = folder / "initial_model.mrc"
    return hashlib.sha256(path.read_bytes()).hexdigest() if done and path.exists() else ""


def make_data(folder: Path) -> Path:
    """Simulate the particles of all runs."""
    settings = SimulationSettings(number=60, box_size=24, pixel_size=5.0, snr=1.0)
    phantom = make_phantom(diameter=80.0)
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


def finish(star: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Resume a run, or start it if it did not begin."""
    words = ("resume", folder) if (folder / "settings.json").exists() else (
        "run", star, "--output", folder, *SETTINGS)  # fmt: skip
    return subprocess.run(command(*words, "--quiet"), capture_output=True, text=True)


def judge(row: str, done: subprocess.CompletedProcess[str], folder: Path, expected: str) -> None:
    """Count how a run ended that was started again after a fault."""
    if done.returncode == 0 and result_of(folder) == expected and not left_over(folder):
        note(row, "survived")
    elif done.returncode == 1 and "Traceback" not in done.stderr and "bug" not in done.stderr:
        note(row, "refused", done.stderr)
    else:
        note(row, "other", f"code {done.returncode}, {left_over(folder)} {done.stderr[-500:]}")


def left_over(folder: Path) -> list[str]:
    """Return the names of temporary files and locks in a run folder."""
    return [path.name for path in folder.rglob("*") if ".tmp" in path.name or "lock" in path.name]


def kill_runs(star: Path, work: Path, count: int, seed: int) -> None:
    """Kill runs at random moments, and resume them."""
    whole = work / "whole"
    begin = time.monotonic()
    subprocess.run(command("run", star, "--output", whole, *SETTINGS, "--quiet"), check=True)
    seconds, expected = time.monotonic() - begin, result_of(whole)
    moments = random.Random(seed)
    for number in range(count):
        folder = work / f"killed{number}"
        process = subprocess.Popen(
            command("run", star, "--output", folder, *SETTINGS, "--quiet"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(moments.uniform(0.2, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if result_of(folder):  # it had ended
            note("kill -9 of a run, then resume", "survived" if result_of(folder) == expected
                 else "other", "another map")  # fmt: skip
            continue
        judge("kill -9 of a run, then resume", finish(star, folder), folder, expected)


def fill_disks(star: Path, work: Path, count: int, expected: str) -> None:
    """Run on disks that are too small; then enlarge them, and resume."""
    row = "disk full during a run, then resume"
    for number in range(count):
        place = work / f"disk{number}"
        place.mkdir()
        size = 350 + 90 * number  # KiB; a whole run takes about 1.5 MB
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True).returncode:
            print("small disks need the right to mount; left out", file=sys.stderr)
            return
        try:
            folder = place / "run"
            first = finish(star, folder)
            if first.returncode not in (0, 1) or "Traceback" in first.stderr:
                note(row, "other", first.stderr[-500:])
                continue
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            done = first if first.returncode == 0 else finish(star, folder)
            judge(row, done, folder, expected)
        finally:
            subprocess.run(["umount", str(place)], check=False)


def mutate(text: bytes, random_: random.Random) -> bytes:
    """Return a file with bytes changed, removed, repeated or cut."""
    changed = bytearray(text)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        if not changed:
            break
        place = random_.randrange(len(changed))
        kind = random_.randrange(5)
        if kind == 0:
            changed[place] = random_.randrange(256)
        elif kind == 1:
            del changed[place : place + random_.randrange(1, 40)]
        elif kind == 2:
            changed[place:place] = changed[place : place + random_.randrange(1, 40)]
        elif kind == 3:
            del changed[place:]
        else:
            changed[place : place + 4] = random_.choice((b"\xff" * 4, b"\0" * 4, b"nan ", b"-1e9"))
    return bytes(changed)


def mutate_files(name: str, path: Path, read: Callable[[], object], count: int, seed: int) -> None:
    """Read mutated versions of a file; the file is put back at the end."""
    read()  # as it is, it can be read
    text, random_ = path.read_bytes(), random.Random(seed)
    row = f"mutated {name}"
    for _ in range(count):
        changed = mutate(text, random_)
        path.write_bytes(changed)
        try:
            read()
            note(row, "survived")
        except Ini3dError:
            note(row, "refused")
        except Exception as error:
            note(row, "other", repr(error))
            (path.parent / f"other_{path.name}").write_bytes(changed)
    path.write_bytes(text)


def mutate_all(star: Path, whole: Path, count: int, seed: int) -> None:
    """Mutate a file of each kind that is read."""
    run = RunFolder.open(whole)
    last = run.written_iterations()[-1]
    facts = SymmetryFiles(run)
    facts.write_facts({"requested": "auto", "group": "D2", "verdict": "D2 holds", "holds": True})
    tiny = star.with_name("tiny.mrc")
    write_map(tiny, np.random.default_rng(1).normal(size=(16, 16, 16)), 2.0)
    stack = star.with_name("particles.mrcs")
    from napari_ini3d.engine import EngineState

    mutate_files("particles.star", star, lambda: read_particles(star), count, seed)
    mutate_files("map (MRC)", tiny, lambda: read_map(tiny), count, seed)
    head = star.with_name("head.mrcs")
    header = np.frombuffer(stack.read_bytes()[:1024], "<i4").copy()
    header[2] = header[9] = 1  # one image
    head.write_bytes(header.tobytes() + stack.read_bytes()[1024 : 1024 + 24 * 24 * 4])
    mutate_files("stack header (MRC)", head, lambda: read_stack_header(head), count, seed)
    mutate_files("settings.json", run.settings_path, run.read_record, count, seed)
    mutate_files("progress.jsonl", run.progress_path, lambda: read_summaries(run), count, seed)
    mutate_files("symmetry.json", facts.facts_path, facts.read_facts, count, seed)
    picture = run.pictures_path / f"it{last:03d}.npz"
    mutate_files("pictures (npz)", picture, lambda: run.read_pictures(last), count, seed)
    state = run.iteration_path(last, "state.npz")
    mutate_files("checkpoint (npz)", state,
                 lambda: run.read_checkpoint(last, accept=EngineState.from_arrays),
                 max(1, count // 10), seed)  # fmt: skip


def table() -> str:
    """Return the table in Markdown."""
    lines = [
        "| fault | cases | survived | refused cleanly | other |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row, found in ROWS.items():
        cells = (row, sum(found.values()), found["survived"], found["refused"], found["other"])
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Cause the faults, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("kills", 50), ("disks", 12), ("files", 10_000), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    logging.getLogger("napari_ini3d").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        star = make_data(work / "data")
        kill_runs(star, work, options.kills, options.seed)
        fill_disks(star, work, options.disks, result_of(work / "whole"))
        mutate_all(star, work / "whole", options.files, options.seed)
    print(table())
    print(json.dumps({row: dict(found) for row, found in ROWS.items()}))
    sys.exit(any(found["other"] for found in ROWS.values()))


if __name__ == "__main__":
    main()
