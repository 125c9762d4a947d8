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
from napari_ini3d.engine.expectation.priors import shift_log_prior
from napari_ini3d.engine.images import Tile, WeightedImages, real_pairs
from napari_ini3d.engine.references import ReferenceSet
from napari_ini3d.engine.sums import BestPoses, TileSums


@dataclass(frozen=True, slots=True)
class CoarsePosterior:
    """Posterior of B images over S shifts and K·R class rotations.

    Attributes
    ----------
    weights : (B, S, K·R) float32
        Of each image, they sum to 1.
    summary : (B, 4) float64
        Log evidence, weight of the best pose, its row (of K·R) and its shift.
    ball : (B,) float64
        Log evidence of the map's rotational average, over that of noise alone; 0 in the starts,
        where no null model competes.
    """

    weights: Float32
    summary: Float64
    ball: Float64


def coarse_posterior(
    references: ReferenceSet, tile: Tile, weighted: WeightedImages
) -> CoarsePosterior:
    """Return the posterior of a tile over the coarse grid.

    log p = Re(X* CTF·A) / σ² - CTF² |A|² / 2 σ² + log prior, up to a constant of the image.
    """
    c, kernels = references.n_coarse, references.backend.kernels
    shifted = _shifted_images(references, weighted)  # (B, S, C)
    n_images, n_shifts = shifted.shape[:2]
    rows = real_pairs(shifted).reshape(n_images * n_shifts, 2 * c)  # (B·S, 2C)
    scores = kernels.matmul(rows, real_pairs(references.slices).T)  # (B·S, K·R)
    scores = scores.reshape(n_images, n_shifts, -1)  # (B, S, K·R)
    half_ctf2 = np.float32(0.5) * weighted.ctf2[:, :c]  # (B, C)
    norm = kernels.matmul(half_ctf2, references.slice_power.T)  # (B, K·R)
    shift_prior = shift_log_prior(references, references.shifts, tile.from_expected)  # (B, S)
    class_prior = references.log_class_share + tile.class_bias  # (B, K)
    log_prior = shift_prior[:, :, None] + class_prior[:, None, :]  # (B, S, K)
    summary = references.backend.xp.empty((n_images, 4), np.float64)
    # turns the scores into weights, in place
    kernels.dense_posterior(scores, norm, log_prior.astype(np.float32, copy=False), summary)
    ball = references.backend.xp.zeros(n_images)
    if references.fine is not None:
        ball = ball_log_evidence(references, tile, shifted, weighted.ctf2[:, :c])
    return CoarsePosterior(scores, summary, ball)


def coarse_sums(
    references: ReferenceSet, tile: Tile, weighted: WeightedImages, posterior: CoarsePosterior
) -> TileSums:
    """Return the sums of a tile over all poses of the coarse grid, by one matrix product."""
    weights, summary = posterior.weights, posterior.summary
    n_images, n_shifts, n_rows = weights.shape
    c, xp, matmul = references.n_coarse, references.backend.xp, references.backend.kernels.matmul
    shifted = real_pairs(_shifted_images(references, weighted))  # (B, S, 2C)
    shifted = shifted.reshape(n_images * n_shifts, 2 * c)  # (B·S, 2C)
    of_pairs = weights.reshape(n_images * n_shifts, n_rows).T  # (K·R, B·S)
    per_rotation = weights.sum(1)  # (B, K·R)
    sums = SliceAccumulator(
        matmul(of_pairs, shifted).view(np.complex64),  # (K·R, C)
        matmul(per_rotation.T, weighted.ctf2[:, :c]),  # (K·R, C)
    )
    numerator, denominator = empty_cubes(references)
    block = n_rows // references.n_classes  # R
    for k in range(references.n_classes):
        rows = slice(k * block, (k + 1) * block)
        of_class = SliceAccumulator(sums.numerator[rows], sums.denominator[rows])
        backproject_slices(
            references, of_class, references.grid.matrices, numerator[k], denominator[k]
        )
    row, shift = (summary[:, i].astype(np.int64) for i in (2, 3))  # (B,)
    largest = per_rotation.max(1, keepdims=True)  # (B, 1)
    return TileSums(
        tile=tile,
        numerator=numerator,
        denominator=denominator,
        explained=explained_power(references, tile, references.slices, sums),
        class_weight=per_rotation.reshape(n_images, references.n_classes, block)
        .sum((0, 2))
        .astype(np.float64),
        poses=BestPoses(
            index=tile.index,
            class_index=row // block,
            matrix=references.grid.matrices[row % block],
            shift=tile.centre + references.shifts[shift],
            max_probability=summary[:, 1].astype(np.float32),
            n_significant=xp.count_nonzero(per_rotation > 1e-3 * largest, axis=1),
            log_evidence=summary[:, 0],
            junk_probability=xp.zeros(n_images, np.float32),
            overlap=xp.zeros(n_images, np.float32),
            reference_power=xp.zeros(n_images, np.float32),
        ),
    )


def _shifted_images(references: ReferenceSet, weighted: WeightedImages) -> Complex64:
    """Return the weighted images under all coarse shifts, (B, S, C)."""
    c = references.n_coarse
    shifted: Complex64 = references.backend.xp.ascontiguousarray(
        weighted.images[:, None, :c] * references.shift_phase[None, :, :c]
    )
    return shifted
