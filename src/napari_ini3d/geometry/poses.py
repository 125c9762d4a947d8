"""Rotate the poses of particles together with their map; equivalent poses under a point group.

A point x of the map is seen in a particle's image at ``p = (A x)_xy - o``, where A is the matrix
of the Euler angles (`geometry.euler`) and o the origin, the shift that moves the particle to
the box centre. The map is moved so that what was at x is now at ``x' = M (x - s)``. Inserting
``x = Mᵀ x' + s`` into the first formula gives::

    p = (A Mᵀ x')_xy + (A s)_xy - o

The image has not changed, so the new pose must be ``A' = A Mᵀ`` and ``o' = o - (A s)_xy``.

A map with a point group on its axes does not change under an operator g of the group, so that the
poses ``A g`` are equivalent; the origins stay.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.geometry.euler import euler_to_matrix, matrix_to_euler
from napari_ini3d.geometry.point_groups import (
    PointGroup,
    operator_into_unit,
    symmetry_operators,
)
from napari_ini3d.geometry.rigid import RigidTransform


def rotate_poses(
    angles: FloatArray, origins: FloatArray, transform: RigidTransform
) -> tuple[Float64, Float64]:
    """Return the poses of particles after their map was shifted and rotated.

    Parameters
    ----------
    angles : (N, 3)
        rot, tilt, psi in degrees.
    origins : (N, 2)
        x, y in Å, RELION's sign.
    transform : RigidTransform
        Of the map, Å: what was at x is now at ``M (x - s)``.

    Returns
    -------
    angles : (N, 3) float64
    origins : (N, 2) float64
    """
    matrices = euler_to_matrix(angles[:, 0], angles[:, 1], angles[:, 2])
    rotated = matrix_to_euler(matrices @ transform.rotation.T)  # (N, 3)
    projected_shift = matrices[:, :2] @ transform.shift  # (N, 2)
    return rotated, np.asarray(origins, dtype=np.float64) - projected_shift


def flip_angles(angles: FloatArray) -> Float64:
    """Return the angles (N, 3) under which the mirrored map is seen as the map was before.

    rot and psi are in (-180, 180] if they were before.
    """
    rot, tilt, psi = np.asarray(angles, dtype=np.float64).T
    return np.stack([_opposite(rot), tilt, _opposite(psi)], axis=1)


def expand_angles(angles: FloatArray, group: str | PointGroup) -> Float64:
    """Return the equivalent poses of particles under all operators of a point group.

    Parameters
    ----------
    angles : (N, 3)
        rot, tilt, psi in degrees.
    group : str or PointGroup

    Returns
    -------
    (N, G, 3) float64
        By particle and operator, the identity first.

    Raises
    ------
    SymmetryError
        Where the group is unknown or holds a mirror.
    """
    matrices = euler_to_matrix(angles[:, 0], angles[:, 1], angles[:, 2])  # (N, 3, 3)
    expanded = matrix_to_euler(matrices[:, None] @ symmetry_operators(group))  # (N, G, 3)
    expanded[:, 0] = angles
    return expanded


def fold_angles(angles: FloatArray, group: str | PointGroup) -> Float64:
    """Return the poses of particles in one asymmetric unit of a point group.

    Equivalent poses become the same: see `operator_into_unit`.

    Parameters
    ----------
    angles : (N, 3)
        rot, tilt, psi in degrees.
    group : str or PointGroup

    Returns
    -------
    (N, 3) float64

    Raises
    ------
    SymmetryError
        Where the group is unknown or holds a mirror.
    """
    matrices = euler_to_matrix(angles[:, 0], angles[:, 1], angles[:, 2])  # (N, 3, 3)
    chosen = symmetry_operators(group)[operator_into_unit(matrices, group)]  # (N, 3, 3)
    return matrix_to_euler(matrices @ chosen)


def _opposite(degrees: Float64) -> Float64:
    return np.where(degrees > 0, degrees - 180, degrees + 180)
