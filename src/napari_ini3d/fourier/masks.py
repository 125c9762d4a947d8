"""Soft circular and spherical masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from napari_ini3d._types import Float32, FloatArray, Int64

_MOST_KEPT = 128**3  # voxels of a mask that is kept for the next call

Point = Sequence[float] | FloatArray


def soft_mask(
    box_size: int,
    radius: float,
    edge: float,
    ndim: int,
    centre: Point | None = None,
) -> Float32:
    """Return a mask that is 1 within `radius` and falls to 0 over a raised cosine edge.

    Parameters
    ----------
    box_size : int
        Samples per side.
    radius, edge : float
        Samples; the edge lies outside the radius.
    ndim : int
        2 for a disk, 3 for a ball.
    centre : sequence of float, optional
        (x, y) or (x, y, z) in samples from sample ``box_size // 2``, the default.

    Returns
    -------
    (box_size,) * ndim float32
        Read-only if it is small and centred: it is kept, as a run needs it in every iteration.
    """
    if centre is None and box_size**ndim <= _MOST_KEPT:
        return _kept_mask(box_size, radius, edge, ndim)
    return _make_mask(box_size, radius, edge, ndim, centre)


@lru_cache(maxsize=4)
def _kept_mask(box_size: int, radius: float, edge: float, ndim: int) -> Float32:
    mask = _make_mask(box_size, radius, edge, ndim, None)
    mask.flags.writeable = False  # others have the same array
    return mask


def _make_mask(
    box_size: int, radius: float, edge: float, ndim: int, centre: Point | None
) -> Float32:
    r = radius_grid(box_size, ndim, centre)  # (n,) * ndim
    t = np.clip((r - radius) / max(edge, 1e-6), 0.0, 1.0)  # 0 inside, 1 beyond the edge
    mask: Float32 = (0.5 + 0.5 * np.cos(np.pi * t)).astype(np.float32)
    return mask


def radius_grid(box_size: int, ndim: int, centre: Point | None = None) -> Float32:
    """Return the distance of every sample from a centre, in samples; see `soft_mask`."""
    line = np.arange(box_size, dtype=np.float32) - box_size // 2
    squares = [(line - np.float32(c)) ** 2 for c in (centre if centre is not None else [0] * ndim)]
    total = squares[-1]  # the slowest axis is the last coordinate: arrays are (z, y, x)
    for square in squares[-2::-1]:
        total = total[..., None] + square
    radius: Float32 = np.sqrt(total).astype(np.float32, copy=False)
    return radius


def shell_of_voxels(box_size: int, inner: float, outer: float) -> Int64:
    """Return the voxels of a map (n, n, n), as one row, between two radii (voxels), without them.

    Parameters
    ----------
    box_size : int
        n.
    inner, outer : float
    """
    if box_size**3 <= _MOST_KEPT:
        return _kept_shell(box_size, inner, outer)
    return _make_shell(box_size, inner, outer)


def _make_shell(box_size: int, inner: float, outer: float) -> Int64:
    r = radius_grid(box_size, 3)
    return np.flatnonzero((r > inner) & (r < outer))


_kept_shell = lru_cache(maxsize=1)(_make_shell)
