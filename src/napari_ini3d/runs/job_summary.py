"""Results of a run of a batch, for its table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.catalogue import KILLED, RUNNING, RunEntry, read_entry
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.log_file import logged_seconds

WAITING = "waiting"
"""State of a job that has not begun."""


@dataclass(frozen=True, slots=True)
class JobSummary:
    """How far a job of a batch is, and what it has found.

    Attributes
    ----------
    name : str
    output : Path
        Folder of the run.
    state : str
        `WAITING`, or as in `RunEntry`.
    entry : RunEntry or None
        None if there is no run yet, or it cannot be read.
    seconds : float
        For which the run was going on.
    error : str
        Why it did not finish; empty if it did.
    """

    name: str
    output: Path
    state: str = WAITING
    entry: RunEntry | None = None
    seconds: float = 0.0
    error: str = ""

    @classmethod
    def read(cls, name: str, output: Path, error: str = "") -> JobSummary:
        """Return the summary of a job from its run folder.

        Parameters
        ----------
        name : str
        output : Path
        error : str
            With which the job has just ended.
        """
        try:
            entry = read_entry(output)
        except RunFolderError:
            return cls(name, output, "failed" if error else WAITING, error=error)
        seconds = logged_seconds(RunFolder(output).log_path)
        state = entry.outcome
        if state != RUNNING and error:
            state = "failed"
        elif state == KILLED and not entry.iterations:
            state = WAITING
        return cls(name, output, state, entry, seconds, error)

    @property
    def is_validated(self) -> bool:
        """Whether the resolution is that of independent half-sets."""
        return self.entry is not None and math.isfinite(self.entry.validated_resolution)

    @property
    def resolution(self) -> tuple[float, str]:
        """Å, and its criterion; NaN if there is none."""
        if self.entry is None or not self.entry.iterations:
            return math.nan, ""
        if self.is_validated:
            return self.entry.validated_resolution, "half-sets, FSC 0.143"
        return self.entry.resolution, "last iteration"

    @property
    def report_path(self) -> Path | None:
        """The report page, if it is written."""
        path = RunFolder(self.output).report_path
        return path if path.is_file() else None

    def to_json(self) -> dict[str, Any]:
        """Return the summary as values that JSON can hold."""
        entry, (resolution, criterion) = self.entry, self.resolution
        return {
            "job": self.name,
            "output": str(self.output),
            "state": self.state,
            "particles": entry and entry.n_particles,
            "classes": entry and entry.n_classes,
            "symmetry": entry and entry.symmetry,
            "verdict": (entry and entry.verdict) or None,
            "resolution": resolution if math.isfinite(resolution) else None,
            "criterion": criterion or None,
            "seconds": self.seconds,
            "report": str(self.report_path) if self.report_path else None,
            "error": self.error or None,
        }
