"""Run folders: output files of a run, named as in RELION, and its checkpoints.

Besides the maps and STAR files of the written iterations, a run folder contains::

    settings.json               settings, version of the program, particles
    log.txt                     log messages
    progress.jsonl              one line per iteration: every scalar and curve
    pictures/it010.npz          small slices and projections, view counts, noise spectra
    checkpoint.npz              state from which the run continues after its last iteration
    checkpoint_previous.npz     state after the iteration before, in case that one is damaged
    run_it010_state.npz         the same, kept for each written iteration
    outputs.txt                 the files that the run wrote: no others are replaced or deleted
    newest_maps.npz             maps of the last iteration, while the run is going on
    start_maps.npz              small maps of the random starts when the best was chosen
    half_sets.npz               refined half-sets, with validation_progress.json until they are used
    run_note.txt, window.json   note of the user on the run, and the window in which it was shown
    run.lock                    the process that writes to the folder, while the run is going on
    run.pause                   asks the run to wait; RELION_JOB_ABORT_NOW, to stop
    RELION_JOB_EXIT_SUCCESS     or _FAILURE or _ABORTED; none while the run is in progress

Every file is written under another name and renamed: a run that is killed leaves only whole ones.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import RunFolderError, SettingsError
from napari_ini3d.io import atomic_path
from napari_ini3d.runs.occupied import check_free, check_space, is_ours
from napari_ini3d.runs.output_list import begin_list, claim, read_outputs, remove_listed
from napari_ini3d.runs.progress_file import format_progress, parse_progress
from napari_ini3d.runs.record import RunRecord, format_record, parse_record
from napari_ini3d.runs.storage import (
    ITERATION_KEY,
    Arrays,
    check_pictures,
    copy_or_link,
    explain_os_errors,
    load_arrays,
    load_checkpoint,
    save_arrays,
)

logger = logging.getLogger(__name__)

Outcome = Literal["SUCCESS", "FAILURE", "ABORTED"]
OUTCOMES: tuple[Outcome, ...] = ("SUCCESS", "FAILURE", "ABORTED")

_STATE_NAME = re.compile(r"run_it(\d+)_state\.npz")
_PICTURE_NAME = re.compile(r"it(\d+)\.npz")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Files of a run; `create` makes a new folder, `open` uses an existing one."""

    path: Path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False, locked: bool = False) -> Self:
        """Create the folder of a new run.

        Of an earlier run in it, the files on its list of outputs are deleted, and no others.

        Parameters
        ----------
        path : Path
        overwrite : bool
            Accept a folder with an earlier run that has done iterations.
        locked : bool
            Whether the caller holds the lock of the folder.

        Raises
        ------
        RunFolderError
            If the folder is not free (`check_free`), or cannot be created or written.
        """
        cls.check_free(path, overwrite=overwrite, locked=locked)
        folder = cls(path.absolute())
        with explain_os_errors(path):
            folder.path.mkdir(parents=True, exist_ok=True)
            if is_ours(folder.path):
                folder.remove_outputs(*folder.outputs())
                folder.clear_marks()
            begin_list(folder.path)
            folder.pictures_path.mkdir(exist_ok=True)
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
    def check_free(path: Path, *, overwrite: bool = False, locked: bool = False) -> None:
        """Raise `RunFolderError` unless a new run can be written to `path`.

        Parameters are those of `create`.
        """
        check_free(path, overwrite=overwrite, locked=locked)

    # -- list of outputs --------------------------------------------------------------------

    def claim(self, *paths: Path) -> None:
        """List files as outputs before they are written; a user's file there is renamed."""
        claim(self.path, paths)

    def remove_outputs(self, *paths: Path) -> None:
        """Delete files that are listed as outputs; others are kept."""
        remove_listed(self.path, paths)

    def outputs(self) -> list[Path]:
        """Return the files that are listed as outputs, the record last."""
        names = read_outputs(self.path) or set()
        names.discard(self.settings_path.name)
        return [*(self.path / name for name in sorted(names)), self.settings_path]

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
    def previous_checkpoint_path(self) -> Path:
        """State after the iteration before the last."""
        return self.path / "checkpoint_previous.npz"

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
        check_space(path, n_bytes)

    # -- settings ---------------------------------------------------------------------------

    def write_record(self, record: RunRecord) -> None:
        """Write `settings.json`."""
        self._write_text(self.settings_path, format_record(record))

    def read_record(self) -> RunRecord:
        """Read `settings.json`.

        Raises
        ------
        RunFolderError
            If it is invalid, or was written by a version with other settings.
        """
        try:
            return parse_record(self.settings_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError, RecursionError, SettingsError) as error:
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
        """Replace the checkpoint, and keep the one before beside it.

        Parameters
        ----------
        arrays : mapping of str to array
        iteration : int
        keep : bool
            Store a copy for this iteration.
        """
        written = self.iteration_path(iteration, "state.npz") if keep else self.checkpoint_path
        self.claim(self.checkpoint_path, self.previous_checkpoint_path, written)
        if self.checkpoint_path.is_file():
            copy_or_link(self.checkpoint_path, self.previous_checkpoint_path, durable=False)
        save_arrays(written, {**arrays, ITERATION_KEY: np.array(iteration)})
        if keep:  # the checkpoint last: it says that the iteration is complete
            copy_or_link(written, self.checkpoint_path)

    def rewind(self, arrays: Arrays, iteration: int) -> None:
        """Make a state the last checkpoint, unless it is; the one before is left as it is."""
        try:
            if load_checkpoint(self.checkpoint_path, lambda _: None)[0] == iteration:
                return
        except (OSError, ValueError, KeyError):
            pass
        self.claim(self.checkpoint_path)
        save_arrays(self.checkpoint_path, {**arrays, ITERATION_KEY: np.array(iteration)})

    def read_checkpoint(
        self, iteration: int | None = None, *, accept: Callable[[Arrays], object] = lambda _: None
    ) -> tuple[int, dict[str, AnyArray]]:
        """Return the iteration and the arrays of the last checkpoint, or of a written iteration.

        If the last checkpoint is damaged, the one before is returned, which is logged.

        Parameters
        ----------
        iteration : int, optional
        accept : callable
            Raises `ValueError` or `KeyError` for arrays that cannot be used.

        Raises
        ------
        RunFolderError
            If there is none that can be used.
        """
        path = self.checkpoint_path
        if iteration is not None:
            path = self.iteration_path(iteration, "state.npz")
        if not path.is_file():
            raise RunFolderError(self._no_checkpoint(iteration))
        try:
            return load_checkpoint(path, accept)
        except (OSError, ValueError, KeyError) as error:
            if iteration is None and (found := self._read_previous(accept)) is not None:
                logger.warning(
                    "%s cannot be used (%s); the run continues from the one before, of iteration "
                    "%d",
                    path,
                    error,
                    found[0],
                )
                return found
            listed = _listed(self.written_iterations())
            raise RunFolderError(
                f"{path} cannot be read ({error}); resume with --from-iteration from one of "
                f"the written iterations: {listed}"
            ) from error

    def _read_previous(
        self, accept: Callable[[Arrays], object]
    ) -> tuple[int, dict[str, AnyArray]] | None:
        """Return the checkpoint before the last, if it can be used."""
        try:
            return load_checkpoint(self.previous_checkpoint_path, accept)
        except (OSError, ValueError, KeyError):
            return None

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
        self.claim(self.progress_path)
        with explain_os_errors(self.path), self.progress_path.open("a", encoding="utf-8") as file:
            file.write(format_progress(line))
            file.flush()
            os.fsync(file.fileno())

    def read_progress(self) -> list[dict[str, Any]]:
        """Return one line per finished iteration; a damaged line is logged and ignored.

        Raises
        ------
        RunFolderError
            If a line has another version than `PROGRESS_VERSION`, or none.
        """
        return parse_progress(self.progress_path)

    def write_pictures(self, iteration: int, arrays: Arrays) -> None:
        """Write the small slices and projections of an iteration; they are only displayed."""
        path = self.pictures_path / f"it{iteration:03d}.npz"
        self.claim(path)
        save_arrays(path, arrays, compressed=True, durable=False)

    def read_pictures(self, iteration: int) -> dict[str, AnyArray] | None:
        """Return the small slices and projections of an iteration.

        None if there are none, or they are damaged, which is logged.
        """
        path = self.pictures_path / f"it{iteration:03d}.npz"
        if not path.is_file():
            return None
        try:
            arrays = load_arrays(path)
            check_pictures(arrays)
        except (OSError, ValueError) as error:
            logger.warning("%s is damaged (%s); it is ignored", path, error)
            return None
        return arrays

    def forget_after(self, iteration: int) -> None:
        """Delete the progress and pictures of later iterations, but not maps and STAR files."""
        lines = [line for line in self.read_progress() if line["iteration"] <= iteration]
        if self.progress_path.exists():
            self._write_text(self.progress_path, "".join(map(format_progress, lines)))
        later = (
            path
            for path in self.pictures_path.glob("it*.npz")
            if (match := _PICTURE_NAME.fullmatch(path.name)) and int(match[1]) > iteration
        )
        self.remove_outputs(*later)

    def _write_text(self, path: Path, text: str) -> None:
        self.claim(path)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _listed(iterations: list[int]) -> str:
    return ", ".join(map(str, iterations)) or "there are none"
