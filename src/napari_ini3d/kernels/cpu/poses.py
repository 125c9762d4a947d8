"""Priors and rows of the fine pass, best poses, and sums of rows; in NumPy."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import (
    Complex64,
    Float32,
    Float64,
    Int32,
    Int64,
    IntArray,
)
from napari_ini3d.kernels.records import BestColumn, NullEvidence, PosePrior, Rows

_FORBIDDEN = np.float32(-1e6)  # added to a log prior


def coarse_log_prior(prior: PosePrior, out: Float32) -> None:
    """Compute the log prior of all shifts and classes.

    Parameters
    ----------
    prior : PosePrior
    out : (B, S, K) float32
        Output.
    """
    of_class = prior.class_share + prior.class_bias  # (B, K)
    np.add(_shift_log_prior(prior, prior.start, prior.shifts)[..., None], of_class[:, None], out)


def _shift_log_prior(prior: PosePrior, start: Float32, shifts: Float32) -> Float32:
    """Return log N(start + shift; 0, sigma²) up to a constant, (B, S)."""
    x, y = (start[:, None, i] + shifts[None, :, i] for i in (0, 1))  # (B, S)
    distance2: Float32 = x * x + y * y
    log_prior = distance2 * np.float32(-0.5 / prior.sigma**2)
    log_prior += np.where(distance2 > np.float32(prior.limit**2), _FORBIDDEN, np.float32(0))
    return log_prior


def coarse_best_poses(
    weights: Float32, summary: Float64, n_classes: int, share: float, best: Float64
) -> Float32:
    """Record the best coarse pose of each image, and return the weight of each rotation.

    Parameters
    ----------
    weights : (B, S, K·R) float32
        Posterior.
    summary : (B, 4) float64
        Log evidence, weight of the best pose, its row (of K·R) and its shift.
    n_classes : int
    share : float
        Of the largest weight of a rotation, from which others are significant.
    best : (B, 10) float64
        Output, see `BestColumn`.

    Returns
    -------
    (B, K·R) float32
    """
    per_rotation: Float32 = weights.sum(1)
    significant = per_rotation > np.float32(share) * per_rotation.max(1, keepdims=True)
    of_class = weights.shape[2] // n_classes
    best[:] = 0
    best[:, BestColumn.LOG_EVIDENCE] = summary[:, 0]
    best[:, BestColumn.BEST_PROBABILITY] = summary[:, 1]
    best[:, BestColumn.N_SIGNIFICANT] = np.count_nonzero(significant, axis=1)
    best[:, BestColumn.BEST_CLASS] = summary[:, 2] // of_class
    best[:, BestColumn.BEST_ROTATION] = summary[:, 2] % of_class
    best[:, BestColumn.BEST_SHIFT] = summary[:, 3]
    return per_rotation


def list_rows(
    rotation: Int32, shift: Int32, count: Int32, n_rotations: int, n_children: int
) -> tuple[Rows, Int64]:
    """Return the children of the significant rotations, and the first row of each image.

    Parameters
    ----------
    rotation, shift : (B, most) int32
        The rotations (of K·R) of each image, and the shift of each; the first `count` are valid.
    count : (B,) int32
    n_rotations : int
        R.
    n_children : int
        Fine rotations of each coarse one.

    Returns
    -------
    Rows
    first : (B + 1,) int64
        The last is the number of rows.
    """
    first = np.concatenate([[0], np.cumsum(count, dtype=np.int64) * n_children])
    image, place = np.nonzero(np.arange(rotation.shape[1]) < count[:, None])
    class_index, parent = np.divmod(rotation[image, place], np.int32(n_rotations))
    children = parent[:, None] * n_children + np.arange(n_children)  # (parents, n_children)
    slices = class_index[:, None] * (n_rotations * n_children) + children
    columns = (
        np.repeat(image, n_children),
        np.repeat(class_index, n_children),
        children.ravel(),
        np.repeat(shift[image, place], n_children),
        slices.ravel(),
    )
    return Rows(*(column.astype(np.int32) for column in columns)), first


def add_fine_log_prior(
    prior: PosePrior, rows: Rows, fine_shifts: Float32, norm: Float32, scores: Float32
) -> None:
    """Add the log prior of the fine poses to their scores, and subtract the norm, in place.

    Parameters
    ----------
    prior : PosePrior
    rows : Rows
    fine_shifts : (T, 2) float32
        Pixels, about the coarse shift of each row.
    norm : (N,) float32
    scores : (N, T) float32
    """
    scores -= norm[:, None]
    scores += _fine_log_prior(prior, rows, fine_shifts)


def _fine_log_prior(prior: PosePrior, rows: Rows, fine_shifts: Float32) -> Float32:
    """Return the log prior of every row and shift, (N, T)."""
    start = prior.start[rows.image] + prior.shifts[rows.shift]  # (N, 2)
    of_class = prior.class_share + prior.class_bias  # (B, K)
    shift_prior = _shift_log_prior(prior, start, fine_shifts)  # (N, T)
    log_prior: Float32 = shift_prior + of_class[rows.image, rows.class_index, None]
    return log_prior


def fine_best_poses(
    summary: Float64,
    norm: Float32,
    rows: Rows,
    prior: PosePrior,
    fine_shifts: Float32,
    scale: Float32,
    null: NullEvidence,
    log_cell: float,
    best: Float64,
) -> Int32:
    """Record the best fine pose of each image, with its probability of junk.

    An image is junk as far as one of three featureless explanations has more evidence than all
    poses of the map: noise, the ball, or power of any kind in shells that stand out,
    Σ n (e - 1 - log e), the log likelihood ratio of noise of that power and of typical power.

    Parameters
    ----------
    summary : (B, 5) float64
        Of `fine_posterior`.
    norm : (N,) float32
        Half the power of each row's reference.
    rows : Rows
    prior : PosePrior
    fine_shifts : (T, 2) float32
    scale : (B,) float32
        Of each image.
    null : NullEvidence
    log_cell : float
        Log of the volume of a fine pose times the normalisation of the prior.
    best : (B, 10) float64
        Output, see `BestColumn`.

    Returns
    -------
    (B,) int32
        The number of significant rows of each image.
    """
    row, shift = (summary[:, i].astype(np.int64) for i in (2, 3))  # (B,)
    of_best = rows.take(row)
    log_prior = _fine_log_prior(prior, of_best, fine_shifts)[np.arange(len(row)), shift]
    excess = np.maximum(null.excess.astype(np.float64), 1)  # (B, n_shells)
    gain = null.count * (excess - 1 - np.log(excess))
    contaminant = np.where(excess > null.limit, gain, 0).sum(1)
    featureless = np.logaddexp(0, null.ball) - np.log(2)  # noise or a ball
    particle = summary[:, 0] + log_cell
    log_odds = np.maximum(featureless, contaminant) - particle + null.log_odds
    junk = 1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))
    best[:, BestColumn.LOG_EVIDENCE] = summary[:, 0]
    best[:, BestColumn.BEST_PROBABILITY] = summary[:, 1]
    best[:, BestColumn.N_SIGNIFICANT] = summary[:, 4]
    best[:, BestColumn.BEST_CLASS] = of_best.class_index
    best[:, BestColumn.BEST_ROTATION] = of_best.rotation
    best[:, BestColumn.BEST_SHIFT] = of_best.shift
    best[:, BestColumn.BEST_FINE_SHIFT] = shift
    best[:, BestColumn.JUNK_PROBABILITY] = junk.astype(np.float32)
    # log p = overlap - power / 2 + log prior, with the scale of the image in both
    overlap = summary[:, 0] + np.log(summary[:, 1]) + norm[row] - log_prior
    best[:, BestColumn.OVERLAP] = overlap / scale
    best[:, BestColumn.REFERENCE_POWER] = 2 * norm[row] / scale.astype(np.float64) ** 2
    return summary[:, 4].astype(np.int32)


def keep_rows(
    posterior: Float32,
    row_max: Float32,
    first: Int64,
    rows: Rows,
    share: float,
    best: Float64,
    count: Int32,
) -> tuple[Rows, Float32, Float32]:
    """Return the rows with weight; those of an image sum to its probability of a particle.

    Parameters
    ----------
    posterior : (N, T) float32
        Weights of the fine poses, of each image with the sum 1.
    row_max : (N,) float32
        The largest of each row.
    first : (B + 1,) int64
        The first row of each image.
    rows : Rows
    share : float
        Rows are kept whose largest weight is more than `share` of the image's largest.
    best : (B, 10) float64
        See `BestColumn`.
    count : (B,) int32
        Rows to keep of each image.

    Returns
    -------
    Rows
        M.
    weight : (M, T) float32
    total : (M,) float32
        Sum of each row of weights.
    """
    largest = best[:, BestColumn.BEST_PROBABILITY].astype(np.float32)  # (B,)
    floor = np.repeat(np.float32(share) * largest, np.diff(first))  # (N,)
    significant = np.flatnonzero(row_max > floor)  # at least the row of the best pose
    kept, weight = rows.take(significant), posterior[significant]
    start = np.cumsum(count) - count
    mass = np.add.reduceat(weight.sum(1, dtype=np.float64), start)  # (B,)
    particle = ((1 - best[:, BestColumn.JUNK_PROBABILITY]) / mass).astype(np.float32)
    weight *= np.repeat(particle, count)[:, None]
    return kept, weight, weight.sum(1)


def weigh_rows(
    rows: Rows,
    total: Float32,
    images: Complex64,
    shift_phase: Complex64,
    ctf2: Float32,
    numerator: Complex64,
    denominator: Float32,
) -> None:
    """Turn the sums over the fine shifts into sums over poses: of coarse shift and image.

    Parameters
    ----------
    rows : Rows
    total : (N,) float32
        Sum of the weights of each row.
    images : (B, P) complex64
        CTF · X / σ².
    shift_phase : (S, P) complex64
    ctf2 : (B, P) float32
        CTF² / σ².
    numerator : (N, P) complex64
        In: weighted sum of the phases of the fine shifts. Out: of the shifted images.
    denominator : (N, P) float32
        Output.
    """
    numerator *= shift_phase[rows.shift]
    numerator *= images[rows.image]
    np.multiply(total[:, None], ctf2[rows.image], out=denominator)


def explained_power(
    slices: Complex64, row_slice: IntArray, numerator: Complex64, denominator: Float32
) -> Float64:
    """Return the power by which slices lower the residual, (P,) float64, summed over the rows.

    |X - CTF·A|² = |X|² - (2 Re(X* CTF·A) - CTF²|A|²), over σ².

    Parameters
    ----------
    slices : (R, P) complex64
        A.
    row_slice : (N,) int32
        The slice of each row.
    numerator : (N, P) complex64
        CTF · X / σ².
    denominator : (N, P) float32
        CTF² / σ².
    """
    a = slices[row_slice]
    cross = a.real * numerator.real + a.imag * numerator.imag  # (N, P)
    own = denominator * (a.real**2 + a.imag**2)
    explained: Float64 = (2 * cross - own).sum(0, dtype=np.float64)
    return explained
