"""Tasks of the dock *Symmetry*, run in a thread: arrays in, records out, no Qt."""

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
    GroupAxes,
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
    """An aligned map, and the validation of the group imposed on it.

    Attributes
    ----------
    aligned : Origin
        The map before the group was imposed.
    validation : SymmetryValidation
    """

    aligned: Origin
    validation: SymmetryValidation


def check_group(name: str) -> PointGroup:
    """Return a group that has axes.

    Raises
    ------
    SymmetryError
        If the name is unknown.
    SettingsError
        For C1.
    """
    group = PointGroup.parse(name)
    if group.order == 1:
        raise SettingsError(f"{group.name} has no axes; choose another point group, such as D2")
    return group


def find_symmetry(task: Task, volume: FloatArray, voxel_size: float) -> SymmetryReport:
    """Find the point group of a map."""
    task.step("Searching for symmetry axes")
    return detect_symmetry(volume, voxel_size=voxel_size)


def find_alignment(
    task: Task, volume: FloatArray, group: str, voxel_size: float
) -> SymmetryAlignment:
    """Find the rotation and shift that align a map to RELION's convention for a group."""
    task.step(f"Aligning to {group}")
    return align_symmetry(volume, group, voxel_size=voxel_size)


def apply_motion(task: Task, origin: Origin, motion: RigidTransform) -> Origin:
    """Move a map: resample the original once, with all motions combined."""
    task.step("Resampling")
    return origin if motion.is_identity else origin.moved(motion)


def impose_group(
    task: Task, origin: Origin, motion: RigidTransform, group: PointGroup, voxel_size: float
) -> Imposed:
    """Move a map, impose a group on it, and validate the group."""
    aligned = apply_motion(task, origin, motion)
    task.step(f"Imposing {group.name}")
    return Imposed(aligned, validate_symmetry(aligned.result, group, voxel_size=voxel_size))


def flip_map(task: Task, origin: Origin) -> Origin:
    """Return the mirror image of a map."""
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
    """Write a map as shown, with its original densities."""
    moved = apply_motion(task, origin, motion)
    task.step(f"Writing {path.name}")
    write_map(path, moved.result / density_scale, voxel_size)
    return path


def save_particles(
    task: Task, source: Path, target: Path, origin: Origin, voxel_size: float
) -> Path:
    """Write particles with the poses of the flipped and moved map.

    Raises
    ------
    SettingsError
        If the source would be overwritten.
    StarError
        If the particles have no poses.
    """
    if source.resolve() == target.resolve():
        raise SettingsError(f"{target} is the file of the original particles; choose another file")
    task.step(f"Rotating the particles of {source.name}")
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
    """Score of a group for a map under a motion; the transform of the map is kept for speed.

    For one thread at a time. The score is that of `GroupCandidate`.
    """

    def __init__(self) -> None:
        self._volume: FloatArray | None = None
        self._search: Search | None = None

    def of(self, volume: FloatArray, group: PointGroup, motion: RigidTransform) -> float:
        """Return the agreement of the moved map with its rotated copies.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        group : PointGroup
        motion : RigidTransform
            RigidTransform of the preview.

        Returns
        -------
        float
            1 if the group holds.
        """
        if self._search is None or self._volume is not volume:
            check_volume(volume, 1.0)
            self._volume, self._search = volume, Search.of(volume)
        search_map = self._search.search_map
        centre = (motion.shift - search_map.offset) / search_map.side
        scores = score_group(search_map, group, GroupAxes(motion.rotation.T, centre))
        return float(np.clip(scores.agreement, -1, 1))
