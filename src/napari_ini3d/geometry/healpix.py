"""Pixel centres of the HEALPix partition of the sphere, in nested order.

In nested order the four children of pixel p are 4p ... 4p + 3. The formulas are those of
Gorski et al., Astrophysical Journal 622 (2005), 759-771.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy

from napari_ini3d._types import Float64, FloatArray, Int64

_FACE_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_FACE_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])


def pixel_directions(nside: int) -> Float64:
    """Return the centres of all pixels as unit vectors.

    Parameters
    ----------
    nside : int
        A power of two; the sphere has 12 nside² pixels of equal area.

    Returns
    -------
    (12 nside², 3) float64
        (x, y, z) in nested order.
    """
    if nside < 1 or nside & (nside - 1):
        raise ValueError(f"nside is {nside}; it must be a power of two")
    pixel = np.arange(12 * nside * nside)
    face, within = np.divmod(pixel, nside * nside)
    column, row = _even_bits(within), _even_bits(within >> 1)
    ring = _FACE_ROW[face] * nside - column - row - 1  # counted from the north pole
    per_quarter = np.minimum(np.minimum(ring, 4 * nside - ring), nside)
    z = np.where(
        ring < nside,
        1 - ring**2 / (3 * nside**2),
        np.where(
            ring > 3 * nside,
            (4 * nside - ring) ** 2 / (3 * nside**2) - 1,
            (2 * nside - ring) * 2 / (3 * nside),
        ),
    )
    shifted = np.where(per_quarter < nside, 0, (ring - nside) & 1)
    step = (_FACE_COLUMN[face] * per_quarter + column - row + 1 + shifted) // 2
    offset = 0.5 * (1 + shifted)
    phi = (step - offset) * (np.pi / 2) / per_quarter
    r = np.sqrt(np.maximum(0, 1 - z**2))
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)


def count_directions(directions: Float64, nside: int) -> Int64:
    """Return how many unit vectors (N, 3) are nearest to each pixel's centre, (12 nside²,)."""
    nearest = nearest_pixels(directions, nside)
    return np.bincount(nearest, minlength=12 * nside * nside)


def nearest_pixels(directions: FloatArray, nside: int) -> Int64:
    """Return the pixel whose centre is nearest to each unit vector (..., 3), (...)."""
    return np.asarray(_tree(nside).query(directions)[1], np.int64)


@lru_cache(maxsize=4)
def _tree(nside: int) -> scipy.spatial.KDTree:
    """Return a search tree of the centres of all pixels."""
    return scipy.spatial.KDTree(pixel_directions(nside))


def _even_bits(value: Int64) -> Int64:
    """Return the bits at even positions of `value`, packed."""
    out = np.zeros_like(value)
    for bit in range(16):
        out |= ((value >> (2 * bit)) & 1) << bit
    return out
