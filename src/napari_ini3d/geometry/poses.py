"""Turn the poses of particles with the map they belong to.

A point x of the map is seen in a particle's image at ``p = (A x)_xy - o``, where A is the matrix
of the Euler angles (`geometry.euler`) and o the origin, the shift that brings the particle onto
the box centre. The map is moved so that what was at x is now at ``x' = M (x - s)``. Put
``x = Mᵀ x' + s`` into the first formula::

    p = (A Mᵀ x')_xy + (A s)_xy - o

The image has not changed, so the new pose must be ``A' = A Mᵀ`` and ``o' = o - (A s)_xy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.geometry.euler import euler_to_matrix, matrix_to_euler
from napari_ini3d.particles import Assignments

if TYPE_CHECKING:
    from napari_ini3d.symmetry import SymmetryAlignment


def rotate_poses(
    angles: FloatArray, origins: FloatArray, rotation: FloatArray, shift: Sequence[float]
) -> tuple[Float64, Float64]:
    """Return the poses that particles have once their map was shifted and turned.

    Parameters
    ----------
    angles : (N, 3)
        rot, tilt, psi in degrees.
    origins : (N, 2)
        x, y in Å, RELION's sign.
    rotation : (3, 3)
        M: what was at x is now at ``M (x - shift)``.
    shift : (3,)
        (x, y, z), Å.

    Returns
    -------
    angles : (N, 3) float64
    origins : (N, 2) float64
    """
    matrices = euler_to_matrix(angles[:, 0], angles[:, 1], angles[:, 2])
    turned = matrix_to_euler(matrices @ np.asarray(rotation, dtype=np.float64).T)
    seen = matrices[:, :2] @ np.asarray(shift, dtype=np.float64)  # (N, 2)
    return turned, np.asarray(origins, dtype=np.float64) - seen


def rotate_assignments(assignments: Assignments, alignment: SymmetryAlignment) -> Assignments:
    """Return what was found for N particles, as it stands to the aligned map.

    Only angles and origins change; particles that were never visited change with the others.
    """
    angles = np.stack([assignments.rot, assignments.tilt, assignments.psi], axis=1)
    origins = np.stack([assignments.origin_x, assignments.origin_y], axis=1)
    turned, moved = rotate_poses(angles, origins, alignment.rotation, alignment.shift)
    rot, tilt, psi = turned.T.astype(np.float32)
    origin_x, origin_y = moved.T.astype(np.float32)
    return replace(assignments, rot=rot, tilt=tilt, psi=psi, origin_x=origin_x, origin_y=origin_y)


def flip_angles(angles: FloatArray) -> Float64:
    """Return the angles (N, 3) under which the mirrored map is seen as the map was before.

    rot and psi lie in (-180, 180] where they did before.
    """
    rot, tilt, psi = np.asarray(angles, dtype=np.float64).T
    return np.stack([_opposite(rot), tilt, _opposite(psi)], axis=1)


def _opposite(degrees: Float64) -> Float64:
    return np.where(degrees > 0, degrees - 180, degrees + 180)
