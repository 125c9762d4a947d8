"""The work behind the dock *Symmetry*, done in a thread: arrays in, records out, no Qt."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry import PointGroup, RigidTransform
from napari_ini3d.io import flip_particles, rotate_particles, write_map
from napari_ini3d.plugin.viewer import Origin, Task
from napari_ini3d.symmetry import (
    Fit,
    Search,
    SymmetryAlignment,
    SymmetryReport,
    SymmetryValidation,
    align_symmetry,
    check_volume,
    detect_symmetry,
    score_group,
    validate_symmetry,
)


@dataclass(frozen=True, eq=False)
class Imposed:
    """A map on its axes, and what became of it.

    Attributes
    ----------
    aligned : Origin
        What the group was imposed on.
    validation : SymmetryValidation
    """

    aligned: Origin
    validation: SymmetryValidation


def check_group(name: str) -> PointGroup:
    """Return a group that has axes.

    Raises
    ------
    SymmetryError
        Where the name is unknown.
    SettingsError
        For C1.
    """
    group = PointGroup.parse(name)
    if group.order == 1:
        raise SettingsError(f"{group.name} has no axes; choose another point group, such as D2")
    return group


def find_symmetry(task: Task, volume: FloatArray, voxel_size: float) -> SymmetryReport:
    """Find the point group of a map."""
    task.step("Looking for axes")
    return detect_symmetry(volume, voxel_size=voxel_size)


def find_alignment(
    task: Task, volume: FloatArray, group: str, voxel_size: float
) -> SymmetryAlignment:
    """Find how a map is brought onto RELION's setting of a group."""
    task.step(f"Aligning to {group}")
    return align_symmetry(volume, group, voxel_size=voxel_size)


def apply_motion(task: Task, origin: Origin, motion: RigidTransform) -> Origin:
    """Move a map: resampled once, from what it was before all moves."""
    task.step("Resampling")
    return origin if motion.is_identity else origin.moved(motion)


def impose_group(
    task: Task, origin: Origin, motion: RigidTransform, group: PointGroup, voxel_size: float
) -> Imposed:
    """Impose a group on a map that is first moved, and judge."""
    aligned = apply_motion(task, origin, motion)
    task.step(f"Imposing {group.name}")
    return Imposed(aligned, validate_symmetry(aligned.result, group, voxel_size=voxel_size))


def flip_map(task: Task, origin: Origin) -> Origin:
    """Return a map in the other hand."""
    task.step("Flipping the hand")
    return origin.mirrored()


def save_map(
    task: Task,
    origin: Origin,
    motion: RigidTransform,
    path: Path,
    *,
    voxel_size: float,
    density_scale: float,
) -> Path:
    """Write a map where it is shown, with its densities."""
    moved = apply_motion(task, origin, motion)
    task.step(f"Writing {path.name}")
    write_map(path, moved.result / density_scale, voxel_size)
    return path


def save_particles(
    task: Task, source: Path, target: Path, origin: Origin, voxel_size: float
) -> Path:
    """Write particles with poses that belong to the map as it was flipped and moved.

    Raises
    ------
    SettingsError
        Where the source would be overwritten.
    StarError
        Where the particles have no poses.
    """
    if source.resolve() == target.resolve():
        raise SettingsError(f"{target} holds the particles as they were; give another file")
    task.step(f"Turning the particles of {source.name}")
    motion = origin.motion.in_angstrom(voxel_size)
    if not origin.flipped:
        rotate_particles(source, target, motion)
        return target
    if origin.motion.is_identity:
        flip_particles(source, target)
        return target
    with tempfile.TemporaryDirectory() as folder:
        flipped = Path(folder) / source.name
        flip_particles(source, flipped)
        rotate_particles(flipped, target, motion)
    return target


class MotionScore:
    """How well a map shows a group where it is moved to; quick once the map is known.

    Used by one thread at a time. The score is that of `GroupCandidate`.
    """

    def __init__(self) -> None:
        self._volume: FloatArray | None = None
        self._search: Search | None = None

    def of(self, volume: FloatArray, group: PointGroup, motion: RigidTransform) -> float:
        """Return the agreement of the map with its copies about the axes of the setting.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        group : PointGroup
        motion : RigidTransform
            That the map is shown with.

        Returns
        -------
        float
            1 where the group holds.
        """
        if self._search is None or self._volume is not volume:
            check_volume(volume, 1.0)
            self._volume, self._search = volume, Search.of(volume)
        working = self._search.working
        centre = (motion.shift - working.offset) / working.side
        fit = Fit(motion.rotation.T, centre, 0.0, self._search.weight)
        evidence = score_group(working, group, fit)
        return float(np.clip(evidence.agreement, -1, 1))
