"""Selection of the particles of a run by their probability of junk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import BoolArray
from napari_ini3d.errors import RunFolderError, SettingsError
from napari_ini3d.io import JunkTable, keep_stack_names, read_junk_table, write_particle_subset
from napari_ini3d.runs.folder import RunFolder

_DATA_NAME = re.compile(r"run_it(\d+)_data\.star")


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
    sources : tuple of Path
        STAR files from whose folders the image names hold.
    """

    iteration: int
    max_junk: float
    found: JunkTable
    is_kept: BoolArray
    sources: tuple[Path, ...]

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

        Raises
        ------
        RunFolderError
            If the file cannot be written.
        """
        rows = np.flatnonzero(self.is_kept == kept)
        write_particle_subset(path, keep_stack_names(self.found.table, self.sources), rows)


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
    sources = (Path(folder.read_record().particles), found.table.path)
    return JunkSelection(chosen, max_junk, found, is_kept, sources)


def _choose_iteration(folder: RunFolder, wanted: int | None) -> tuple[int, dict[str, Any]]:
    """Return a written iteration and its line of progress."""
    matches = (_DATA_NAME.fullmatch(path.name) for path in folder.path.iterdir())
    written = {int(match[1]) for match in matches if match}
    # files of iterations after the one resumed from are left of the earlier run
    lines = {line["iteration"]: line for line in folder.read_progress()}
    usable = sorted(written & lines.keys())
    if not usable:
        raise RunFolderError(
            f"{folder.path} has no run_itNNN_data.star yet; expected the particles of a written "
            "iteration; wait for the first one, or continue the run"
        )
    chosen = usable[-1] if wanted is None else wanted
    if chosen not in usable:
        listed = ", ".join(map(str, usable))
        raise RunFolderError(
            f"{folder.path} has no particles of iteration {chosen}; choose one of: {listed}"
        )
    return chosen, lines[chosen]
