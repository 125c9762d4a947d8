"""Rigid transforms: a shift and a rotation of a map, x -> R (x - s)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy

from napari_ini3d._types import Float64, FloatArray

_MIRROR = np.diag([1.0, 1.0, -1.0])
_SHIFT_TOLERANCE = 1e-6  # far below what could be seen, in voxels as in Å


@dataclass(frozen=True, slots=True, eq=False)
class RigidTransform:
    """A shift followed by a rotation: what is at x goes to ``rotation @ (x - shift)``.

    Points are (x, y, z) from the rotation centre of a map, voxel n // 2. The shift has the unit
    of the points, voxels or Å; `in_angstrom` and `in_voxels` convert.

    Attributes
    ----------
    rotation : (3, 3) float64
        Acts on column vectors (x, y, z).
    shift : (3,) float64
        (x, y, z); the point that goes to the rotation centre.
    """

    rotation: Float64
    shift: Float64

    @classmethod
    def identity(cls) -> Self:
        """Return the transform that leaves every point where it is."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def rotate_then_shift(cls, rotation: FloatArray, displacement: FloatArray) -> Self:
        """Return the transform ``x -> rotation @ x + displacement``.

        Parameters
        ----------
        rotation : (3, 3)
        displacement : (3,)
            (x, y, z), in the unit of the points.
        """
        matrix = np.asarray(rotation, dtype=np.float64)
        return cls(matrix, -matrix.T @ np.asarray(displacement, dtype=np.float64))

    @property
    def angle(self) -> float:
        """Angle of the rotation, degrees from 0 to 180."""
        return float(
            np.rad2deg(scipy.spatial.transform.Rotation.from_matrix(self.rotation).magnitude())
        )

    @property
    def is_identity(self) -> bool:
        """True where no point moves by an amount that could be seen."""
        still = np.allclose(self.shift, 0, atol=_SHIFT_TOLERANCE)
        return bool(still and np.allclose(self.rotation, np.eye(3)))

    @property
    def matrix(self) -> Float64:
        """The transform of homogeneous (z, y, x, 1), (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation[::-1, ::-1]
        matrix[:3, 3] = -(self.rotation @ self.shift)[::-1]
        return matrix

    def apply(self, points: FloatArray) -> Float64:
        """Return points (..., 3) after the transform."""
        return np.asarray((points - self.shift) @ self.rotation.T)

    def after(self, first: RigidTransform) -> RigidTransform:
        """Return the transform that applies `first`, then this one.

        R2 (R1 (x - s1) - s2) = R2 R1 (x - (s1 + R1ᵀ s2)).
        """
        shift = first.shift + first.rotation.T @ self.shift
        return RigidTransform(self.rotation @ first.rotation, shift)

    def inverse(self) -> RigidTransform:
        """Return the transform that undoes this one: Rᵀ (x + R s)."""
        return RigidTransform(self.rotation.T, -(self.rotation @ self.shift))

    def mirrored(self) -> RigidTransform:
        """Return the transform that moves the mirrored map (z -> -z) as this one moves the map."""
        return RigidTransform(_MIRROR @ self.rotation @ _MIRROR, _MIRROR @ self.shift)

    def in_angstrom(self, voxel_size: float) -> RigidTransform:
        """Return a transform in voxels as one in Å."""
        return RigidTransform(self.rotation, self.shift * voxel_size)

    def in_voxels(self, voxel_size: float) -> RigidTransform:
        """Return a transform in Å as one in voxels of a size (Å)."""
        return RigidTransform(self.rotation, self.shift / voxel_size)
