"""CPU kernels: project, backproject, posterior weights, shifts, sums.

Each runs in one thread. Loops are compiled by Numba and release the GIL; the rest is NumPy.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float32, Float64, Int32, Int64
from napari_ini3d.kernels.cpu.poses import (
    add_fine_log_prior,
    coarse_best_poses,
    coarse_log_prior,
    explained_power,
    fine_best_poses,
    keep_rows,
    list_rows,
    weigh_rows,
)
from napari_ini3d.kernels.cpu.posterior import (
    conjugate_products,
    dense_posterior,
    significant_rotations,
)
from napari_ini3d.kernels.cpu.preparation import (
    ctf_values,
    disk_components,
    normalise_images,
    weigh_images,
)
from napari_ini3d.kernels.cpu.slices import backproject, project, symmetrise

__all__ = [
    "add_fine_log_prior",
    "backproject",
    "bincount_sum",
    "coarse_best_poses",
    "coarse_log_prior",
    "conjugate_products",
    "ctf_values",
    "dense_posterior",
    "disk_components",
    "explained_power",
    "fine_best_poses",
    "fine_posterior",
    "keep_rows",
    "list_rows",
    "matmul",
    "normalise_images",
    "project",
    "significant_rotations",
    "symmetrise",
    "weigh_images",
    "weigh_rows",
]


def fine_posterior(
    scores: Float32, first: Int64, share: float, row_max: Float32, summary: Float64
) -> None:
    """Convert the scores of the fine poses to posterior weights, in place.

    Parameters
    ----------
    scores : (N, T) float32
        In: log weights of T shifts for each of N rotations (rows). Out: posterior weights, which
        sum to 1 for each image.
    first : (B + 1,) int64
        The first row of each image, then N; every image has rows.
    share : float
        Rows are significant whose largest weight is more than `share` of the image's largest.
    row_max : (N,) float32
        Output: the largest weight of each row.
    summary : (B, 5) float64
        Output: log evidence, largest weight, its row, its shift, number of significant rows.
    """
    start = first[:-1]  # (B,)
    row_image = np.repeat(np.arange(len(start)), np.diff(first))  # (N,)
    top = np.maximum.reduceat(scores.max(1), start)  # (B,), so that exponentials stay finite
    scores -= top[row_image, None]
    np.exp(scores, out=scores)
    total = np.add.reduceat(scores.sum(1, dtype=np.float64), start)  # (B,)
    scores /= total[row_image, None].astype(np.float32)
    row_max[:] = scores.max(1)
    best_weight = np.maximum.reduceat(row_max, start)  # (B,)
    is_best = np.flatnonzero(row_max == best_weight[row_image])
    row = is_best[np.searchsorted(is_best, start)]  # (B,), the first of equal ones
    significant = row_max > share * best_weight[row_image]
    summary[:, 0] = top + np.log(total)
    summary[:, 1] = best_weight
    summary[:, 2] = row
    summary[:, 3] = scores[row].argmax(1)
    summary[:, 4] = np.add.reduceat(significant.astype(np.int64), start)


def bincount_sum(group: Int32, values: Float64, out: Float64) -> None:
    """Sum the values (N,) float64 of each group (N,) int32 into `out` (G,) float64."""
    out[:] = np.bincount(group, values, len(out))


def matmul(a: Float32, b: Float32, out: Float32 | None = None) -> Float32:
    """Multiply two float32 matrices, into `out` if given."""
    return np.matmul(a, b, out=out)
