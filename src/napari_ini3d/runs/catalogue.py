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
"""Outcome of a run that is going on."""

_OUTCOMES: dict[Outcome | None, str] = {
    "SUCCESS": "finished",
    "FAILURE": "failed",
    "ABORTED": "stopped",
    None: "not ended",
}


@dataclass(frozen=True, slots=True)
class RunEntry:
    """Summary of a run for a list.

    Attributes
    ----------
    folder : Path
    record : RunRecord
    outcome : str
        "finished", "failed", "stopped", "running", or "not ended" for one that was killed.
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


def describe_outcome(outcome: Outcome | None) -> str:
    """Return how a run ended in one or two words, such as ``finished`` or ``not ended``."""
    return _OUTCOMES[outcome]


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
        outcome = RUNNING if is_locked(folder) else describe_outcome(run.outcome())
        return RunEntry(folder, record, outcome, len(summaries), resolution)
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be read ({error}); it is not listed; check the files of the run"
        ) from error
