"""Faults: kills at random moments and before each file-system call, small disks, mutated files.

Prints one table, as docs/make_quality.py makes it from the results: cases, survived, refused
cleanly, other. A kill and a full disk are survived if the run that is started again has the files
of a run without faults, and nothing else is left; a mutated file is survived if it is read. It is
refused cleanly if the error is one that says what to do. Anything else is `other`, and makes the
exit code 1.

Runs are forked from this process, so that each takes a second; they are killed by SIGKILL. Figures
of the report are not drawn, since drawing takes most of the time and touches no file.

Usage: python benchmarks/faults.py [--kills 50] [--disks 12] [--files 10000] [--seed 1]
       [--jobs 1] [--only kills,calls,disks,files] [--kinds history,run.lock]
       [--results faults.json]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import Case, cases, mutate

from napari_ini3d.errors import Ini3dError
from napari_ini3d.jobs import resume_run, start_run
from napari_ini3d.report import run_figures
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

SETTINGS = InitialModelSettings(mask_diameter=70, iterations=4, starts=1, threads=1, write_every=2)
KILLS = "kill -9 at a random moment, then resume"
CALLS = "kill -9 before each file-system call, then resume"
DISKS = "disk full during a run, then resume"
PARTS = ("kills", "calls", "disks", "files")
_ALIKE = ("*.mrc", "run_it*_data.star", "validation.json")
_CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "os.utime"}
_REFUSED, _OTHER = 3, 4  # exit codes of a forked run


@dataclass
class Table:
    """Outcomes of the cases of each fault; what is neither survived nor refused is printed."""

    rows: dict[str, Counter[str]]
    results: Path | None = None

    def begin(self, row: str) -> None:
        """Count a row from 0; one of an earlier run is replaced."""
        self.rows[row] = Counter()

    def write(self) -> None:
        """Write the rows to the file of results, which has those of earlier runs, too."""
        if self.results is not None:
            self.results.write_text(json.dumps(self.rows, indent=1) + "\n")

    def note(self, row: str, outcome: str, detail: str = "") -> None:
        """Count an outcome."""
        self.rows.setdefault(row, Counter())[outcome] += 1
        if outcome == "other":
            print(f"{row}: {detail}", file=sys.stderr, flush=True)

    def __str__(self) -> str:
        lines = [
            "| fault | cases | survived | refused cleanly | other |",
            "| --- | --- | --- | --- | --- |",
        ]
        for row, found in self.rows.items():
            cells = (row, sum(found.values()), found["survived"], found["refused"], found["other"])
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        return "\n".join(lines)


# -- runs in processes of their own ---------------------------------------------------------


def run(star: Path, folder: Path) -> None:
    """Resume a run, or start it if it did not begin."""
    begun = (folder / "settings.json").exists()
    for _ in resume_run(folder) if begun else start_run(star, folder, SETTINGS):
        pass


def fork(work: Callable[[], object], errors: Path) -> int:
    """Do work in a process of its own, and return its number."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = _OTHER
    try:
        work()
        code = 0
    except Ini3dError as error:
        errors.write_text(str(error))
        code = _REFUSED
    except BaseException:
        errors.write_text(traceback.format_exc())
    finally:
        os._exit(code)


def wait_for(process: int) -> int:
    """Return the exit code of a process, minus the signal if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def files_of(folder: Path) -> dict[str, str]:
    """Return the names of all files of a run, and hashes of its results."""
    found = {str(p.relative_to(folder)): "" for p in folder.rglob("*") if p.is_file()}
    for path in (path for pattern in _ALIKE for path in folder.glob(pattern)):
        content = path.read_bytes()
        found[path.name] = hashlib.sha256(content.replace(bytes(folder), b"")).hexdigest()
    return found


def judge(table: Table, row: str, code: int, errors: Path, found: object, expected: object) -> None:
    """Count how a run ended that was started again after a fault."""
    text = errors.read_text() if errors.exists() else ""
    errors.unlink(missing_ok=True)
    if code == 0 and found == expected:
        table.note(row, "survived")
    elif code == _REFUSED:
        table.note(row, "refused")
        print(f"{row}: refused: {text}", file=sys.stderr, flush=True)
    elif code == 0 and isinstance(found, dict) and isinstance(expected, dict):
        table.note(row, "other", f"files differ: {set(found.items()) ^ set(expected.items())}")
    else:
        table.note(row, "other", f"exit code {code}: {text}")


# -- kills ----------------------------------------------------------------------------------


def kill_at_random(table: Table, star: Path, work: Path, expected: Any, options: Any) -> None:
    """Kill runs at random moments, and resume them."""
    errors, chance = work / "errors.txt", random.Random(options.seed)
    table.begin(KILLS)
    begin = time.monotonic()
    wait_for(fork(lambda: run(star, work / "timed"), errors))
    seconds = time.monotonic() - begin
    for number in range(options.kills):
        folder = work / f"killed{number}"
        process = fork(lambda folder=folder: run(star, folder), errors)
        time.sleep(chance.uniform(0.0, 1.0) * seconds)
        os.kill(process, signal.SIGKILL)
        if wait_for(process) < 0 or errors.exists():
            again(table, KILLS, star, folder, errors, expected)
        else:  # it had ended
            judge(table, KILLS, 0, errors, files_of(folder), expected)


def again(table: Table, row: str, star: Path, folder: Path, errors: Path, expected: Any) -> None:
    """Start a run again in a process of its own, and count how it ends."""
    code = wait_for(fork(lambda: run(star, folder), errors))
    judge(table, row, code, errors, files_of(folder), expected)


def kill_before_calls(table: Table, star: Path, work: Path, expected: Any, options: Any) -> None:
    """Kill runs before each call that changes something on the disk, and resume them."""
    table.begin(CALLS)
    shares = [Share(star, work, expected, job, options.jobs) for job in range(options.jobs)]
    for process in [fork(share.kill, share.errors) for share in shares]:
        if wait_for(process):
            raise RuntimeError("a process that kills runs has failed")
    for rows in (json.loads(share.rows.read_text()) for share in shares):
        for row, found in rows.items():
            table.rows.setdefault(row, Counter()).update(found)


@dataclass(frozen=True)
class Share:
    """Every `step`-th call, of which a process of its own takes care."""

    star: Path
    work: Path
    expected: Any
    first: int
    step: int

    @property
    def errors(self) -> Path:
        """File for the message of a run."""
        return self.work / f"errors{self.first}.txt"

    @property
    def rows(self) -> Path:
        """File for the outcomes."""
        return self.work / f"rows{self.first}.json"

    def kill(self) -> None:
        """Kill runs before the calls of this share, and resume them."""
        table = Table({})
        for number in itertools.count(self.first + 1, self.step):
            folder = self.work / f"call{number}"

            def killed(folder: Path = folder, number: int = number) -> None:
                kill_before_call(number, folder)
                run(self.star, folder)

            if wait_for(fork(killed, self.errors)) != -signal.SIGKILL:
                break  # the run ended before as many calls
            again(table, CALLS, self.star, folder, self.errors, self.expected)
            shutil.rmtree(folder, ignore_errors=True)
        self.rows.write_text(json.dumps(table.rows))


def kill_before_call(number: int, folder: Path) -> None:
    """Kill this process before it changes something in a folder for the `number`-th time.

    Calls that write to an open file, or flush it, are not counted: they change temporary files.
    """
    count, place = 0, os.fspath(folder)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        writes = event in _CHANGES or (
            event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        )
        if writes and str(arguments[0]).startswith(place):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


# -- disks and files ------------------------------------------------------------------------


def fill_disks(table: Table, star: Path, work: Path, expected: Any, options: Any) -> None:
    """Run on disks that are too small; then enlarge them, and resume."""
    errors, whole = work / "errors.txt", work / "whole"
    need = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    for number in range(options.disks):
        place = work / f"disk{number}"
        place.mkdir()
        size = int(need * (number + 0.5) / options.disks)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True).returncode:
            print("small disks need the right to mount; left out", file=sys.stderr)
            return
        if number == 0:
            table.begin(DISKS)
        try:
            first = wait_for(fork(lambda place=place: run(star, place / "run"), errors))
            if first == _OTHER or first < 0:
                table.note(DISKS, "other", f"{size} bytes, {first}: {errors.read_text()}")
                continue
            errors.unlink(missing_ok=True)
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            if first == _REFUSED:
                again(table, DISKS, star, place / "run", errors, expected)
            else:
                judge(table, DISKS, 0, errors, files_of(place / "run"), expected)
        finally:
            subprocess.run(["umount", str(place)], check=False)


def mutate_files(table: Table, found: Iterable[Case], options: Any) -> None:
    """Read mutated versions of files, each of which is restored at the end."""
    for name, path, read in found:
        if options.kinds and name not in options.kinds.split(","):
            continue
        read()  # as it is, it can be read
        table.begin(f"mutated {name}")
        content, chance = path.read_bytes(), random.Random(options.seed)
        begin = time.monotonic()
        for _ in range(options.files):
            changed = mutate(content, chance)
            path.write_bytes(changed)
            try:
                read()
                table.note(f"mutated {name}", "survived")
            except Ini3dError:
                table.note(f"mutated {name}", "refused")
            except Exception as error:
                table.note(f"mutated {name}", "other", repr(error))
                path.with_name(f"other_{path.name}").write_bytes(changed)
        path.write_bytes(content)
        table.write()
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Cause the faults, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (
        ("kills", 50),
        ("disks", 12),
        ("files", 10_000),
        ("seed", 1),
        ("jobs", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--kinds", help="kinds of files to mutate, as in the table; default: all")
    parser.add_argument("--results", type=Path, help="JSON file; its rows of other faults are kept")
    options = parser.parse_args()
    parts = options.only.split(",")
    logging.getLogger("napari_ini3d").setLevel(logging.CRITICAL)
    logging.lastResort = None
    warnings.simplefilter("ignore")
    run_figures.encode_png = lambda _: "data:image/png;base64,"
    table = Table({}, options.results)
    if options.results is not None:
        with suppress(FileNotFoundError):
            known = json.loads(options.results.read_text())
            table.rows.update({row: Counter(found) for row, found in known.items()})
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        settings = SimulationSettings(number=24, box_size=16, pixel_size=5.0, snr=1.0)
        phantom = make_phantom(diameter=60.0)
        star = write_dataset(work / "data", simulate_particles(phantom, settings), phantom)
        run(star, work / "whole")  # compiles, too, before there are forks
        expected = files_of(work / "whole")
        steps = {"kills": kill_at_random, "calls": kill_before_calls, "disks": fill_disks}
        for part in (part for part in steps if part in parts):
            steps[part](table, star, work, expected, options)
            table.write()
        if "files" in parts:
            mutate_files(table, cases(star, work / "whole"), options)
    print(table)
    sys.exit(any(found["other"] for found in table.rows.values()))


if __name__ == "__main__":
    main()
