"""What a list of runs says about each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.folder import RunFolder, RunRecord
from napari_ini3d.runs.summary import IterationSummary

_OUTCOMES = {"SUCCESS": "finished", "FAILURE": "failed", "ABORTED": "stopped", None: "not ended"}


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run in a list.

    Attributes
    ----------
    folder : Path
    record : RunRecord
    outcome : str
        "finished", "failed", "stopped" or "not ended".
    iterations : int
        That were done.
    resolution : float
        Å, of the best class in the last iteration; NaN before the first.
    """

    folder: Path
    record: RunRecord
    outcome: str
    iterations: int
    resolution: float


def read_entry(folder: Path) -> RunEntry:
    """Read what a list says about a run.

    Raises
    ------
    RunFolderError
        If there is no run in the folder, or it cannot be read.
    """
    try:
        run = RunFolder.open(folder)
        record, lines = run.read_record(), run.read_progress()
        last = IterationSummary.from_json(lines[-1]) if lines else None
        resolution = math.nan if last is None else last.best_resolution
        return RunEntry(folder, record, _OUTCOMES[run.outcome()], len(lines), resolution)
    except (OSError, KeyError, TypeError) as error:
        raise RunFolderError(f"{folder} cannot be read ({error}); it is left out") from error
