"""The kernels for the CPU; each runs in one thread, and the loops hold no lock of Python's.

What is a loop is compiled by Numba (`cpu_slices`, `cpu_posterior`); the rest is NumPy.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float32, Float64, Int32, Int64
from napari_ini3d.kernels.cpu.images import shift_images
from napari_ini3d.kernels.cpu.posterior import (
    conjugate_products,
    dense_posterior,
    significant_rotations,
)
from napari_ini3d.kernels.cpu.slices import backproject, project, symmetrise

__all__ = [
    "backproject",
    "bincount_sum",
    "conjugate_products",
    "dense_posterior",
    "fine_posterior",
    "matmul",
    "project",
    "shift_images",
    "significant_rotations",
    "symmetrise",
]


def fine_posterior(
    scores: Float32, first: Int64, share: float, row_max: Float32, summary: Float64
) -> None:
    """Turn the scores of the fine poses into posterior weights, in place.

    Parameters
    ----------
    scores : (N, T) float32
        Log weights in, of T shifts for each of N rotations; weights that sum to 1 for each image
        out.
    first : (B + 1,) int64
        The first row of each image, and N; every image has rows.
    share : float
        Of an image's largest weight: rows that reach more are counted.
    row_max : (N,) float32
        Filled with the largest weight of each row.
    summary : (B, 5) float64
        Filled with the log evidence, the largest weight, its row, its shift, the rows counted.
    """
    start = first[:-1]
    row_image = np.repeat(np.arange(len(start)), np.diff(first))
    top = np.maximum.reduceat(scores.max(1), start)
    scores -= top[row_image, None]
    np.exp(scores, out=scores)
    total = np.add.reduceat(scores.sum(1, dtype=np.float64), start)
    scores /= total[row_image, None].astype(np.float32)
    row_max[:] = scores.max(1)
    best_weight = np.maximum.reduceat(row_max, start)
    is_best = np.flatnonzero(row_max == best_weight[row_image])
    row = is_best[np.searchsorted(is_best, start)]
    significant = row_max > share * best_weight[row_image]
    summary[:, 0] = top + np.log(total)
    summary[:, 1] = best_weight
    summary[:, 2] = row
    summary[:, 3] = scores[row].argmax(1)
    summary[:, 4] = np.add.reduceat(significant.astype(np.int64), start)


def bincount_sum(group: Int32, values: Float64, out: Float64) -> None:
    """Fill `out` (G,) float64 with the sum of the values (N,) float64 of each group (N,) int32."""
    out[:] = np.bincount(group, values, len(out))


def matmul(a: Float32, b: Float32, out: Float32 | None = None) -> Float32:
    """Return the product of two float32 matrices, written to `out` where it is given."""
    return np.matmul(a, b, out=out)
