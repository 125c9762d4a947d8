"""Initialisation of a run: random maps, a first noise estimate, agreement of the starts."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import BoolArray, Float32, Float64
from napari_ini3d.comparison import register_maps
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import Tile, draw_subset, split_into_tiles
from napari_ini3d.engine.maximisation import complete_friedel
from napari_ini3d.engine.regularisation import divide_by_weight
from napari_ini3d.engine.schedule import finest_radius, first_radius
from napari_ini3d.engine.shell_sums import sum_shells
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.fourier import FrequencyDisk, compute_fsc, frequency_disk, resize_map
from napari_ini3d.geometry import random_rotation
from napari_ini3d.particles import Assignments, ImageBatch, Particles

_IMAGES = 200  # in a random reconstruction
_NOISE_IMAGES = 1000  # of the first noise estimate
_TILE = 128
_LEAST_BOX = 16  # voxels, of the maps whose agreement is measured
_START_STREAM, _NOISE_STREAM = 11, 13


def initial_state(run: RunContext) -> EngineState:
    """Return the state before the first iteration: random maps, and the noise."""
    settings = run.settings
    radius = first_radius(settings, run.geometry)
    sigma2 = initial_noise(run)
    annealed = settings.anneal_classes or settings.classes == 1
    n_classes = 1 if annealed else settings.classes
    return EngineState(
        iteration=0,
        phase="starts",
        step=0,
        drawn=0,
        supported_radius=radius,
        models=tuple(
            _random_model(run, start, n_classes, radius, sigma2) for start in range(settings.starts)
        ),
        assignments=empty_assignments(run.particles),
    )


def empty_assignments(particles: Particles) -> Assignments:
    """Return the assignments before any visit: the shifts of the file, no class."""
    n = len(particles)
    zeros = [np.zeros(n, np.float32) for _ in range(5)]
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
    )


def _random_model(
    run: RunContext, start: int, n_classes: int, radius: int, sigma2: Float64
) -> ModelState:
    maps = [random_map(run, radius, start * n_classes + k) for k in range(n_classes)]
    m = finest_radius(run.settings, run.geometry) * run.settings.padding_factor + 1
    shape = (n_classes, 2, 2 * m + 1, 2 * m + 1, m + 2)  # two half-sets
    return ModelState(
        maps=np.stack(maps),
        numerator=np.zeros(shape, np.complex64),
        denominator=np.zeros(shape, np.float32),
        sigma2=sigma2,
        class_shares=np.full(n_classes, 1 / n_classes),
        evidence=np.zeros(0),
    )


def random_map(run: RunContext, radius: int, number: int) -> Float32:
    """Return a map (n, n, n) of some images, backprojected at random angles.

    Parameters
    ----------
    run : RunContext
    radius : int
        Fourier radius.
    number : int
        Of the map; each has random angles of its own.
    """
    rng = np.random.default_rng([_START_STREAM, run.settings.seed, number])
    backend = run.preparation.backend
    subset = np.sort(rng.permutation(len(run.particles))[:_IMAGES])
    padding = run.settings.padding_factor
    m = radius * padding + 1
    tiles = split_into_tiles(subset, run.particles.optics_index, _TILE)
    with backend.device.enter():
        disk = frequency_disk(run.geometry.box_size, radius).on(backend.to_device)
        kx, ky = disk.kx * np.float32(padding), disk.ky * np.float32(padding)  # (P,)
        numerator = backend.xp.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
        denominator = backend.xp.zeros(numerator.shape, np.float32)
        for batch in run.source.batches(tiles):
            tile = _plain_tile(run, batch, disk)
            rotations = np.stack([random_rotation(rng) for _ in batch.index]).astype(np.float32)
            weighted = tile.images if tile.premultiplied else tile.images * tile.ctf  # (B, P)
            matrices, weight = backend.to_device(rotations), tile.ctf**2
            backend.kernels.backproject(weighted, weight, matrices, kx, ky, numerator, denominator)
        numerator, denominator = backend.to_host(numerator), backend.to_host(denominator)
    complete_friedel(numerator, denominator)
    return run.constraints.to_map(divide_by_weight(numerator, denominator, padding))


def _plain_tile(run: RunContext, batch: ImageBatch, disk: FrequencyDisk) -> Tile:
    """Return images without a shift, for noise of variance one."""
    backend, n_shells = run.preparation.backend, batch.images.shape[-1] // 2 + 1
    zero = np.zeros((len(batch.index), 2), np.float32)
    flat = np.ones((len(run.particles.optics), n_shells))
    images = backend.to_device(batch.images)
    return run.preparation.tile(ImageBatch(batch.index, images), disk, zero, flat, zero)


def initial_noise(run: RunContext) -> Float64:
    """Return the noise variance per optics group and shell, (G, n // 2 + 1): all power is noise."""
    n, particles, backend = run.geometry.box_size, run.particles, run.preparation.backend
    n_shells, groups, xp = n // 2 + 1, len(particles.optics), backend.xp
    size = min(len(particles), _NOISE_IMAGES)
    subset = draw_subset(len(particles), 0, size, run.settings.seed + _NOISE_STREAM)
    with backend.device.enter():
        disk = frequency_disk(n, n // 2 - 1).on(backend.to_device)
        power, weight = xp.zeros((groups, n_shells)), xp.zeros((groups, n_shells))
        for batch in run.source.batches(split_into_tiles(subset, particles.optics_index, _TILE)):
            tile = _plain_tile(run, batch, disk)
            power[tile.group] += tile.power
            # noise multiplied by the CTF has CTF² times the variance
            ctf2 = tile.ctf**2 if tile.premultiplied else xp.ones_like(tile.ctf)  # (B, P)
            total = ctf2.sum(0).astype(np.float64)  # (P,)
            weight[tile.group] += sum_shells(backend, disk.shell, total, n_shells)
        power, weight = backend.to_host(power), backend.to_host(weight)
    return _fill_gaps(np.divide(power, 2 * weight, out=np.zeros_like(power), where=weight > 0))


def _fill_gaps(sigma2: Float64) -> Float64:
    """Give shells and groups without images the value of their neighbours."""
    seen: BoolArray = np.any(sigma2 > 0, axis=1)
    typical = sigma2[seen].mean(0)
    filled = np.where(seen[:, None], sigma2, typical)
    for row in filled:
        known = np.flatnonzero(row > 0)
        row[:] = np.interp(np.arange(len(row)), known, row[known])
    return filled


def start_agreement(
    maps: list[Float32], best: int, radius: int, *, threads: int = 0
) -> list[float]:
    """Return how well each start agrees with the best: mean FSC after alignment, both hands.

    Parameters
    ----------
    maps : list of (n, n, n) float32
        The first class of each start.
    best : int
    radius : int
        Fourier radius up to which the maps have detail.
    threads : int
        0 for all cores.
    """
    size = min(maps[0].shape[0], max(_LEAST_BOX, 2 * -(-3 * radius // 2)))
    small = [resize_map(volume, size) for volume in maps]
    agreement = []
    for i, volume in enumerate(small):
        if i != best:
            registration = register_maps(small[best], volume, threads=threads)
            aligned = registration.apply(volume, threads=threads)
            agreement.append(float(compute_fsc(small[best], aligned)[1 : radius + 1].mean()))
    return agreement
