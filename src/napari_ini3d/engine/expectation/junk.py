"""Null model: the probability that an image shows no particle like the map's.

Three featureless explanations compete with all poses of the map: nothing but noise; the rotational
average of the map, a ball without features, at any shift; and, for an image with a bright
contaminant, power of any kind. An image that one of them explains better is junk; its weight in
the map is the probability that it is not.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.images import Tile, real_pairs
from napari_ini3d.engine.reference_set import FineReferences, ReferenceSet
from napari_ini3d.kernels import NullEvidence

# Prior probability of junk. It is not learned: while the map is poor, or where the images are too
# noisy to tell, a learned share would rise, and with it the probability of every image.
_PRIOR = 0.1


def ball_log_evidence(
    references: ReferenceSet, shifted: Complex64, ctf2: Float32, log_prior: Float32
) -> Float64:
    """Return the log evidence of the map's rotational average under all coarse shifts, (B,).

    Relative to that of noise alone, with the prior on the shift normalised.

    Parameters
    ----------
    references : ReferenceSet
    shifted : (B, S, C) complex64
        The weighted images under all coarse shifts.
    ctf2 : (B, C) float32
        Half CTF² / σ².
    log_prior : (B, S, K) float32
    """
    kernels, null = references.backend.kernels, references.null
    n_images, n_shifts, c = shifted.shape
    rows = real_pairs(shifted).reshape(n_images * n_shifts, 2 * c)
    scores = kernels.matmul(rows, null.ball_pairs.T)  # (B·S, K)
    scores = scores.reshape(n_images, n_shifts, -1)
    norm = kernels.matmul(ctf2, null.ball_power.T)  # (B, K)
    summary = references.backend.xp.empty((n_images, 4), np.float64)
    kernels.dense_posterior(scores, norm, log_prior, summary)  # each class has a single "rotation"
    found: Float64 = summary[:, 0] + shift_normalisation(references, references.shift_step_px)
    return found


def shift_normalisation(references: ReferenceSet, step: float) -> float:
    """Return the log of a cell of the shift grid times the prior density at its centre.

    Parameters
    ----------
    references : ReferenceSet
    step : float
        Of the grid, pixels.
    """
    return float(np.log(step**2 / (2 * np.pi * references.sigma_offset_px**2)))


def fine_cell(references: ReferenceSet, fine: FineReferences) -> float:
    """Return the log of the volume of a fine pose times the prior density at its centre.

    The log evidence of a particle, over that of noise alone, is the log of the sum of exp(score)
    over all fine poses plus this.
    """
    per_pose = shift_normalisation(references, fine.step_px)
    return float(per_pose - np.log(len(fine.grid.matrices)))


def null_evidence(references: ReferenceSet, tile: Tile, ball: Float64) -> NullEvidence:
    """Return what competes with the particle in each image of a tile.

    Parameters
    ----------
    references, tile
    ball : (B,) float64
        Of `ball_log_evidence`.
    """
    return NullEvidence(
        ball=ball,
        excess=tile.excess,
        count=references.null.count,
        limit=references.null.limit,
        log_odds=float(np.log(_PRIOR / (1 - _PRIOR))),
    )
