"""Run folders: output files of a run, named as in RELION, and its checkpoints.

Besides the maps and STAR files of the written iterations, a run folder contains::

    settings.json               settings, version of the program, particles
    log.txt                     log messages
    progress.jsonl              one line per iteration: every scalar and curve
    pictures/it010.npz          small slices and projections, view counts, noise spectra
    checkpoint.npz              state from which the run continues after its last iteration
    run_it010_state.npz         the same, kept for each written iteration
    RELION_JOB_EXIT_SUCCESS     or _FAILURE or _ABORTED; none while the run is in progress

Every file is written under a temporary name and renamed, so that a run that is killed leaves no
incomplete files.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path, nearest_folder
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.storage import (
    Arrays,
    copy_or_link,
    explain_os_errors,
    load_arrays,
    save_arrays,
)
from napari_ini3d.settings import STORED_VERSION, InitialModelSettings, from_stored

logger = logging.getLogger(__name__)

PROGRESS_VERSION = 2
"""Version of the lines of `progress.jsonl`; the first ones had none."""

Outcome = Literal["SUCCESS", "FAILURE", "ABORTED"]
OUTCOMES: tuple[Outcome, ...] = ("SUCCESS", "FAILURE", "ABORTED")

_ITERATION_KEY = "checkpoint_iteration"
_STATE_NAME = re.compile(r"run_it(\d+)_state\.npz")
_PICTURE_NAME = re.compile(r"it(\d+)\.npz")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Files of a run; `create` makes a new folder, `open` uses an existing one."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Self:
        """Create the folder of a new run.

        Raises
        ------
        RunFolderError
            If it already holds a run, or cannot be created or written.
        """
        cls.check_free(path)
        folder = cls(path.absolute())
        with explain_os_errors(path):
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.pictures_path.mkdir(exist_ok=True)
            folder.excluded_path.unlink(missing_ok=True)
            folder.progress_path.unlink(missing_ok=True)
            folder.forget_after(0)
            folder.clear_marks()
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the folder of an existing run.

        Raises
        ------
        RunFolderError
            If there is no run in it.
        """
        folder = cls(path.absolute())
        if not folder.settings_path.is_file():
            found = "has no settings.json" if path.is_dir() else "is not a folder"
            raise RunFolderError(
                f"{path} {found}; expected the --output folder of an earlier `ini3d run`"
            )
        return folder

    @staticmethod
    def check_free(path: Path) -> None:
        """Raise `RunFolderError` unless a new run can be written to `path`."""
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"{path} is a file; give a folder as output")
        if _holds_run(path):
            raise RunFolderError(
                f"{path} already holds a run; continue it with `{resume_command(path)}`, "
                "or give another folder as output"
            )
        parent = nearest_folder(path)
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise RunFolderError(
                f"no permission to write in {parent}; change its permissions or give another "
                "folder as output"
            )

    @property
    def settings_path(self) -> Path:
        """Settings, version and particles of the run."""
        return self.path / "settings.json"

    @property
    def log_path(self) -> Path:
        """Log messages of the run."""
        return self.path / "log.txt"

    @property
    def progress_path(self) -> Path:
        """One line per iteration."""
        return self.path / "progress.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        """State after the last iteration."""
        return self.path / "checkpoint.npz"

    @property
    def report_path(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def map_path(self) -> Path:
        """Final map of the largest class, the result of the run."""
        return self.path / "initial_model.mrc"

    @property
    def excluded_path(self) -> Path:
        """Excluded particles."""
        return self.path / "excluded.star"

    @property
    def pictures_path(self) -> Path:
        """Folder of the small slices and projections of each iteration."""
        return self.path / "pictures"

    def class_map_path(self, iteration: int, class_index: int) -> Path:
        """Return the path of the map of a class (from 0) at a written iteration."""
        return self.path / f"run_it{iteration:03d}_class{class_index + 1:03d}.mrc"

    def iteration_path(self, iteration: int, ending: str) -> Path:
        """Return the path of ``run_itNNN_<ending>``, such as ``data.star``."""
        return self.path / f"run_it{iteration:03d}_{ending}"

    def written_iterations(self) -> list[int]:
        """Return the iterations from which the run can be resumed, ascending."""
        matches = (_STATE_NAME.fullmatch(p.name) for p in self.path.iterdir())
        return sorted(int(m[1]) for m in matches if m)

    @staticmethod
    def check_space(path: Path, n_bytes: int) -> None:
        """Raise `RunFolderError` if fewer than `n_bytes` are free on the disk of `path`."""
        free = shutil.disk_usage(nearest_folder(path)).free
        if free < n_bytes:
            raise RunFolderError(
                f"{path} has {free / 1e6:.1f} MB free; an iteration needs about "
                f"{n_bytes / 1e6:.1f} MB; free some disk space or give another folder as output"
            )

    # -- settings ---------------------------------------------------------------------------

    def write_record(self, record: RunRecord) -> None:
        """Write `settings.json`."""
        values = {"settings_version": STORED_VERSION, **asdict(record)}
        self._write_text(self.settings_path, json.dumps(values, indent=2) + "\n")

    def read_record(self) -> RunRecord:
        """Read `settings.json`.

        Raises
        ------
        RunFolderError
            If it is invalid, or was written by a version with other settings.
        """
        try:
            data = json.loads(self.settings_path.read_text(encoding="utf-8"))
            values = from_stored(data.pop("settings"), data.pop("settings_version", None))
            settings = InitialModelSettings(**values)
            excluded = tuple(int(row) for row in data.pop("excluded"))
            return RunRecord(settings=settings, excluded=excluded, **data)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunFolderError(
                f"{self.settings_path} cannot be used ({error}); expected the file that "
                "`ini3d run` wrote; start the run again in another folder"
            ) from error

    # -- markers ----------------------------------------------------------------------------

    def mark(self, outcome: Outcome) -> None:
        """Write the marker file that tells RELION's pipeline how the job ended."""
        self.clear_marks()
        with explain_os_errors(self.path):
            self._marker(outcome).touch()

    def clear_marks(self) -> None:
        """Remove the marker files: the run is in progress."""
        for outcome in OUTCOMES:
            self._marker(outcome).unlink(missing_ok=True)

    def outcome(self) -> Outcome | None:
        """Return how the run ended; None while it is in progress, or after it was killed."""
        return next((o for o in OUTCOMES if self._marker(o).exists()), None)

    def _marker(self, outcome: Outcome) -> Path:
        return self.path / f"RELION_JOB_EXIT_{outcome}"

    @property
    def has_begun(self) -> bool:
        """True if there is a checkpoint, written after each iteration."""
        return self.checkpoint_path.is_file()

    # -- checkpoints ------------------------------------------------------------------------

    def write_checkpoint(self, arrays: Arrays, iteration: int, *, keep: bool) -> None:
        """Replace the checkpoint; with `keep`, store a copy for this iteration."""
        save_arrays(self.checkpoint_path, {**arrays, _ITERATION_KEY: np.array(iteration)})
        if keep:
            copy_or_link(self.checkpoint_path, self.iteration_path(iteration, "state.npz"))

    def read_checkpoint(self, iteration: int | None = None) -> tuple[int, dict[str, AnyArray]]:
        """Return the iteration and the arrays of the last checkpoint, or of a written iteration.

        Raises
        ------
        RunFolderError
            If there is none.
        """
        path = self.checkpoint_path
        if iteration is not None:
            path = self.iteration_path(iteration, "state.npz")
        if not path.is_file():
            raise RunFolderError(self._no_checkpoint(iteration))
        try:
            arrays = load_arrays(path)
            return int(arrays.pop(_ITERATION_KEY)), arrays
        except (OSError, ValueError, KeyError) as error:
            listed = _listed(self.written_iterations())
            raise RunFolderError(
                f"{path} cannot be read ({error}); resume with --from-iteration from one of "
                f"the written iterations: {listed}"
            ) from error

    def _no_checkpoint(self, iteration: int | None) -> str:
        if iteration is None:
            return (
                f"{self.path} has no checkpoint.npz: the run ended before its first iteration "
                "was done; `ini3d resume` starts it again"
            )
        listed = _listed(self.written_iterations())
        return f"{self.path} has no state of iteration {iteration}; choose one of: {listed}"

    # -- progress ---------------------------------------------------------------------------

    def append_progress(self, line: Mapping[str, Any]) -> None:
        """Add one iteration to `progress.jsonl`."""
        with explain_os_errors(self.path), self.progress_path.open("a", encoding="utf-8") as file:
            file.write(_format_progress(line))
            file.flush()
            os.fsync(file.fileno())

    def read_progress(self) -> list[dict[str, Any]]:
        """Return one line per finished iteration; a line truncated by a crash is skipped.

        Raises
        ------
        RunFolderError
            If a line has another version than `PROGRESS_VERSION`, or none.
        """
        if not self.progress_path.is_file():
            return []
        lines = []
        texts = self.progress_path.read_text(encoding="utf-8").splitlines()
        for number, text in enumerate(texts, 1):
            try:
                line = json.loads(text)
            except ValueError:
                logger.warning("%s: skipped truncated line %d", self.progress_path.name, number)
                continue
            version = line.pop("version", None) if isinstance(line, dict) else None
            if version != PROGRESS_VERSION:
                raise RunFolderError(self._wrong_version(number, version))
            lines.append(line)
        return lines

    def _wrong_version(self, number: int, version: object) -> str:
        found = "no version number" if version is None else f"version {version}"
        return (
            f"{self.progress_path} cannot be used: line {number} has {found}; expected version "
            f"{PROGRESS_VERSION}; open the run with the version of napari-ini3d that made it, or "
            "start it again in another folder"
        )

    def write_pictures(self, iteration: int, arrays: Arrays) -> None:
        """Write the small slices and projections of an iteration."""
        save_arrays(self.pictures_path / f"it{iteration:03d}.npz", arrays, compressed=True)

    def read_pictures(self, iteration: int) -> dict[str, AnyArray] | None:
        """Return the small slices and projections of an iteration; None if there are none."""
        path = self.pictures_path / f"it{iteration:03d}.npz"
        return load_arrays(path) if path.is_file() else None

    def forget_after(self, iteration: int) -> None:
        """Delete the progress and pictures of later iterations, but not maps and STAR files."""
        lines = [line for line in self.read_progress() if line["iteration"] <= iteration]
        if self.progress_path.exists():
            self._write_text(self.progress_path, "".join(map(_format_progress, lines)))
        for path in self.pictures_path.glob("it*.npz"):
            match = _PICTURE_NAME.fullmatch(path.name)
            if match and int(match[1]) > iteration:
                path.unlink()

    @staticmethod
    def _write_text(path: Path, text: str) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def resume_command(path: Path) -> str:
    """Return the command that continues a run, quoted for a shell."""
    return shlex.join(["ini3d", "resume", str(path)])


def _format_progress(line: Mapping[str, Any]) -> str:
    return json.dumps({"version": PROGRESS_VERSION, **line}, allow_nan=False) + "\n"


def _holds_run(path: Path) -> bool:
    """Return whether a folder holds a run; one that ended before its first iteration is none."""
    if not path.is_dir():
        return False
    names = ("checkpoint.npz", "initial_model.mrc", "job.star")
    if any((path / name).exists() for name in names) or any(path.glob("run_it*")):
        return True
    ended = any((path / f"RELION_JOB_EXIT_{outcome}").exists() for outcome in OUTCOMES)
    return (path / "settings.json").exists() and not ended


def _listed(iterations: list[int]) -> str:
    return ", ".join(map(str, iterations)) or "there are none"
