"""Null model: the probability that an image shows no particle like the map's.

Three featureless explanations compete with all poses of the map: nothing but noise; the rotational
average of the map, a ball without features, at any shift; and, for an image with a bright
contaminant, power of any kind. An image that one of them explains better is junk; its weight in
the map is the probability that it is not.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.expectation.priors import shift_log_prior
from napari_ini3d.engine.images import Tile, real_pairs
from napari_ini3d.engine.references import FineReferences, ReferenceSet

# Prior probability of junk. It is not learned: while the map is poor, or where the images are too
# noisy to tell, a learned share would rise, and with it the probability of every image.
_PRIOR = 0.1


def ball_log_evidence(
    references: ReferenceSet, tile: Tile, shifted: Complex64, ctf2: Float32
) -> Float64:
    """Return the log evidence of the map's rotational average under all coarse shifts, (B,).

    Relative to that of noise alone, with the prior on the shift normalised.

    Parameters
    ----------
    references : ReferenceSet
    tile : Tile
    shifted : (B, S, C) complex64
        The weighted images under all coarse shifts.
    ctf2 : (B, C) float32
        CTF² / σ².
    """
    xp, matmul = references.backend.xp, references.backend.kernels.matmul
    n_images, n_shifts, c = shifted.shape
    ball = references.null.ball  # (K, C), real
    rows = real_pairs(shifted).reshape(n_images * n_shifts, 2 * c)
    scores = matmul(rows, real_pairs(ball.astype(np.complex64)).T)  # (B·S, K)
    scores = scores.reshape(n_images, n_shifts, -1).astype(np.float64)
    scores -= matmul(np.float32(0.5) * ctf2, (ball * ball).T)[:, None]  # (B, 1, K)
    scores += shift_log_prior(references, references.shifts, tile.from_expected)[:, :, None]
    scores += (references.log_class_share + tile.class_bias)[:, None]
    scores = scores.reshape(n_images, -1)
    best = scores.max(1, keepdims=True)
    log_sum = best[:, 0] + xp.log(xp.exp(scores - best).sum(1))
    found: Float64 = log_sum + shift_normalisation(references, references.shift_step_px)
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


def particle_log_evidence(
    references: ReferenceSet, fine: FineReferences, log_sum: Float64
) -> Float64:
    """Return the log evidence of a particle, (B,), over that of noise alone.

    Parameters
    ----------
    references : ReferenceSet
    fine : FineReferences
    log_sum : (B,) float64
        Log of the sum of exp(score) over all fine poses.
    """
    per_pose = shift_normalisation(references, fine.step_px)
    found: Float64 = log_sum + (per_pose - np.log(len(fine.grid.matrices)))
    return found


def contaminant_log_evidence(references: ReferenceSet, tile: Tile) -> Float64:
    """Return the log evidence of power of any kind, over that of typical power, (B,).

    Only shells with far more power than is typical count: Σ n (e - 1 - log e), where e is the
    excess and n the independent components: the log likelihood ratio of noise with the power
    found, and noise with the typical power. Zero where no shell stands out.
    """
    xp, null = references.backend.xp, references.null
    excess = xp.maximum(tile.excess.astype(np.float64), 1)  # (B, n_shells)
    gain = null.count * (excess - 1 - xp.log(excess))
    found: Float64 = xp.where(excess > null.limit, gain, 0).sum(1)
    return found


def junk_probability(
    references: ReferenceSet, particle: Float64, ball: Float64, contaminant: Float64
) -> Float32:
    """Return the probability that an image is junk, (B,).

    Parameters
    ----------
    references : ReferenceSet
    particle, ball, contaminant : (B,) float64
        Log evidence over that of noise alone.
    """
    xp = references.backend.xp
    null = xp.maximum(xp.logaddexp(0, ball) - np.log(2), contaminant)
    log_odds = null - particle + np.log(_PRIOR / (1 - _PRIOR))
    found: Float32 = (1 / (1 + xp.exp(-xp.clip(log_odds, -50, 50)))).astype(np.float32)
    return found
