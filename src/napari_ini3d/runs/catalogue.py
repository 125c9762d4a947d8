"""Entries of a list of runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.lock import is_locked
from napari_ini3d.runs.read_summaries import read_summaries
from napari_ini3d.runs.record import RunRecord

RUNNING = "running"
"""State of a run that is going on."""

KILLED = "killed"
"""State of a run that neither goes on nor has ended: killed, or the power failed."""

_OUTCOMES: dict[Outcome, str] = {
    "SUCCESS": "finished",
    "FAILURE": "failed",
    "ABORTED": "stopped",
}


@dataclass(frozen=True, slots=True)
class RunEntry:
    """Summary of a run for a list.

    Attributes
    ----------
    folder : Path
    record : RunRecord
    outcome : str
        "finished", "failed", "stopped", `RUNNING` or `KILLED`.
    iterations : int
        Number of iterations done.
    resolution : float
        Å, of the best class in the last iteration; NaN before the first iteration.
    """

    folder: Path
    record: RunRecord
    outcome: str
    iterations: int
    resolution: float


def describe_outcome(folder: RunFolder, outcome: Outcome | None = None) -> str:
    """Return in one word how a run ended, or that it is running or was killed.

    Parameters
    ----------
    folder : RunFolder
    outcome : str, optional
        How it ends, if that is not marked yet.
    """
    if outcome is None:
        if is_locked(folder.path):
            return RUNNING
        outcome = folder.outcome()
    return _OUTCOMES[outcome] if outcome else KILLED


def read_entry(folder: Path) -> RunEntry:
    """Read the summary of a run.

    Raises
    ------
    RunFolderError
        If there is no run in the folder, or it cannot be read.
    """
    try:
        run = RunFolder.open(folder)
        record, summaries = run.read_record(), read_summaries(run)
        resolution = summaries[-1].best_resolution if summaries else math.nan
        return RunEntry(folder, record, describe_outcome(run), len(summaries), resolution)
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be read ({error}); it is not listed; check the files of the run"
        ) from error
