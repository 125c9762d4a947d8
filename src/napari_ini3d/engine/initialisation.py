"""Initialisation of a run: random maps, from images backprojected at random angles."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.images import WeightedImages, split_into_tiles
from napari_ini3d.engine.maximisation import complete_friedel
from napari_ini3d.engine.noise import InitialNoise, initial_noise, plain_tile
from napari_ini3d.engine.regularisation import divide_by_weight
from napari_ini3d.engine.schedule import finest_radius, first_radius
from napari_ini3d.engine.state import FIRST_SIGMA_OFFSET, NO_SUMS, EngineState, ModelState
from napari_ini3d.geometry import random_rotation
from napari_ini3d.particles import Assignments, Particles

_IMAGES = 200  # in a random reconstruction
_TILE = 128


def initial_state(run: RunContext) -> EngineState:
    """Return the state before the first iteration: random maps, and the noise."""
    radius = first_radius(run.settings, run.geometry)
    noise = initial_noise(run)
    return EngineState(
        iteration=0,
        phase="starts",
        step=0,
        climbed=0,
        drawn=0,
        start_radius=radius,
        starts_tried=run.settings.starts,
        fsc_radius=radius,
        typical_power=noise.typical_power,
        start_agreement=np.zeros(0),
        drift=Drift.of_starts(radius),
        models=random_models(run, radius, noise),
        assignments=empty_assignments(run.particles),
    )


def random_models(
    run: RunContext,
    radius: int,
    noise: InitialNoise,
    *,
    first: int = 0,
    number: int | None = None,
) -> tuple[ModelState, ...]:
    """Return one model of random maps per start.

    Parameters
    ----------
    run : RunContext
    radius : int
        Fourier radius.
    noise : InitialNoise
    first : int
        Number of the first of these starts; each number has random maps of its own.
    number : int, optional
        Default: that of the settings.
    """
    settings = run.settings
    annealed = settings.anneal_classes or settings.classes == 1
    n_classes = 1 if annealed else settings.classes
    starts = range(first, first + (settings.starts if number is None else number))
    return tuple(random_model(run, start, n_classes, radius, noise) for start in starts)


def empty_assignments(particles: Particles) -> Assignments:
    """Return the assignments before any visit: the shifts of the file, no class."""
    n = len(particles)
    zeros = [np.zeros(n, np.float32) for _ in range(6)]
    return Assignments(
        class_index=np.full(n, -1, np.int32),
        rot=zeros[0],
        tilt=zeros[1],
        psi=zeros[2],
        origin_x=particles.origin_x.astype(np.float32),
        origin_y=particles.origin_y.astype(np.float32),
        max_probability=zeros[3],
        n_significant=np.zeros(n, np.int32),
        log_likelihood=zeros[4],
        junk_probability=zeros[5],
        scale=np.ones(n, np.float32),
    )


def random_model(
    run: RunContext, start: int, n_classes: int, radius: int, noise: InitialNoise
) -> ModelState:
    """Return the model of a random start.

    Parameters
    ----------
    run : RunContext
    start : int
        Number of the start.
    n_classes : int
        K.
    radius : int
        Fourier radius.
    noise : InitialNoise
    """
    maps = [random_map(run, radius, start * n_classes + k, noise) for k in range(n_classes)]
    m = finest_radius(run.settings, run.geometry) * run.settings.padding_factor + 1
    shape = (n_classes, 2, 2 * m + 1, 2 * m + 1, m + 2)  # two half-sets
    return ModelState(
        maps=np.stack(maps),
        numerator=np.zeros(shape, np.complex64),
        denominator=np.zeros(shape, np.float32),
        blended_numerator=NO_SUMS[0],
        blended_denominator=NO_SUMS[1],
        sigma2=noise.sigma2,
        class_shares=np.full(n_classes, 1 / n_classes),
        sigma_offset=np.array(FIRST_SIGMA_OFFSET),
        evidence=np.zeros(0),
        fsc_sum=np.zeros(0),
    )


def random_map(run: RunContext, radius: int, number: int, noise: InitialNoise) -> Float32:
    """Return a map (n, n, n) of some images, backprojected at random angles.

    Parameters
    ----------
    run : RunContext
    radius : int
        Fourier radius.
    number : int
        Of the map; each has random angles of its own.
    noise : InitialNoise
        For the weights of images with bright contaminants.
    """
    rng = np.random.default_rng([random_streams.START, run.settings.seed, number])
    backend = run.preparation.backend
    subset = np.sort(rng.permutation(len(run.particles))[:_IMAGES])
    padding = run.settings.padding_factor
    m = radius * padding + 1
    tiles = split_into_tiles(subset, run.particles.optics_index, _TILE)
    with backend.device.enter():
        disk = run.preparation.disk(run.geometry.box_size, radius)
        kx, ky = disk.kx * np.float32(padding), disk.ky * np.float32(padding)  # (P,)
        numerator = backend.xp.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
        denominator = backend.xp.zeros(numerator.shape, np.float32)
        for batch in run.source.batches(tiles):
            tile = plain_tile(run, batch, disk, noise.typical_power)
            rotations = np.stack([random_rotation(rng) for _ in batch.index]).astype(np.float32)
            weighted, matrices = (
                WeightedImages.of(tile, disk, backend),
                backend.to_device(rotations),
            )
            backend.kernels.backproject(
                weighted.images, weighted.ctf2, matrices, kx, ky, numerator, denominator
            )
        numerator, denominator = backend.to_host(numerator), backend.to_host(denominator)
    complete_friedel(numerator, denominator)
    return run.constraints.to_map(divide_by_weight(numerator, denominator, padding))
