"""Tasks of the dock *Symmetry*, run in a thread: arrays in, records out, no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry import PointGroup, RigidTransform
from napari_ini3d.io import flip_particles, rotate_particles, temporary_folder, write_map
from napari_ini3d.plugin.viewer import Origin, RunHalves, Task
from napari_ini3d.symmetry import (
    GroupAxes,
    GroupCandidate,
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

CRITERION = (
    "This is not the resolution of the map, but where the FSC of the map with its symmetry copies "
    "falls below that of a symmetric map with the same noise, or below 0.143."
)
"""Of the resolution to which a group holds, in detection, alignment and validation."""

_NO_SYMMETRY = "No symmetry found: C1"
_NEAR_ANGLE, _NEAR_SHIFT = 1.0, 0.5  # degrees, voxels


@dataclass(frozen=True, eq=False)
class Imposed:
    """An aligned map, and the validation of the group imposed on it.

    Attributes
    ----------
    aligned : Origin
        The map before the group was imposed.
    validation : SymmetryValidation
    motion : RigidTransform
        That aligned it.
    halves : RunHalves or None
        The half-maps from which its noise was measured.
    """

    aligned: Origin
    validation: SymmetryValidation
    motion: RigidTransform
    halves: RunHalves | None = None

    def is_of(self, group: str, motion: RigidTransform, halves: RunHalves | None) -> bool:
        """Tell whether this is what imposing a group after a motion would give."""
        same = self.validation.group == group and self.halves == halves
        return same and motion.after(self.motion.inverse()).is_identity

    def is_near(self, group: str, motion: RigidTransform, halves: RunHalves | None) -> bool:
        """Tell whether a group was imposed after nearly the same motion."""
        rest = motion.after(self.motion.inverse())
        near = rest.angle < _NEAR_ANGLE and np.linalg.norm(rest.shift) < _NEAR_SHIFT
        return self.validation.group == group and self.halves == halves and bool(near)


@dataclass(frozen=True, eq=False)
class Detected:
    """The symmetry of a map.

    Attributes
    ----------
    report : SymmetryReport
    imposed : Imposed or None
        The group that was found, imposed on the map on its axes; None for C1.
    from_halves : bool
        True if the noise was measured from the half-maps of a run.
    imposed_before : str or None
        Group that was imposed on the map before it was searched.
    """

    report: SymmetryReport
    imposed: Imposed | None
    from_halves: bool = False
    imposed_before: str | None = None

    @property
    def group(self) -> str:
        """The group of the map; C1 if the one that was found does not pass its validation."""
        return self.report.group if self.imposed and self.imposed.validation.holds else "C1"

    @property
    def verdict(self) -> str:
        """The verdict of the validation, or that no symmetry was found or none can be told."""
        if self.imposed is not None:
            return self.imposed.validation.verdict
        return self.report.verdict.removesuffix(".") if self.report.featureless else _NO_SYMMETRY

    def after(self, imposed: Imposed) -> Detected:
        """Return the result with a later validation of the same group on this map."""
        same = self.imposed is not None and imposed.validation.group == self.report.group
        return replace(self, imposed=imposed) if same else self

    def holds(self, candidate: GroupCandidate) -> bool:
        """Tell whether the map has a group of the report."""
        if self.imposed is not None and candidate.group == self.imposed.validation.group:
            return self.imposed.validation.holds
        return candidate.holds


@dataclass(frozen=True, eq=False)
class Aligned:
    """The alignment of a map, and its group imposed on it.

    Attributes
    ----------
    alignment : SymmetryAlignment
    imposed : Imposed
    """

    alignment: SymmetryAlignment
    imposed: Imposed


def is_by_construction(group: str, imposed: str | None) -> bool:
    """Tell whether a map has a group because that, or one that contains it, was imposed on it."""
    order = PointGroup.parse(group).order
    return order > 1 and imposed is not None and PointGroup.parse(imposed).order % order == 0


def warn_of_imposed(group: str) -> str:
    """Return what a group says that is found in a map on which it was imposed."""
    return (
        f"⚠ {group} was imposed on this map: that it holds says nothing about the particle; choose "
        "the map before."
    )


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


def find_symmetry(
    task: Task,
    origin: Origin,
    voxel_size: float,
    known: Imposed | None = None,
    halves: RunHalves | None = None,
) -> Detected:
    """Find the point group of a map, and validate it.

    The resolution to which a group holds is always that of its validation, so that detection,
    alignment and validation state the same number.

    Parameters
    ----------
    task : Task
    origin : Origin
    voxel_size : float
        Å.
    known : Imposed, optional
        An earlier validation of this map; it is kept if it is of the same group and axes.
    halves : RunHalves, optional
        Half-maps of the run of this map, from which the noise is measured.
    """
    task.step("Searching for symmetry axes")
    half_maps = None if halves is None else halves.read(origin)
    report = detect_symmetry(origin.result, voxel_size=voxel_size, half_maps=half_maps)
    if report.group == "C1":
        return Detected(report, None, half_maps is not None)
    best = report.candidates[0]
    motion = RigidTransform(best.rotation, np.array(best.centre)).in_voxels(voxel_size)
    imposed = _validate(task, origin, best.group, motion, voxel_size, known, halves)
    return Detected(report, imposed, half_maps is not None)


def find_alignment(
    task: Task,
    origin: Origin,
    group: str,
    voxel_size: float,
    known: Imposed | None = None,
    halves: RunHalves | None = None,
) -> Aligned:
    """Find the rotation and shift that align a map to RELION's convention for a group.

    The parameters are those of `find_symmetry`; the alignment is that of `known` if they agree.
    """
    task.step(f"Aligning to {group}")
    half_maps = None if halves is None else halves.read(origin)
    found = align_symmetry(origin.result, group, voxel_size=voxel_size, half_maps=half_maps)
    motion = found.transform.in_voxels(voxel_size)
    return Aligned(found, _validate(task, origin, found.group, motion, voxel_size, known, halves))


def _validate(
    task: Task,
    origin: Origin,
    group: str,
    motion: RigidTransform,
    voxel_size: float,
    known: Imposed | None,
    halves: RunHalves | None,
) -> Imposed:
    if known is not None and known.is_near(group, motion, halves):
        return known
    return impose_group(task, origin, motion, PointGroup.parse(group), voxel_size, halves)


def apply_motion(task: Task, origin: Origin, motion: RigidTransform) -> Origin:
    """Move a map: resample the original once, with all motions combined."""
    task.step("Resampling")
    return origin if motion.is_identity else origin.moved(motion)


def impose_group(
    task: Task,
    origin: Origin,
    motion: RigidTransform,
    group: PointGroup,
    voxel_size: float,
    halves: RunHalves | None = None,
) -> Imposed:
    """Move a map, impose a group on it, and validate the group; the halves are moved likewise."""
    aligned = apply_motion(task, origin, motion)
    task.step(f"Imposing {group.name}")
    half_maps = None if halves is None else halves.read(aligned)
    validation = validate_symmetry(
        aligned.result, group, voxel_size=voxel_size, half_maps=half_maps
    )
    return Imposed(aligned, validation, motion, halves)


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
    file_origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Path:
    """Write a map as shown, with its original densities and the ORIGIN of its file (Å)."""
    moved = apply_motion(task, origin, motion)
    task.step(f"Writing {path.name}")
    write_map(path, moved.result / density_scale, voxel_size, origin=file_origin)
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
    with temporary_folder() as folder:
        flipped = folder / source.name
        flip_particles(source, flipped)
        rotate_particles(flipped, target, motion)
    return target


class MotionScore:
    """Score of a group for a map under a motion; the transform of the map is kept for speed.

    For one thread at a time. The score is that of `GroupCandidate`.
    """

    def __init__(self) -> None:
        self._volume: FloatArray | None = None
        self._halves: RunHalves | None = None
        self._search: Search | None = None

    def of(
        self,
        origin: Origin,
        group: PointGroup,
        motion: RigidTransform,
        halves: RunHalves | None = None,
    ) -> float:
        """Return the agreement of the moved map with its rotated copies.

        Parameters
        ----------
        origin : Origin
            Of the map.
        group : PointGroup
        motion : RigidTransform
            Of the preview.
        halves : RunHalves, optional
            Half-maps of the run of this map, from which the noise is measured.

        Returns
        -------
        float
            1 if the group holds.
        """
        volume = origin.result
        if self._search is None or self._volume is not volume or self._halves != halves:
            check_volume(volume, 1.0)
            half_maps = None if halves is None else halves.read(origin)
            search = Search.of(volume, half_maps=half_maps)
            self._volume, self._halves, self._search = volume, halves, search
        search_map = self._search.search_map
        centre = (motion.shift - search_map.offset) / search_map.side
        scores = score_group(search_map, group, GroupAxes(motion.rotation.T, centre))
        return float(np.clip(scores.agreement, -1, 1))
