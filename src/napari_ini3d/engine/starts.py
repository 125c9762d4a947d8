"""What a run begins with: maps from random angles, a first estimate of the noise, a choice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_ini3d.engine.batches import ImagePreparation, draw_subset, split_into_tiles
from napari_ini3d.engine.maximisation import complete_friedel
from napari_ini3d.engine.regularisation import MapConstraints, divide_by_weight
from napari_ini3d.fourier.fsc import fsc
from napari_ini3d.fourier.resample import resize_map
from napari_ini3d.fourier.transforms import Float32, frequency_disk, sum_shells
from napari_ini3d.geometry.sampling import random_rotation
from napari_ini3d.kernels.backend import Backend
from napari_ini3d.particles import ImageSource
from napari_ini3d.registration import register_maps

Float64 = npt.NDArray[np.float64]

_IMAGES = 200  # in a random reconstruction
_NOISE_IMAGES = 1000  # from which the noise is first estimated
_TILE = 128
_LEAST_BOX = 16  # voxels, of the maps whose agreement is measured
_START_STREAM, _NOISE_STREAM = 11, 13


def random_map(
    source: ImageSource,
    preparation: ImagePreparation,
    constraints: MapConstraints,
    radius: int,
    backend: Backend,
    stream: tuple[int, int],
) -> Float32:
    """Return the map (n, n, n) of images back-projected at random angles.

    Parameters
    ----------
    source, preparation, constraints, backend
    radius : int
        Fourier radius.
    stream : (int, int)
        Seed and number of the start.
    """
    rng = np.random.default_rng([_START_STREAM, *stream])
    n = len(preparation.particles)
    subset = np.sort(rng.permutation(n)[:_IMAGES])
    disk = frequency_disk(source.box_size, radius)
    padding = constraints.settings.padding_factor
    m = radius * padding + 1
    numerator = np.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
    denominator = np.zeros(numerator.shape, np.float32)
    tiles = split_into_tiles(subset, preparation.particles.optics_index, _TILE)
    for batch in source.batches(tiles):
        size = len(batch.index)
        zero = np.zeros((size, 2), np.float32)
        flat = np.ones((len(preparation.particles.optics), source.box_size // 2 + 1))
        tile = preparation.tile(batch, disk, zero, flat, zero)
        matrices = np.stack([random_rotation(rng) for _ in range(size)]).astype(np.float32)
        weighted = tile.images if tile.premultiplied else tile.images * tile.ctf
        kx, ky = disk.kx * np.float32(padding), disk.ky * np.float32(padding)
        backend.backproject(weighted, tile.ctf**2, matrices, kx, ky, numerator, denominator)
    complete_friedel(numerator, denominator)
    return constraints.to_map(divide_by_weight(numerator, denominator, padding))


def initial_noise(source: ImageSource, preparation: ImagePreparation, seed: int) -> Float64:
    """Return the noise variance per optics group and shell, (G, n // 2 + 1): all power is noise."""
    particles = preparation.particles
    n_shells = source.box_size // 2 + 1
    size = min(len(particles), _NOISE_IMAGES)
    subset = draw_subset(len(particles), 0, size, seed + _NOISE_STREAM)
    disk = frequency_disk(source.box_size, source.box_size // 2 - 1)
    groups = len(particles.optics)
    power, weight = np.zeros((groups, n_shells)), np.zeros((groups, n_shells))
    for batch in source.batches(split_into_tiles(subset, particles.optics_index, _TILE)):
        zero = np.zeros((len(batch.index), 2), np.float32)
        tile = preparation.tile(batch, disk, zero, np.ones((groups, n_shells)), zero)
        power[tile.group] += tile.power
        # noise multiplied by the CTF has CTF² times the variance
        ctf2 = tile.ctf**2 if tile.premultiplied else np.ones_like(tile.ctf)
        weight[tile.group] += sum_shells(disk, ctf2.sum(0), source.box_size)
    return _fill_gaps(np.divide(power, 2 * weight, out=np.zeros_like(power), where=weight > 0))


def _fill_gaps(sigma2: Float64) -> Float64:
    """Give shells and groups without images the value of their neighbours."""
    seen: npt.NDArray[np.bool_] = np.any(sigma2 > 0, axis=1)
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
            agreement.append(float(fsc(small[best], aligned)[1 : radius + 1].mean()))
    return agreement
