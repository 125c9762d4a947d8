"""Soft circular and spherical masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_ini3d._types import Float32, FloatArray, Int64
from napari_ini3d.fourier.small_grids import kept_if_small

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
        Read-only if it is small and centred, and kept.
    """
    if centre is None:
        return _centred_mask(box_size, radius, edge, ndim)
    return _falling(radius_grid(box_size, ndim, centre), radius, edge)


@kept_if_small
def _centred_mask(box_size: int, radius: float, edge: float, ndim: int) -> Float32:
    return _falling(radius_grid(box_size, ndim), radius, edge)


def _falling(r: Float32, radius: float, edge: float) -> Float32:
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


@kept_if_small
def shell_of_voxels(box_size: int, inner: float, outer: float) -> Int64:
    """Return the voxels of a map (n, n, n), as one row, between two radii (voxels), without them.

    Parameters
    ----------
    box_size : int
        n.
    inner, outer : float
    """
    r = radius_grid(box_size, 3)
    return np.flatnonzero((r > inner) & (r < outer))
