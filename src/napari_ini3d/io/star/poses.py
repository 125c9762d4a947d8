"""Poses in a particle STAR file: reading, and changes that keep all other bytes of the file.

To rotate, mirror, expand or fold them, only the values of the angles and origins are replaced.
Blocks, columns, their order, comments and the format of all other values stay the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64
from napari_ini3d.errors import StarError, SymmetryError
from napari_ini3d.geometry import (
    PointGroup,
    RigidTransform,
    expand_angles,
    flip_angles,
    fold_angles,
    rotate_poses,
)
from napari_ini3d.io.star.columns import Columns, read_numbers
from napari_ini3d.io.star.image_names import split_image_names
from napari_ini3d.io.star.optics import convert_single_table, read_optics_groups
from napari_ini3d.io.star.rewrite import ColumnChange, rewrite_columns
from napari_ini3d.io.star.tables import read_tables
from napari_ini3d.particles import ParticlePoses

logger = logging.getLogger(__name__)

_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_ORIGINS = ("rlnOriginX", "rlnOriginY")


def read_poses(path: Path | str) -> ParticlePoses:
    """Read the image names and poses of a particle STAR file; its stacks need not exist.

    Particles of class 0, which a run of this package never used, have no pose and are left out.

    Raises
    ------
    StarError
        If the file cannot be read, has no angles, has particles of class 0 only, or describes 3D
        particles.
    """
    star_path = Path(path)
    return poses_of(star_path, *read_tables(star_path))


def poses_of(star_path: Path, optics: Columns | None, columns: Columns) -> ParticlePoses:
    """Return the image names and poses of a particle table, as `read_poses` does.

    Parameters
    ----------
    star_path : Path
        File of the table, for messages.
    optics, columns : mapping
        Tables of the optics groups, if there is one, and of the particles.
    """
    angles = read_angles(star_path, columns)
    origins = _Origins.read(star_path, optics, columns).angstrom
    names, stack_index, image_index = split_image_names(columns["rlnImageName"].tolist(), star_path)
    used = np.ones(len(angles), dtype=bool)
    if "rlnClassNumber" in columns:
        used = read_numbers(star_path, columns, "rlnClassNumber") >= 1
    if not used.any():
        raise StarError(
            f"{star_path}: all {len(used)} particles have rlnClassNumber 0, which means no pose; "
            "expected particles with the poses of a 3D reconstruction"
        )
    return ParticlePoses(
        source=str(star_path),
        stack_names=tuple(names),
        stack_index=stack_index[used],
        image_index=image_index[used],
        angles=angles[used],
        origins=origins[used],
        n_unassigned=int((~used).sum()),
    )


def rotate_particles(source: Path | str, target: Path | str, transform: RigidTransform) -> None:
    """Write particles with the poses that belong to an aligned map.

    Only the angles and origins (in Å, or in pixels as in RELION 3.0) are changed, in the rows of
    all classes; the maps of other classes have to be rotated in the same way. Origins are added
    if the file has none.

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.
    transform : RigidTransform
        Of the map, Å, such as that of a `SymmetryAlignment`.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or describes 3D particles.
    RunFolderError
        If the target cannot be written.
    """

    def rotate(path: Path, optics: Columns | None, columns: Columns) -> ColumnChange:
        origins = _Origins.read(path, optics, columns)
        angles, moved = rotate_poses(read_angles(path, columns), origins.angstrom, transform)
        return ColumnChange.to(_angle_columns(angles) | origins.columns(moved))

    rewrite_columns(Path(source), Path(target), rotate)


def flip_particles(source: Path | str, target: Path | str) -> None:
    """Write particles with the poses that belong to the mirrored map (`mirror_map`).

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or describes 3D particles.
    RunFolderError
        If the target cannot be written.
    """

    def flip(path: Path, _optics: Columns | None, columns: Columns) -> ColumnChange:
        return ColumnChange.to(_angle_columns(flip_angles(read_angles(path, columns))))

    rewrite_columns(Path(source), Path(target), flip)


def replace_angles(source: Path | str, target: Path | str, angles: Float64) -> None:
    """Write particles with other angles, for instance those of another asymmetric unit.

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.
    angles : (N, 3) float64
        rot, tilt, psi in degrees, of all rows.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or another number of rows.
    RunFolderError
        If the target cannot be written.
    """

    def replace(path: Path, _optics: Columns | None, columns: Columns) -> ColumnChange:
        n_rows = len(read_angles(path, columns))
        if n_rows != len(angles):
            raise StarError(f"{path}: {n_rows} particles; expected {len(angles)}")
        return ColumnChange.to(_angle_columns(angles))

    rewrite_columns(Path(source), Path(target), replace)


def expand_particles(source: Path | str, target: Path | str, group: str | PointGroup) -> int:
    """Write each particle once per operator of a point group, in each of its equivalent poses.

    Like RELION's `relion_particle_symmetry_expand`, for the analysis of single asymmetric units.
    The poses must belong to a map on RELION's axes of the group. The copies of a particle follow
    each other, first the particle as it is; all columns but the angles are the same. Refine them
    with local searches only, and not with symmetry.

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.
    group : str or PointGroup
        Such as "D2".

    Returns
    -------
    int
        Number of rows written: particles times operators.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or describes 3D particles.
    SymmetryError
        If the group is unknown, or C1.
    RunFolderError
        If the target cannot be written.
    """
    point_group = _group_with_copies(group, "expand")
    n_particles = _rewrite_angles(
        Path(source), Path(target), lambda angles: expand_angles(angles, point_group)
    )
    return n_particles * point_group.order


def fold_particles(source: Path | str, target: Path | str, group: str | PointGroup) -> int:
    """Write particles with their poses in one asymmetric unit of a point group.

    Of the equivalent poses of a particle one is chosen, always the same, so that the poses of two
    runs can be compared and views are counted once. The poses must belong to a map on RELION's
    axes of the group.

    Parameters
    ----------
    source : Path or str
        STAR file of particles with the poses of a 3D reconstruction.
    target : Path or str
        STAR file to write, completely or not at all.
    group : str or PointGroup
        Such as "D2".

    Returns
    -------
    int
        Number of particles.

    Raises
    ------
    StarError
        If the source cannot be read, has no angles, or describes 3D particles.
    SymmetryError
        If the group is unknown, or C1.
    RunFolderError
        If the target cannot be written.
    """
    point_group = _group_with_copies(group, "fold")
    return _rewrite_angles(
        Path(source), Path(target), lambda angles: fold_angles(angles, point_group)[:, None]
    )


def _group_with_copies(group: str | PointGroup, verb: str) -> PointGroup:
    point_group = group if isinstance(group, PointGroup) else PointGroup.parse(group)
    if point_group.order == 1:
        raise SymmetryError(
            f"{point_group.name} has a single asymmetric unit, so that there is nothing to {verb}; "
            "give the point group of the map, such as D2"
        )
    return point_group


def _rewrite_angles(source: Path, target: Path, change: Callable[[Float64], Float64]) -> int:
    """Replace angles (n, 3) by K poses each, (n, K, 3), and return the number of particles."""

    def change_columns(path: Path, _optics: Columns | None, columns: Columns) -> ColumnChange:
        angles = read_angles(path, columns)  # (N, 3)
        _warn_of_unassigned(path, columns)
        return ColumnChange(_ANGLES, len(angles), lambda rows: _angle_columns(change(angles[rows])))

    return rewrite_columns(source, target, change_columns)


def _warn_of_unassigned(path: Path, columns: Columns) -> None:
    if "rlnClassNumber" not in columns:
        return
    unassigned = int((read_numbers(path, columns, "rlnClassNumber") < 1).sum())
    if unassigned:
        logger.warning(
            "%s: %d particles have rlnClassNumber 0, which means no pose; they are written too",
            path,
            unassigned,
        )


class _Origins:
    """Origins of a particle table in Å, and their conversion to the units of its columns."""

    def __init__(self, angstrom: Float64, units: dict[str, Float64]) -> None:
        self.angstrom = angstrom  # (N, 2)
        self._units = units  # suffix of the column -> (N,) Å per unit

    @classmethod
    def read(cls, path: Path, optics: Columns | None, columns: Columns) -> _Origins:
        suffixes = [s for s in ("Angst", "") if f"{_ORIGINS[0]}{s}" in columns]
        found = bool(suffixes)
        suffixes = suffixes or (["Angst"] if optics is not None else [""])
        n_rows = len(columns["rlnImageName"])
        units = {"Angst": np.ones(n_rows)} if "Angst" in suffixes else {}
        if "" in suffixes:
            units[""] = _pixel_sizes(path, optics, columns)
        if not found:
            return cls(np.zeros((n_rows, 2)), units)
        names = [f"{name}{suffixes[0]}" for name in _ORIGINS]
        values = np.stack([read_numbers(path, columns, name) for name in names], axis=1)
        return cls(values * units[suffixes[0]][:, None], units)

    def columns(self, angstrom: Float64) -> dict[str, Float64]:
        """Return new origins (N, 2) as columns, in the units of the table."""
        return {
            f"{name}{suffix}": values / unit
            for suffix, unit in self._units.items()
            for name, values in zip(_ORIGINS, angstrom.T, strict=True)
        }


def _pixel_sizes(path: Path, optics: Columns | None, columns: Columns) -> Float64:
    """Return Å per pixel of each particle."""
    if optics is None:
        optics, columns = convert_single_table(path, columns, ctf=False)
    groups, index = read_optics_groups(path, optics, columns, ctf=False)
    return np.array([group.pixel_size for group in groups])[index]


def read_angles(path: Path, columns: Columns) -> Float64:
    """Return rot, tilt, psi of all rows of a particle table, (N, 3), degrees."""
    missing = [name for name in _ANGLES if name not in columns]
    if missing:
        raise StarError(
            f"{path}: data_particles has no {' and no '.join(missing)}; expected particles with "
            "the poses of a 3D reconstruction, such as a run's last _data.star"
        )
    return np.stack([read_numbers(path, columns, name) for name in _ANGLES], axis=1)


def _angle_columns(angles: Float64) -> dict[str, Float64]:
    return {name: angles[..., i] for i, name in enumerate(_ANGLES)}
