"""Meshes of the symbols of symmetry axes (prisms), and of spheres.

The symbols are those of crystallography: a lens (here a rhombus) for 2-fold axes, a triangle for
3-fold, a square for 4-fold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import ConvexHull

from napari_ini3d._types import Float32, Float64, FloatArray, Int64

Faces = Int64

_MOST_CORNERS = 8  # of a polygon; with more it looks like a disc
_DISC_CORNERS = 24
_RHOMBUS = (1.35, 0.75)  # long and short half diagonal of the mark of a 2-fold axis
_THICKNESS = 0.45  # of the radius
_SIDE_SHADE = 0.6


def polygon_corners(order: int) -> Float64:
    """Return the corners (C, 2) of the symbol of an axis, of about unit radius."""
    count = {2: 4}.get(order, order if order <= _MOST_CORNERS else _DISC_CORNERS)
    angles = 2 * np.pi * np.arange(count) / count
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return corners * _RHOMBUS if order == 2 else corners


def axis_mark(
    order: int, direction: Sequence[float], place: FloatArray, radius: float
) -> tuple[Float32, Faces, Float32]:
    """Return the symbol of an axis: a flat prism centred on the axis.

    Parameters
    ----------
    order : int
        Of the axis.
    direction : (3,)
        Unit vector (x, y, z).
    place : (3,)
        Centre, (x, y, z).
    radius : float

    Returns
    -------
    vertices : (4 C, 3) float32
        (z, y, x); first of the two ends, then of the sides.
    faces : (4 C - 4, 3) int64
    shade : (4 C,) float32
        Brightness: 1 at the ends, less at the sides.
    """
    along = np.asarray(direction, dtype=np.float64)
    across = np.cross(along, np.eye(3)[int(np.abs(along).argmin())])
    across /= np.linalg.norm(across)
    corners = polygon_corners(order) @ np.stack([across, np.cross(along, across)])
    half = along * _THICKNESS / 2
    ends = np.concatenate([corners - half, corners + half])
    vertices = np.asarray(place) + radius * np.concatenate([ends, ends])
    shade = np.repeat(np.array([1.0, _SIDE_SHADE], dtype=np.float32), len(ends))
    zyx = np.ascontiguousarray(vertices[:, ::-1], dtype=np.float32)
    return zyx, _prism_faces(len(corners)), shade


def _prism_faces(count: int) -> Faces:
    fan = np.stack([np.zeros(count - 2), np.arange(1, count - 1), np.arange(2, count)], axis=1)
    this = np.arange(count) + 2 * count
    following = (np.arange(count) + 1) % count + 2 * count
    return np.concatenate(
        [
            fan[:, ::-1],
            fan + count,
            np.stack([this, following, following + count], axis=1),
            np.stack([this, following + count, this + count], axis=1),
        ]
    ).astype(np.int64)


def join_meshes(meshes: Sequence[tuple[Float32, Faces]]) -> tuple[Float32, Faces]:
    """Join meshes into one."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    vertices = np.concatenate([vertices for vertices, _ in meshes])
    faces = np.concatenate([f + start for (_, f), start in zip(meshes, starts, strict=False)])
    return vertices, faces


def sphere_mesh(half: FloatArray) -> tuple[Float64, Faces, Faces]:
    """Return the mesh of a sphere, with corners at the axes of a half sphere and their opposites.

    Parameters
    ----------
    half : (N, 3)
        Unit vectors (x, y, z).

    Returns
    -------
    corners : (M, 3) float64
        Unit vectors (x, y, z), without duplicates.
    faces : (F, 3) int64
    source : (M,) int64
        Index into `half` of each corner or of its opposite.
    """
    both = np.concatenate([half, -np.asarray(half)])
    _, first = np.unique(np.round(both, 6) + 0.0, axis=0, return_index=True)
    corners = both[first]
    hull = ConvexHull(corners)
    return corners, np.asarray(hull.simplices, dtype=np.int64), first % len(half)
