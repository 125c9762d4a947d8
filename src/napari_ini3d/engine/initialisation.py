"""What a run begins with: maps from random angles, a first estimate of the noise, a choice."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import BoolArray, Float32, Float64
from napari_ini3d.comparison import register_maps
from napari_ini3d.engine.backprojection import sum_shells
from napari_ini3d.engine.images import ImagePreparation, draw_subset, split_into_tiles
from napari_ini3d.engine.maximisation import complete_friedel
from napari_ini3d.engine.regularisation import RealSpaceConstraints, divide_by_weight
from napari_ini3d.engine.tiles import Tile
from napari_ini3d.fourier import FrequencyDisk, compute_fsc, frequency_disk, resize_map
from napari_ini3d.geometry import random_rotation
from napari_ini3d.particles import ImageBatch, ImageSource

_IMAGES = 200  # in a random reconstruction
_NOISE_IMAGES = 1000  # from which the noise is first estimated
_TILE = 128
_LEAST_BOX = 16  # voxels, of the maps whose agreement is measured
_START_STREAM, _NOISE_STREAM = 11, 13


def random_map(
    source: ImageSource,
    preparation: ImagePreparation,
    constraints: RealSpaceConstraints,
    radius: int,
    stream: tuple[int, int],
) -> Float32:
    """Return the map (n, n, n) of images back-projected at random angles.

    Parameters
    ----------
    source, preparation, constraints
    radius : int
        Fourier radius.
    stream : (int, int)
        Seed and number of the start.
    """
    rng = np.random.default_rng([_START_STREAM, *stream])
    n = len(preparation.particles)
    subset = np.sort(rng.permutation(n)[:_IMAGES])
    padding, backend = constraints.settings.padding_factor, preparation.backend
    m = radius * padding + 1
    tiles = split_into_tiles(subset, preparation.particles.optics_index, _TILE)
    with backend.device.enter():
        disk = frequency_disk(source.box_size, radius).on(backend.to_device)
        kx, ky = disk.kx * np.float32(padding), disk.ky * np.float32(padding)
        numerator = backend.xp.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
        denominator = backend.xp.zeros(numerator.shape, np.float32)
        for batch in source.batches(tiles):
            tile = _plain_tile(preparation, batch, disk)
            turns = np.stack([random_rotation(rng) for _ in batch.index]).astype(np.float32)
            weighted = tile.images if tile.premultiplied else tile.images * tile.ctf
            matrices, weight = backend.to_device(turns), tile.ctf**2
            backend.kernels.backproject(weighted, weight, matrices, kx, ky, numerator, denominator)
        numerator, denominator = backend.to_host(numerator), backend.to_host(denominator)
    complete_friedel(numerator, denominator)
    return constraints.to_map(divide_by_weight(numerator, denominator, padding))


def _plain_tile(preparation: ImagePreparation, batch: ImageBatch, disk: FrequencyDisk) -> Tile:
    """Return images as they are, for noise of one and without a shift."""
    backend, n_shells = preparation.backend, batch.images.shape[-1] // 2 + 1
    zero = np.zeros((len(batch.index), 2), np.float32)
    flat = np.ones((len(preparation.particles.optics), n_shells))
    images = backend.to_device(batch.images)
    return preparation.tile(ImageBatch(batch.index, images), disk, zero, flat, zero)


def initial_noise(source: ImageSource, preparation: ImagePreparation, seed: int) -> Float64:
    """Return the noise variance per optics group and shell, (G, n // 2 + 1): all power is noise."""
    particles = preparation.particles
    n_shells = source.box_size // 2 + 1
    size = min(len(particles), _NOISE_IMAGES)
    subset = draw_subset(len(particles), 0, size, seed + _NOISE_STREAM)
    groups, backend = len(particles.optics), preparation.backend
    xp = backend.xp
    with backend.device.enter():
        disk = frequency_disk(source.box_size, source.box_size // 2 - 1).on(backend.to_device)
        power, weight = xp.zeros((groups, n_shells)), xp.zeros((groups, n_shells))
        for batch in source.batches(split_into_tiles(subset, particles.optics_index, _TILE)):
            tile = _plain_tile(preparation, batch, disk)
            power[tile.group] += tile.power
            # noise multiplied by the CTF has CTF² times the variance
            ctf2 = tile.ctf**2 if tile.premultiplied else xp.ones_like(tile.ctf)
            total = ctf2.sum(0).astype(np.float64)
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


def start_agreement(maps: list[Float32], best: int, radius: int) -> list[float]:
    """Return how well each start agrees with the best: mean FSC after alignment, both hands.

    Parameters
    ----------
    maps : list of (n, n, n) float32
        The first class of each start.
    best : int
    radius : int
        Fourier radius up to which the maps have detail.
    """
    size = min(maps[0].shape[0], max(_LEAST_BOX, 2 * -(-3 * radius // 2)))
    small = [resize_map(volume, size) for volume in maps]
    agreement = []
    for i, volume in enumerate(small):
        if i != best:
            aligned = register_maps(small[best], volume).apply(volume)
            agreement.append(float(compute_fsc(small[best], aligned)[1 : radius + 1].mean()))
    return agreement
