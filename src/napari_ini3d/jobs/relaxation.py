"""Relaxation of a finished run: its particles in the asymmetric units that fit them best."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import Float32, Float64, IntArray
from napari_ini3d.engine import Relaxation, relax_symmetry
from napari_ini3d.errors import RunFolderError, SymmetryError
from napari_ini3d.fourier import resize_map, rotate_map
from napari_ini3d.geometry import (
    PointGroup,
    matrix_to_euler,
    symmetry_operators,
)
from napari_ini3d.io import (
    read_map,
    replace_angles,
    temporary_folder,
    write_map,
)
from napari_ini3d.jobs.posed_run import PosedRun
from napari_ini3d.preflight import PixelGrid, particle_grid
from napari_ini3d.runs import ClassChoice, RunFolder, choose_class
from napari_ini3d.symmetry import (
    CLOSE_AGREEMENT,
    SymmetryAlignment,
    align_symmetry,
    alignment_values,
    impose_symmetry,
    remaining_subgroup,
    rotation_to_setting,
)

logger = logging.getLogger(__name__)

_LEAST_DEVIATIONS = 5.0  # of the mean log likelihood, for units to be told apart


@dataclass(frozen=True, slots=True)
class RelaxationFiles:
    """Files that a relaxation writes.

    Attributes
    ----------
    map_path : Path
        Map of the particles in their units.
    particles_path : Path or None
        STAR file.
    difference_path : Path or None
        Map of what differs from the mean of all units.
    """

    map_path: Path
    particles_path: Path | None = None
    difference_path: Path | None = None

    def paths(self) -> dict[str, Path]:
        """Return the paths to write, by their content."""
        found = {
            "output": self.map_path,
            "particles_output": self.particles_path,
            "difference": self.difference_path,
        }
        return {name: path for name, path in found.items() if path is not None}


@dataclass(frozen=True, slots=True)
class RelaxedRun:
    """What a relaxation found.

    Attributes
    ----------
    group, subgroup : str
        The pseudo-symmetry, and what is left of it.
    alignment : SymmetryAlignment
        Of the map of the run to the group.
    n_particles, n_moved : int
        Of the class, and those that are now in another unit.
    probability : float
        Of the unit, or of those that the subgroup makes equal; mean over the particles.
    gain : float
        Mean log likelihood of a particle over that under the symmetric map.
    told_apart : bool
        Whether the particles fit the asymmetric map better than the symmetric one.
    imposed : bool
        Whether map and poses are on RELION's axes of the subgroup, which was imposed.
    """

    group: str
    subgroup: str
    alignment: SymmetryAlignment
    n_particles: int
    n_moved: int
    probability: float
    gain: float
    told_apart: bool
    imposed: bool

    @property
    def verdict(self) -> str:
        """The result in words."""
        if not self.told_apart:
            return (
                f"the particles fit a map without symmetry no better than one with {self.group}: "
                "their asymmetric units cannot be told apart"
            )
        left = "no subgroup" if self.subgroup == "C1" else self.subgroup
        return (
            f"{self.group} is a pseudo-symmetry of the particles; {left} holds. The log likelihood "
            f"of a particle rises by {self.gain:.2f}, and the probability of its unit is "
            f"{self.probability:.0%} on average"
        )

    def values(self) -> dict[str, Any]:
        """Return the result as values that JSON can hold."""
        return {
            "group": self.group,
            "subgroup": self.subgroup,
            "told_apart": self.told_apart,
            "imposed": self.imposed,
            "particles": self.n_particles,
            "moved": self.n_moved,
            "probability": round(self.probability, 6),
            "gain": round(self.gain, 6),
            "verdict": self.verdict,
            "alignment": alignment_values(self.alignment),
        }


def relax_run(
    path: Path,
    group: str,
    files: RelaxationFiles,
    *,
    choice: ClassChoice = "largest",
    impose_subgroup: bool = False,
    force: bool = False,
    threads: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> RelaxedRun | None:
    """Find the asymmetric unit of each particle of a run, and write the map that follows.

    The map of the run is aligned to the group, and the poses of its particles with it. Each
    particle is then compared in all units with an asymmetric map (`engine.relax_symmetry`).

    Parameters
    ----------
    path : Path
        Folder of the run.
    group : str
        The pseudo-symmetry.
    files : RelaxationFiles
        Written only if the work is not stopped.
    choice : str
        Class of the run.
    impose_subgroup : bool
        Bring map and poses to RELION's axes of the subgroup that is left, and impose it.
    force : bool
        Go on where the map is not close to the group.
    threads : int
        0 means as many as the process may use.
    stop : callable
        Called after every iteration.

    Returns
    -------
    RelaxedRun or None
        None if the work was stopped.

    Raises
    ------
    SymmetryError
        If the group is unknown, or the map is not close to it.
    Ini3dError
        If the run or its images cannot be read.
    """
    point_group = PointGroup.parse(group)
    folder = RunFolder.open(path)
    for target in files.paths().values():  # before hours of work
        if not target.absolute().parent.is_dir():
            raise RunFolderError(
                f"{target} cannot be written: {target.absolute().parent} is not a folder; create "
                "it first, or give another output"
            )
    chosen = choose_class(folder, choice, lambda one: align_symmetry(
        one.data, group, voxel_size=one.voxel_size, threads=threads).score)  # fmt: skip
    found = read_map(chosen.map_path)
    alignment = align_symmetry(found.data, group, voxel_size=found.voxel_size, threads=threads)
    if alignment.score < CLOSE_AGREEMENT and not force:  # it has no units to choose among
        raise SymmetryError(
            f"{chosen.map_path}: {alignment.verdict}; expected a map that is close to "
            f"{point_group.name}; give its pseudo-symmetry, or --force to go on"
        )
    with temporary_folder() as temporary:
        posed = PosedRun.read(
            folder,
            chosen.particles_path,
            chosen.class_index,
            alignment.transform,
            temporary / "aligned.star",
        )
        with closing(posed.open_images(threads)) as images:
            settings = posed.settings.with_changes(threads=threads)
            relaxed = relax_symmetry(
                images, posed.particles, settings, posed.poses, point_group, stop=stop
            )
        if relaxed is None:
            return None
        result = _Result.of(posed, point_group, relaxed, threads, impose=impose_subgroup)
        result.write(files)
    return result.summary(alignment)


@dataclass(frozen=True, slots=True)
class _Result:
    """A relaxation, the operators of the subgroup that is left, and the final transform."""

    posed: PosedRun
    group: PointGroup
    relaxed: Relaxation
    members: IntArray
    told_apart: bool
    subgroup: PointGroup
    rotation: Float64
    imposed: bool

    @classmethod
    def of(
        cls, posed: PosedRun, group: PointGroup, relaxed: Relaxation, threads: int, *, impose: bool
    ) -> _Result:
        told_apart = _is_significant(relaxed.gain)
        members = np.arange(group.order)
        if told_apart:
            first, second = relaxed.differences
            members = remaining_subgroup(first, second, group, threads=threads)
        subgroup, rotation = rotation_to_setting(symmetry_operators(group)[members])
        return cls(posed, group, relaxed, members, told_apart, subgroup, rotation, impose)

    def summary(self, alignment: SymmetryAlignment) -> RelaxedRun:
        """Return the result as a record."""
        return RelaxedRun(
            group=self.group.name,
            subgroup=self.subgroup.name,
            alignment=alignment,
            n_particles=len(self.posed.particles),
            n_moved=int(np.count_nonzero(self.relaxed.operators)),
            probability=float(self.relaxed.probability_within(self.group, self.members).mean()),
            gain=float(self.relaxed.gain.mean()),
            told_apart=self.told_apart,
            imposed=self.imposed,
        )

    def write(self, files: RelaxationFiles) -> None:
        """Write the maps and the particles, in the box of the particles."""
        grid = particle_grid(self.posed.particles)
        if files.particles_path is not None:
            self._write_particles(files.particles_path)
        if files.difference_path is not None:
            difference = self._on_axes(self.relaxed.differences.mean(axis=0), impose=False)
            _write(files.difference_path, difference, grid)
        _write(files.map_path, self._on_axes(self.relaxed.volume, impose=self.imposed), grid)

    def _on_axes(self, volume: Float32, *, impose: bool) -> Float32:
        """Return a map on RELION's axes of the subgroup, if it is to be imposed."""
        if not self.imposed:
            return volume
        moved = rotate_map(volume, self.rotation, np.zeros(3))
        return impose_symmetry(moved, self.subgroup) if impose else moved

    def _write_particles(self, path: Path) -> None:
        posed = self.posed
        operators = symmetry_operators(self.group)
        matrices, rows = posed.matrices.copy(), posed.particles.row
        matrices[rows] = matrices[rows] @ operators[self.relaxed.operators]
        if self.imposed:
            matrices = matrices @ self.rotation.T
        replace_angles(posed.star_path, path, matrix_to_euler(matrices))


def _is_significant(gain: Float64) -> bool:
    """Return whether a mean log likelihood is above 0 by more than chance."""
    deviation = float(gain.std()) / np.sqrt(len(gain))
    return bool(gain.mean() > _LEAST_DEVIATIONS * deviation)


def _write(path: Path, volume: Float32, grid: PixelGrid) -> None:
    write_map(path, resize_map(volume, grid.box_size), grid.pixel_size)
