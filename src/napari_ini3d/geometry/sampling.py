"""Grids of rotations and of shifts, each with its refinement.

A rotation of order o is a HEALPix direction (12·4^o of them) with an in-plane angle
(6·2^o of them), as in RELION: about 60° / 2^o apart. Child rotations of grid point (d, p) are
the directions 4d ... 4d + 3 with the in-plane angles 2p and 2p + 1 of the next order. Where the
map has a point group, the directions of one asymmetric unit are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy

from napari_ini3d._types import Float32, Float64, Int64
from napari_ini3d.geometry.euler import euler_to_matrix
from napari_ini3d.geometry.healpix import pixel_directions
from napari_ini3d.geometry.point_groups import PointGroup, in_asymmetric_unit

CHILDREN = 8


@dataclass(frozen=True, slots=True)
class RotationGrid:
    """All rotations of one order, or those of an asymmetric unit.

    Attributes
    ----------
    order : int
    matrices : (R, 3, 3) float32
        As in `euler`; rotation r has direction r // n_psi and in-plane angle r % n_psi.
    """

    order: int
    matrices: Float32

    @property
    def n_psi(self) -> int:
        """In-plane angles per direction."""
        return _n_psi(self.order)

    def rotated(self, rotation: Float64) -> RotationGrid:
        """Return the grid rotated as a whole by a matrix (3, 3)."""
        return RotationGrid(self.order, self.matrices @ rotation.astype(np.float32))


def grids_of_unit(
    order: int, rotation: Float64, group: str | PointGroup
) -> tuple[RotationGrid, RotationGrid]:
    """Return the rotations of an asymmetric unit, and their children.

    Every rotation that is equivalent to some other has at least one that is not further from the
    grid than in the full grid: directions up to half a step outside the unit are included.

    Parameters
    ----------
    order : int
        Of the first grid.
    rotation : (3, 3) float64
        Of both grids as a whole.
    group : str or PointGroup
        "C1" for all rotations.

    Returns
    -------
    tuple of RotationGrid
        R rotations, and of the next order their 8 R children: 8 r ... 8 r + 7 are those of r.
    """
    coarse, fine = (rotation_grid(o).rotated(rotation) for o in (order, order + 1))
    directions = coarse.matrices[:: coarse.n_psi, 2]  # (D, 3)
    near = in_asymmetric_unit(directions, group, margin=angular_step(order) / 2)  # (D,)
    kept = np.flatnonzero(np.repeat(near, coarse.n_psi))
    children = child_rotations(kept, coarse.n_psi).ravel()
    return (
        RotationGrid(order, coarse.matrices[kept]),
        RotationGrid(order + 1, fine.matrices[children]),
    )


@lru_cache(maxsize=64)
def rotations_of_unit(order: int, group: str) -> int:
    """Return about how many rotations `grids_of_unit` has; it varies a little with the rotation."""
    directions = pixel_directions(2**order)
    near = in_asymmetric_unit(directions, group, margin=angular_step(order) / 2)
    return int(near.sum()) * _n_psi(order)


def angular_step(order: int) -> float:
    """Return the in-plane step in degrees of the grid of an order."""
    return 360.0 / _n_psi(order)


def _n_psi(order: int) -> int:
    return 6 << order


def order_of_step(step: float) -> int:
    """Return the HEALPix order whose step (degrees) is the nearest to `step`."""
    return max(0, round(float(np.log2(60.0 / step))))


@lru_cache(maxsize=4)
def rotation_grid(order: int) -> RotationGrid:
    """Return the rotation grid of an order: 72·8^order rotations."""
    x, y, z = pixel_directions(2**order).T
    n_psi = _n_psi(order)
    rot, tilt = np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arccos(np.clip(z, -1, 1)))  # (D,)
    psi = (np.arange(n_psi) + 0.5) * (360.0 / n_psi)
    matrices = euler_to_matrix(rot[:, None], tilt[:, None], psi[None, :])  # (D, P, 3, 3)
    return RotationGrid(order, matrices.reshape(-1, 3, 3).astype(np.float32))


def child_rotations(index: Int64, n_psi: int, *, xp: Any = np) -> Int64:
    """Return the indices (..., 8) of the children, in the grid of the next order.

    Parameters
    ----------
    index : (...) int64
        Rotations of a grid.
    n_psi : int
        In-plane angles of that grid.
    xp : module
        Whose array `index` is.
    """
    d = 4 * (index // n_psi)[..., None, None] + xp.arange(4)[:, None]  # (..., 4, 1), directions
    p = 2 * (index % n_psi)[..., None, None] + xp.arange(2)[None, :]  # (..., 1, 2), in-plane angles
    children: Int64 = (d * (2 * n_psi) + p).reshape(*index.shape, CHILDREN)
    return children


def shift_grid(extent: float, step: float) -> Float32:
    """Return the shifts (S, 2) on a square grid within a disk, (x, y), the centre first.

    Parameters
    ----------
    extent, step : float
        Same unit; an extent of zero gives the one shift (0, 0).
    """
    n = int(np.floor(extent / step + 1e-6))
    line = np.arange(-n, n + 1) * step
    x, y = np.meshgrid(line, line)
    shifts = np.stack([x.ravel(), y.ravel()], -1)  # (S, 2)
    length = np.hypot(*shifts.T)
    order = np.argsort(length, kind="stable")
    kept = order[length[order] <= extent * (1 + 1e-6)]
    return np.asarray(shifts[kept], np.float32)


def random_rotation(rng: np.random.Generator) -> Float64:
    """Return one rotation matrix (3, 3), uniform over all rotations."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def uniform_rotations(count: int) -> Float64:
    """Return rotation matrices spread evenly, (count, 3, 3).

    Super-Fibonacci spirals: M. Alexa, CVPR 2022, doi:10.1109/CVPR52688.2022.00811.
    """
    place = np.arange(count) + 0.5
    inner, outer = np.sqrt(place / count), np.sqrt(1 - place / count)
    alpha = 2 * np.pi * place / np.sqrt(2)
    beta = 2 * np.pi * place / 1.533751168755204288118041
    parts = [inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta)]
    return scipy.spatial.transform.Rotation.from_quat(
        np.stack([*parts, outer * np.cos(beta)], axis=1)
    ).as_matrix()
