"""Entries of a list of runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.lock import is_locked
from napari_ini3d.runs.note import read_note
from napari_ini3d.runs.read_summaries import read_summaries
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.runs.validation_files import ValidationFiles

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
    validated_resolution : float
        Å, FSC 0.143 of independent half-sets; NaN if the run was not validated.
    verdict : str
        "reliable", "uncertain" or "failed"; empty if the run was not validated.
    symmetry : str
        Point group that the run imposed, or was found in its map or asked for, and whether it
        holds.
    note : str
        Of the user.
    """

    folder: Path
    record: RunRecord
    outcome: str
    iterations: int
    resolution: float
    validated_resolution: float = math.nan
    verdict: str = ""
    symmetry: str = "C1"
    note: str = ""

    @property
    def n_classes(self) -> int:
        """Number of classes of the run."""
        return self.record.settings.classes

    @property
    def n_particles(self) -> int:
        """Number of particles, without the excluded ones."""
        return self.record.n_particles - len(self.record.excluded)


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
        facts = ValidationFiles(run).read_facts() or {}
        return RunEntry(
            folder,
            record,
            describe_outcome(run),
            len(summaries),
            resolution,
            validated_resolution=float(facts.get("resolution_0143", math.nan)),
            verdict=str(facts.get("verdict", "")),
            symmetry=_describe_symmetry(run, record),
            note=read_note(run),
        )
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be read ({error}); it is not listed; check the files of the run"
        ) from error


def _describe_symmetry(run: RunFolder, record: RunRecord) -> str:
    """Return the point group of a run in a word or two, such as ``D2`` or ``D2 does not hold``."""
    settings = record.settings
    if not settings.symmetry_follows:
        group = settings.imposed_group
        return "C1" if group.upper() == "C1" else f"{group} imposed"
    facts = SymmetryFiles(run).read_facts()
    if facts is None:
        return f"{settings.symmetry} pending"
    group = str(facts["group"])
    return group if facts.get("holds") or group == "C1" else f"{group} does not hold"
