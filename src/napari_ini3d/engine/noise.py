"""Noise variance per optics group and Fourier shell: the first estimate, and its update."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import BoolArray, Float64
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import Tile, draw_subset, split_into_tiles
from napari_ini3d.engine.shell_sums import sum_shells
from napari_ini3d.engine.sums import IterationSums
from napari_ini3d.fourier import FrequencyDisk, frequency_disk
from napari_ini3d.particles import ImageBatch

_IMAGES = 1000  # of the first estimate
_MEMORY = 0.5  # weight of the earlier estimate in an update
_TILE = 128


def initial_noise(run: RunContext) -> Float64:
    """Return the noise variance per optics group and shell, (G, n // 2 + 1): all power is noise."""
    n, particles, backend = run.geometry.box_size, run.particles, run.preparation.backend
    n_shells, groups, xp = n // 2 + 1, len(particles.optics), backend.xp
    size = min(len(particles), _IMAGES)
    subset = draw_subset(len(particles), 0, size, run.settings.seed + random_streams.NOISE)
    with backend.device.enter():
        disk = frequency_disk(n, n // 2 - 1).on(backend.to_device)
        power, weight = xp.zeros((groups, n_shells)), xp.zeros((groups, n_shells))
        for batch in run.source.batches(split_into_tiles(subset, particles.optics_index, _TILE)):
            tile = plain_tile(run, batch, disk)
            power[tile.group] += tile.power
            # noise multiplied by the CTF has CTF² times the variance
            ctf2 = tile.ctf**2 if tile.premultiplied else xp.ones_like(tile.ctf)  # (B, P)
            total = ctf2.sum(0).astype(np.float64)  # (P,)
            weight[tile.group] += sum_shells(backend, disk.shell, total, n_shells)
        power, weight = backend.to_host(power), backend.to_host(weight)
    return _fill_gaps(np.divide(power, 2 * weight, out=np.zeros_like(power), where=weight > 0))


def plain_tile(run: RunContext, batch: ImageBatch, disk: FrequencyDisk) -> Tile:
    """Return images without a shift, for noise of variance one."""
    backend, n_shells = run.preparation.backend, batch.images.shape[-1] // 2 + 1
    zero = np.zeros((len(batch.index), 2), np.float32)
    flat = np.ones((len(run.particles.optics), n_shells))
    images = backend.to_device(batch.images)
    return run.preparation.tile(ImageBatch(batch.index, images), disk, zero, flat, zero)


def update_noise(sigma2: Float64, sums: IterationSums, disk: FrequencyDisk) -> Float64:
    """Return the noise variance (G, n_shells), moved towards the residual of this iteration.

    The residual is that of whole images, not of masked ones: a mask lowers the power of the noise
    but adds no information, and a posterior that believes the lower number is too certain.
    """
    count = np.bincount(disk.shell, minlength=sigma2.shape[1])  # (n_shells,)
    found = sums.residual / np.maximum(2 * sums.n_images[:, None] * count, 1)  # (G, n_shells)
    known = (found > 0) & (count > 0) & (sums.n_images[:, None] > 0)
    return np.where(known, _MEMORY * sigma2 + (1 - _MEMORY) * found, sigma2)


def _fill_gaps(sigma2: Float64) -> Float64:
    """Give shells and groups without images the value of their neighbours."""
    seen: BoolArray = np.any(sigma2 > 0, axis=1)
    typical = sigma2[seen].mean(0)
    filled = np.where(seen[:, None], sigma2, typical)
    for row in filled:
        known = np.flatnonzero(row > 0)
        row[:] = np.interp(np.arange(len(row)), known, row[known])
    return filled
