"""Coarse pass: all rotations and shifts of the coarse grid, as one matrix product (L·Aᵀ)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.backprojection import (
    SliceAccumulator,
    backproject_slices,
    empty_cubes,
    explained_power,
)
from napari_ini3d.engine.expectation.junk import ball_log_evidence
from napari_ini3d.engine.expectation.priors import pose_prior
from napari_ini3d.engine.images import Tile, WeightedImages, real_pairs
from napari_ini3d.engine.reference_set import ReferenceSet
from napari_ini3d.engine.sums import TilePoses, TileSums
from napari_ini3d.kernels import BestColumn

_SIGNIFICANT = 1e-3  # of the largest weight of a rotation


@dataclass(frozen=True, slots=True)
class CoarsePosterior:
    """Posterior of B images over S shifts and K·R class rotations.

    Attributes
    ----------
    weights : (B, S, K·R) float32
        Of each image, they sum to 1.
    summary : (B, 4) float64
        Log evidence, weight of the best pose, its row (of K·R) and its shift.
    ball : (B,) float64 or None
        Log evidence of the map's rotational average, over that of noise alone; None in the
        starts, where no null model competes.
    """

    weights: Float32
    summary: Float64
    ball: Float64 | None


def coarse_posterior(
    references: ReferenceSet, tile: Tile, weighted: WeightedImages
) -> CoarsePosterior:
    """Return the posterior of a tile over the coarse grid.

    log p = Re(X* CTF·A) / σ² - CTF² |A|² / 2 σ² + log prior, up to a constant of the image.
    """
    c, kernels, xp = references.n_coarse, references.backend.kernels, references.backend.xp
    shifted = _shifted_images(references, weighted)  # (B, S, C)
    n_images, n_shifts = shifted.shape[:2]
    rows = real_pairs(shifted).reshape(n_images * n_shifts, 2 * c)  # (B·S, 2C)
    scores = kernels.matmul(rows, real_pairs(references.slices).T)  # (B·S, K·R)
    scores = scores.reshape(n_images, n_shifts, -1)  # (B, S, K·R)
    half_ctf2 = np.float32(0.5) * weighted.ctf2[:, :c]  # (B, C)
    norm = kernels.matmul(half_ctf2, references.slice_power.T)  # (B, K·R)
    log_prior = xp.empty((n_images, n_shifts, references.n_classes), np.float32)
    kernels.coarse_log_prior(pose_prior(references, tile), log_prior)
    summary = xp.empty((n_images, 4), np.float64)
    # turns the scores into weights, in place
    kernels.dense_posterior(scores, norm, log_prior, summary)
    ball = None
    if references.fine is not None:
        ball = ball_log_evidence(references, shifted, half_ctf2, log_prior)
    return CoarsePosterior(scores, summary, ball)


def coarse_sums(
    references: ReferenceSet, tile: Tile, weighted: WeightedImages, posterior: CoarsePosterior
) -> TileSums:
    """Return the sums of a tile over all poses of the coarse grid, by one matrix product."""
    backend, matmul = references.backend, references.backend.kernels.matmul
    n_images, n_shifts, n_rows = posterior.weights.shape
    c, xp, n_classes = references.n_coarse, backend.xp, references.n_classes
    best = xp.empty((n_images, len(BestColumn)), np.float64)
    per_rotation = backend.kernels.coarse_best_poses(  # (B, K·R)
        posterior.weights, posterior.summary, n_classes, _SIGNIFICANT, best
    )
    shifted = real_pairs(_shifted_images(references, weighted))  # (B, S, 2C)
    shifted = shifted.reshape(n_images * n_shifts, 2 * c)  # (B·S, 2C)
    of_pairs = posterior.weights.reshape(n_images * n_shifts, n_rows).T  # (K·R, B·S)
    sums = SliceAccumulator(
        matmul(of_pairs, shifted).view(np.complex64),  # (K·R, C)
        matmul(per_rotation.T, weighted.ctf2[:, :c]),  # (K·R, C)
    )
    numerator, denominator = empty_cubes(references)
    block = n_rows // n_classes  # R
    for k in range(n_classes):
        rows = slice(k * block, (k + 1) * block)
        of_class = SliceAccumulator(sums.numerator[rows], sums.denominator[rows])
        backproject_slices(
            references, of_class, references.grid.matrices, numerator[k], denominator[k]
        )
    row_slice = xp.arange(n_rows, dtype=np.int32)
    of_classes = per_rotation.reshape(n_images, n_classes, block).sum((0, 2), dtype=np.float64)
    return TileSums(
        tile=tile,
        numerator=numerator,
        denominator=denominator,
        explained=explained_power(references, tile, references.slices, row_slice, sums),
        class_weight=of_classes,
        poses=TilePoses(tile.index, tile.centre, best, references.pose_grid),
    )


def _shifted_images(references: ReferenceSet, weighted: WeightedImages) -> Complex64:
    """Return the weighted images under all coarse shifts, (B, S, C)."""
    c = references.n_coarse
    shifted: Complex64 = references.backend.xp.ascontiguousarray(
        weighted.images[:, None, :c] * references.shift_phase[None, :, :c]
    )
    return shifted
