"""Relaxation of a symmetry: which asymmetric unit each pseudo-symmetric particle is in.

The poses of the particles are known up to the operators of a group G, to which their structure is
close. Each particle is compared with an asymmetric map in its |G| equivalent poses, the map is made
anew from the particles with the weights of these poses, and so on: expectation-maximisation over
the units. Only the difference from the symmetric map matters (`steps`). Particles are compared with
maps of other particles only (`folds`), so that noise does not hold them in their unit.

The first map is that of the given poses, and of random units in further starts: random differences,
however weak, grow to the true one. While they are weak, all weight is given to the best unit. The
start with the highest likelihood, of particles under maps that have not seen them, is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_ini3d._types import Float32, Float64, IntArray
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.relaxation.fold_maps import FoldSums
from napari_ini3d.engine.relaxation.folds import FOLDS, FixedPoses, PosedImages, posed_images
from napari_ini3d.engine.relaxation.steps import (
    Residuals,
    UnitScores,
    backproject_images,
    compare_units,
    log_likelihood,
    symmetric_residuals,
    unit_weights,
)
from napari_ini3d.geometry import PointGroup, product_table, symmetry_operators
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

STARTS = 3
_LOOK_BACK = 5  # iterations in which the likelihood has to rise
_MOST_ITERATIONS = 30, 15  # with all weight on the best unit; further ones with the posterior's
_STILL = 0.003  # increase of the mean log likelihood at which a start has converged
_ALL_FOLDS = list(range(FOLDS))


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Asymmetric units of N particles, and the map that follows.

    Attributes
    ----------
    operators : (N,) int64
        Of `symmetry_operators(group)`: the new pose of a particle with matrix A is A g.
    weights : (N, G) float32
        Posterior of all units.
    gain : (N,) float64
        Log likelihood over that of the symmetric map, under maps of other particles.
    volume : (n, n, n) float32
        Map of the particles in their new poses, without symmetry.
    half_maps : (2, n, n, n) float32
        Of the even and the odd particles.
    differences : (2, n, n, n) float32
        What the half-sets add to the symmetric map.
    symmetric_map : (n, n, n) float32
        Mean over all units.
    """

    operators: IntArray
    weights: Float32
    gain: Float64
    volume: Float32
    half_maps: Float32
    differences: Float32
    symmetric_map: Float32

    def probability_within(self, group: PointGroup, members: IntArray) -> Float64:
        """Return the probability of the chosen units, (N,), up to the operators of a subgroup.

        Parameters
        ----------
        group : PointGroup
        members : (H,) int64
            Operators of a subgroup that makes units equal.
        """
        equal = product_table(symmetry_operators(group))[self.operators][:, members]  # (N, H)
        found = np.take_along_axis(self.weights, equal, axis=1)
        return np.asarray(found.sum(axis=1, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class _Start:
    """A start of the relaxation and what it has come to."""

    found: UnitScores
    unit: IntArray

    @property
    def gain(self) -> float:
        return float(log_likelihood(self.found.scores).mean())


def relax_symmetry(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    poses: FixedPoses,
    group: PointGroup,
    *,
    starts: int = STARTS,
    stop: Callable[[], bool] = lambda: False,
    backend: Backend | None = None,
) -> Relaxation | None:
    """Find the asymmetric unit of each particle of a pseudo-symmetric structure.

    Parameters
    ----------
    source : ImageSource
        The images, all of one box and pixel size, in the order of `particles`.
    particles : Particles
    settings : InitialModelSettings
        With its mask diameter set.
    poses : FixedPoses
        Of the particles, for a map on RELION's axes of the group.
    group : PointGroup
    starts : int
        The first is from the given poses, the others from random units.
    stop : callable
        Called after every iteration.
    backend : Backend, optional
        Default: the one that ``settings.device`` names.

    Returns
    -------
    Relaxation or None
        None if the work was stopped.
    """
    operators = symmetry_operators(group).astype(np.float32)
    with posed_images(source, particles, settings, poses, backend) as images:
        residuals = symmetric_residuals(images, operators)
        best: _Start | None = None
        for number in range(starts):
            rng = np.random.default_rng([settings.seed, random_streams.UNITS, number])
            unit = rng.integers(0, group.order, len(poses)) if number else np.zeros(len(poses))
            one = _climb(residuals, operators, unit.astype(np.int64), stop, number + 1)
            if one is None:
                return None
            best = one if best is None or one.gain > best.gain else best
        assert best is not None
        return _conclude(residuals, group, operators, best)


def _climb(
    residuals: Residuals,
    operators: Float32,
    unit: IntArray,
    stop: Callable[[], bool],
    number: int,
) -> _Start | None:
    """Return what a start comes to, or None if it was stopped."""
    constraints = residuals.images.run.constraints
    weights = np.eye(len(operators), dtype=np.float32)[unit]
    found = compare_units(residuals, operators, None, weights)
    hard, gains = True, [-np.inf]
    for iteration in range(sum(_MOST_ITERATIONS)):
        differences = found.sums.without_each(found.sums.fsc(constraints), constraints)
        found = compare_units(residuals, operators, differences, hard=hard)
        before, unit = unit, found.scores.argmax(axis=1)
        moved = float((unit != before).mean())
        now = _Start(found, unit)
        logger.info(
            "start %d, iteration %d: log likelihood of a particle %+.3f, %.1f %% changed unit",
            number,
            iteration + 1,
            now.gain,
            100 * moved,
        )
        if stop():
            return None
        still = now.gain < max(gains[-_LOOK_BACK:]) + _STILL
        if still and not hard:
            break
        hard = hard and not (still and iteration >= _LOOK_BACK) and iteration < _MOST_ITERATIONS[0]
        gains.append(now.gain)
    return now


def _conclude(
    residuals: Residuals, group: PointGroup, operators: Float32, best: _Start
) -> Relaxation:
    """Return the result of a start, with the units named so that most particles stay."""
    images, constraints = residuals.images, residuals.images.run.constraints
    naming = _naming(group, best.unit)  # operators g -> g k
    chosen = naming[best.unit]
    matrices = symmetry_operators(group)
    posed = replace(images, poses=images.poses.rotated(matrices[chosen]))
    sums = backproject_images(posed)
    weights = np.empty_like(best.found.scores)
    weights[:, naming] = unit_weights(best.found.scores)
    compared = compare_units(residuals, operators, None, weights)
    return Relaxation(
        operators=chosen,
        weights=weights,
        gain=log_likelihood(best.found.scores),
        volume=sums.map_of(_ALL_FOLDS, sums.fsc(constraints), constraints),
        half_maps=_half_maps(sums, images),
        differences=_half_maps(compared.sums, images),
        symmetric_map=residuals.symmetric_map,
    )


def _half_maps(sums: FoldSums, images: PosedImages) -> Float32:
    constraints = images.run.constraints
    fsc = sums.fsc(constraints)
    halves = [list(range(half, FOLDS, 2)) for half in (0, 1)]
    return np.stack([sums.map_of(half, fsc, constraints) for half in halves])


def _naming(group: PointGroup, unit: IntArray) -> IntArray:
    """Return, for each operator g, that of g k, with the k that leaves most particles in place."""
    table = product_table(symmetry_operators(group))
    staying = [(table[unit, k] == 0).sum() for k in range(group.order)]
    return np.asarray(table[:, int(np.argmax(staying))])
