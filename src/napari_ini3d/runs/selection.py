"""Selection of the particles of a run by their probability of junk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from napari_ini3d._types import BoolArray
from napari_ini3d.errors import RunFolderError, SettingsError
from napari_ini3d.io import (
    JunkTable,
    convert_to_cryosparc,
    is_cryosparc,
    keep_stack_names,
    read_junk_table,
    write_particle_subset,
)
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.written import written_iterations

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroupCount:
    """How many particles of an optics group stay and leave."""

    name: str
    kept: int
    rejected: int


@dataclass(frozen=True, slots=True)
class JunkSelection:
    """Particles of a run, divided by their probability of junk.

    Attributes
    ----------
    iteration : int
        Written iteration whose poses and probabilities are used.
    max_junk : float
        Highest probability of junk of a particle that stays.
    found : JunkTable
        All N particles of the run at that iteration.
    is_kept : (N,) bool
    record : RunRecord
        Of the run; its particle file is the first from whose folder the image names hold.
    """

    iteration: int
    max_junk: float
    found: JunkTable
    is_kept: BoolArray
    record: RunRecord

    @property
    def n_kept(self) -> int:
        """Number of particles that stay."""
        return int(np.count_nonzero(self.is_kept))

    @property
    def n_rejected(self) -> int:
        """Number of particles that leave."""
        return len(self.is_kept) - self.n_kept

    @property
    def n_unassigned(self) -> int:
        """Number of particles that the run had not used yet; they stay."""
        return int(np.count_nonzero(~self.found.is_assigned))

    def count_groups(self) -> Iterator[GroupCount]:
        """Yield the numbers of each optics group that has particles."""
        for i, name in enumerate(self.found.group_names):
            of_group = self.is_kept[self.found.group_index == i]
            if of_group.size:
                kept = int(np.count_nonzero(of_group))
                yield GroupCount(name, kept, len(of_group) - kept)

    def write(self, path: Path, *, kept: bool) -> None:
        """Write the particles that stay, or those that leave, with all their columns.

        Parameters
        ----------
        path : Path
            STAR file, or dataset of cryoSPARC (`.cs`), which has no particles without a pose. If
            the run read a dataset, that is the template of the new one.
        kept : bool

        Raises
        ------
        RunFolderError
            If the file cannot be written.
        """
        rows = np.flatnonzero(self.is_kept == kept)
        sources = (Path(self.record.particles), self.found.table.path)
        table = keep_stack_names(self.found.table, sources)
        if not is_cryosparc(path):
            write_particle_subset(path, table, rows)
            return
        own = is_cryosparc(sources[0])
        with TemporaryDirectory(prefix="ini3d-") as folder:
            star = Path(folder) / "particles.star"
            write_particle_subset(star, table, rows)
            written = convert_to_cryosparc(
                star,
                path,
                project=Path(self.record.project) if self.record.project else None,
                template=sources[0] if own else None,
                passthrough=[Path(name) for name in self.record.passthrough] if own else (),
            )
        for note in written.notes:
            logger.warning("%s: %s", path, note)


def select_particles(
    folder: RunFolder, *, max_junk: float, iteration: int | None = None
) -> JunkSelection:
    """Select the particles of a run whose probability of junk is at most `max_junk`.

    Parameters
    ----------
    folder : RunFolder
    max_junk : float
        0 to 1.
    iteration : int, optional
        A written iteration. Default: the last one.

    Raises
    ------
    RunFolderError
        If the run has no such iteration, or was still comparing random starts.
    StarError
        If the particles cannot be read, or their probability of junk was not recorded.
    SettingsError
        If no particle is left.
    """
    chosen, line = _choose_iteration(folder, iteration)
    found = read_junk_table(folder.iteration_path(chosen, "data.star"))
    if line["phase"] == "starts":
        raise RunFolderError(
            f"{folder.path} was comparing random starts at iteration {chosen}; expected one of the "
            "search or later, where junk is recognised; continue the run, or choose a later "
            "iteration"
        )
    is_kept = found.junk_probability <= max_junk
    if not is_kept.any():
        raise SettingsError(
            f"no particle of {found.table.path} has a probability of junk of at most "
            f"{max_junk:g}; the lowest is {found.junk_probability.min():.3f}; give a higher "
            "--max-junk"
        )
    return JunkSelection(chosen, max_junk, found, is_kept, folder.read_record())


def _choose_iteration(folder: RunFolder, wanted: int | None) -> tuple[int, dict[str, Any]]:
    """Return a written iteration and its line of progress."""
    written = written_iterations(folder)
    if not written:
        raise RunFolderError(
            f"{folder.path} has no run_itNNN_data.star yet; expected the particles of a written "
            "iteration; wait for the first one, or continue the run"
        )
    chosen = max(written) if wanted is None else wanted
    if chosen not in written:
        listed = ", ".join(map(str, written))
        raise RunFolderError(
            f"{folder.path} has no particles of iteration {chosen}; choose one of: {listed}"
        )
    return chosen, written[chosen]
