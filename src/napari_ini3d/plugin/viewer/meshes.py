"""Meshes of axes: rods, the symbols of symmetry axes (prisms), letters; and of spheres.

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
_ROD_CORNERS = 6
_LETTERS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "X": ((-0.35, -0.5, 0.35, 0.5), (-0.35, 0.5, 0.35, -0.5)),
    "Y": ((0, -0.5, 0, 0), (0, 0, -0.35, 0.5), (0, 0, 0.35, 0.5)),
    "Z": ((-0.32, 0.5, 0.32, 0.5), (0.32, 0.5, -0.32, -0.5), (-0.32, -0.5, 0.32, -0.5)),
}  # strokes from (x, y) to (x, y), for a height of 1
_STROKE = 0.14  # width, of the height


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
    corners = radius * polygon_corners(order) @ _across(along)
    return _prism(corners, np.asarray(place), _THICKNESS / 2 * radius * along, _SIDE_SHADE)


def rod_mesh(start: FloatArray, end: FloatArray, width: float) -> tuple[Float32, Faces, Float32]:
    """Return a rod between two points (x, y, z), as `axis_mark`; its brightness is 1."""
    half = (np.asarray(end) - start) / 2
    angles = 2 * np.pi * np.arange(_ROD_CORNERS) / _ROD_CORNERS
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = width / 2 * circle @ _across(half / np.linalg.norm(half))
    return _prism(corners, np.asarray(start) + half, half, 1.0)


def letter_mesh(
    letter: str, place: FloatArray, right: FloatArray, up: FloatArray
) -> tuple[Float32, Faces, Float32]:
    """Return a letter (X, Y or Z) that is centred at a point, as `axis_mark`.

    Parameters
    ----------
    letter : str
    place, right, up : (3,)
        (x, y, z). The letter is as high as `up` is long.
    """
    frame = np.stack([np.asarray(right), np.asarray(up)])  # (2, 3)
    vertices: list[Float64] = []
    faces: list[Faces] = []
    for x0, y0, x1, y1 in _LETTERS[letter]:
        start, end = np.array([x0, y0]), np.array([x1, y1])
        along = (end - start) / np.linalg.norm(end - start) * _STROKE / 2
        across = np.array([-along[1], along[0]])
        start, end = start - along, end + along
        corners = np.stack([start - across, end - across, end + across, start + across])
        faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + 4 * len(vertices))
        vertices.append(np.asarray(place) + corners @ frame)
    whole = np.concatenate(vertices)
    zyx = np.ascontiguousarray(whole[:, ::-1], dtype=np.float32)
    return zyx, np.concatenate(faces).astype(np.int64), np.ones(len(zyx), np.float32)


def _across(along: Float64) -> Float64:
    """Return two unit vectors (2, 3) at right angles to a unit vector, and to each other."""
    across = np.cross(along, np.eye(3)[int(np.abs(along).argmin())])
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(along, across)])


def _prism(
    corners: Float64, place: FloatArray, half: Float64, side_shade: float
) -> tuple[Float32, Faces, Float32]:
    """Return a prism from its corners (C, 3) about the centre, and half its length (x, y, z)."""
    ends = np.concatenate([corners - half, corners + half])
    vertices = place + np.concatenate([ends, ends])
    shade = np.repeat(np.array([1.0, side_shade], dtype=np.float32), len(ends))
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
