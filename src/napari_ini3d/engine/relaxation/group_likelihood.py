"""Likelihood of particles under maps with a point group: do they fit better when it is imposed?

For a group that the particles have, imposing it lowers the noise of a map, and particles that the
map has not seen fit it better; for another group it destroys the structure. As the particles were
aligned to a map without the group, they are first re-aligned to each map, by small rotations. The
same group about random axes is the control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.relaxation.fold_maps import FoldSums
from napari_ini3d.engine.relaxation.folds import FOLDS, FixedPoses, PosedImages, posed_images
from napari_ini3d.engine.relaxation.steps import (
    backproject_images,
    compare_rotations,
    log_likelihood,
    up_to_agreement,
    with_noise,
)
from napari_ini3d.geometry import PointGroup, symmetry_operators
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

_ROUNDS = 2  # of re-alignment
_WAVES_PER_STEP = 2.0  # at the finest detail: its shift by a step, at the particle's edge
_ALL_FOLDS = list(range(FOLDS))


@dataclass(frozen=True, slots=True)
class GroupLikelihood:
    """Change of the log likelihood of N particles when a point group is imposed.

    Attributes
    ----------
    group : str
    gain : (N,) float64
        Over that under a map without symmetry.
    control : (N,) float64
        The same for a group about random axes.
    """

    group: str
    gain: Float64
    control: Float64

    @property
    def deviation(self) -> float:
        """Standard deviation of the mean gain."""
        return float(self.gain.std() / np.sqrt(len(self.gain)))


def compare_group(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    poses: FixedPoses,
    group: PointGroup,
    *,
    stop: Callable[[], bool] = lambda: False,
    backend: Backend | None = None,
) -> GroupLikelihood | None:
    """Compare the particles with maps with and without a point group.

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
    stop : callable
        Called after every comparison.
    backend : Backend, optional
        Default: the one that ``settings.device`` names.

    Returns
    -------
    GroupLikelihood or None
        None if the work was stopped.
    """
    operators = symmetry_operators(group)
    rng = np.random.default_rng([settings.seed, random_streams.CONTROL_AXES])
    turn = Rotation.random(rng=rng).as_matrix()
    found = []
    with posed_images(source, particles, settings, poses, backend) as opened:
        images = _with_fitting_radius(opened)
        sums = backproject_images(images)
        for imposed in (operators[:1], operators, turn @ operators @ turn.T):
            values = _likelihood(images, sums, imposed.astype(np.float32), stop)
            if values is None:
                return None
            found.append(values)
    alone, with_group, with_control = found
    return GroupLikelihood(group.name, with_group - alone, with_control - alone)


def _with_fitting_radius(images: PosedImages) -> PosedImages:
    """Return the images up to where the half-sets agree, with the noise beside a map of them."""
    constraints = images.run.constraints
    sums = backproject_images(images)
    fsc = sums.fsc(constraints)
    images = up_to_agreement(images, fsc)
    volume = sums.map_of(_ALL_FOLDS, fsc, constraints)
    return with_noise(images, constraints.to_cube(volume, images.radius))


def _likelihood(
    images: PosedImages, sums: FoldSums, operators: Float32, stop: Callable[[], bool]
) -> Float64 | None:
    """Return the log likelihood of each particle, (N,), re-aligned to maps with some operators.

    Parameters
    ----------
    images : PosedImages
    sums : FoldSums
        Of the images as they are.
    operators : (G, 3, 3) float32
    stop : callable
    """
    rotations = _small_rotations(images)
    scores: Float32 = np.zeros((len(images.poses), 1), np.float32)
    for number in range(_ROUNDS):
        cubes = _maps(sums if number == 0 else backproject_images(images), images, operators)
        scores = compare_rotations(images, rotations, cubes)
        best = rotations[scores.argmax(axis=1)].astype(np.float64)
        images = replace(images, poses=images.poses.rotated(best))
        if stop():
            return None
    return log_likelihood(scores)


def _maps(sums: FoldSums, images: PosedImages, operators: Float32) -> Complex64:
    run = images.run
    if len(operators) > 1:
        sums = sums.symmetrised(operators, run.executor.backend)
    return sums.without_each(sums.fsc(run.constraints), run.constraints)


def _small_rotations(images: PosedImages) -> Float32:
    """Return no rotation, and one step either way about each axis of the map, (7, 3, 3)."""
    geometry = images.run.geometry
    finest = geometry.box_size * geometry.pixel_size / images.radius  # Å
    step = finest / _WAVES_PER_STEP / (geometry.diameter / 2) / 2  # radians
    vectors = np.concatenate([np.zeros((1, 3)), step * np.eye(3), -step * np.eye(3)])
    return Rotation.from_rotvec(vectors).as_matrix().astype(np.float32)
