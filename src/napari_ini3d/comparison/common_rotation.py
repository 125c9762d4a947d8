"""Rotation and shift between the maps of two sets of poses, of which many may be wrong.

A particle with matrix A in the first set and B in the second sees the point x of the second map
where it sees R x of the first, with ``R = Kᵀ Aᵀ B`` for one of the operators K of the first map's
point group. Each particle gives such a rotation. The one with which most others agree is the start
of an iterated chordal mean: the operator nearest to it is chosen for each particle, and the mean is
taken over those that agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from napari_ini3d._types import BoolArray, Float64, Int64

AGREEMENT_ANGLE = 20.0  # degrees, in C1: poses of a coarse search still agree, 0.2 % of random ones
_CANDIDATES = 400  # particles whose rotation is tried
_JURY = 2000  # particles with which each candidate is compared
_REFINED = 5  # best candidates that are refined with all particles
_CHUNK = 16  # candidates at a time
_MOST_STEPS = 50
_SMALL_STEP = 1e-9  # of the elements of the rotation
_SHIFT_SCALE = 1.0  # Å; larger differences count linearly


@dataclass(frozen=True, slots=True)
class CommonRotation:
    """Rotation between two sets of M poses.

    Attributes
    ----------
    rotation : (3, 3) float64
        R: takes the second map to the first.
    nearest : (M,) int64
        Position of the operator K with which each particle agrees best.
    cosines : (M,) float64
        Of the angles between the poses, after rotation, modulo the point group.
    score : float
        Number of particles that agree, each counted by how well it does (0 to 1).
    """

    rotation: Float64
    nearest: Int64
    cosines: Float64
    score: float


def agreement_angle(order: int) -> float:
    """Return the angle in degrees within which poses agree modulo a point group of an order.

    It becomes smaller as the distinct rotations become fewer, so that a random pose agrees as
    rarely in each group.
    """
    return AGREEMENT_ANGLE / float(np.cbrt(order))


def find_common_rotation(first: Float64, second: Float64, operators: Float64) -> CommonRotation:
    """Find the rotation between two sets of poses.

    Parameters
    ----------
    first, second : (M, 3, 3)
        Matrices A and B of the same particles.
    operators : (G, 3, 3)
        Point group of the first map, in its frame.

    Returns
    -------
    CommonRotation
    """
    relative = first.transpose(0, 2, 1) @ second  # (M, 3, 3), Aᵀ B
    least = float(np.cos(np.deg2rad(agreement_angle(len(operators)))))
    shuffled = np.random.default_rng(0).permutation(len(relative))
    candidates = relative[shuffled[:_CANDIDATES]]
    scores = _score_candidates(candidates, relative[shuffled[:_JURY]], operators, least)
    best = candidates[np.argsort(-scores, kind="stable")[:_REFINED]]
    found = [_refine(rotation, relative, operators, least) for rotation in best]
    return max(found, key=lambda fit: fit.score)


def fit_common_shift(matrices: Float64, differences: Float64) -> Float64:
    """Fit the vector s whose projections (B s)_xy are the differences of origins.

    A robust loss (linear beyond 1 Å) bears wrong origins, as long as they are fewer than half.

    Parameters
    ----------
    matrices : (M, 3, 3)
        B of particles whose rotations agree.
    differences : (M, 2)
        Å.

    Returns
    -------
    (3,) float64
        Å; zero along directions that no particle determines.
    """
    projections = matrices[:, :2].reshape(-1, 3)  # (2M, 3)
    start = np.linalg.lstsq(projections, differences.ravel(), rcond=1e-9)[0]

    def left(shift: Float64) -> Float64:
        return np.asarray(projections @ shift - differences.ravel())

    fit = scipy.optimize.least_squares(left, start, loss="soft_l1", f_scale=_SHIFT_SCALE)
    return np.asarray(fit.x, dtype=np.float64)


def _score_candidates(
    candidates: Float64, jury: Float64, operators: Float64, least: float
) -> Float64:
    scores = []
    for begin in range(0, len(candidates), _CHUNK):
        chunk = candidates[begin : begin + _CHUNK]
        copies = operators[:, None] @ chunk  # (G, C, 3, 3), K R
        traces = jury.reshape(-1, 9) @ copies.reshape(-1, 9).T  # (J, G C)
        cosines = (traces.reshape(len(jury), len(operators), len(chunk)).max(axis=1) - 1) / 2
        scores.append(_agreement(cosines, least).sum(axis=0))  # (C,)
    return np.concatenate(scores)


def _refine(start: Float64, relative: Float64, operators: Float64, least: float) -> CommonRotation:
    rotation = _iterate_mean(start, relative, operators, least)
    nearest, cosines = _compare(rotation, relative, operators)
    score = float(_agreement(cosines, least).sum())
    return CommonRotation(rotation, nearest, cosines, score)


def _iterate_mean(start: Float64, relative: Float64, operators: Float64, least: float) -> Float64:
    rotation = start
    for _ in range(_MOST_STEPS):
        nearest, cosines = _compare(rotation, relative, operators)
        agree: BoolArray = cosines >= least
        if not agree.any():
            break
        equivalent = operators[nearest[agree]].transpose(0, 2, 1) @ relative[agree]  # Kᵀ Aᵀ B
        before, rotation = (
            rotation,
            scipy.spatial.transform.Rotation.from_matrix(equivalent).mean().as_matrix(),
        )
        if np.abs(rotation - before).max() < _SMALL_STEP:
            break
    return rotation


def _compare(rotation: Float64, relative: Float64, operators: Float64) -> tuple[Int64, Float64]:
    """Return the operator nearest to each particle, and the cosine of the angle that is left."""
    traces = relative.reshape(-1, 9) @ (operators @ rotation).reshape(-1, 9).T  # (M, G)
    nearest = traces.argmax(axis=1)
    return nearest, (traces[np.arange(len(nearest)), nearest] - 1) / 2


def _agreement(cosines: Float64, least: float) -> Float64:
    return np.clip((cosines - least) / (1 - least), 0, 1)
