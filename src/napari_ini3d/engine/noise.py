"""Noise variance per optics group and Fourier shell: the first estimate, and its update."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import BoolArray, Float64
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import Tile, draw_subset, excess_limits, split_into_tiles
from napari_ini3d.engine.robust_weights import (
    ExcessLimits,
    robust_weights,
    typical_power,
)
from napari_ini3d.engine.shell_sums import sum_shells_of_images
from napari_ini3d.engine.sums import IterationSums
from napari_ini3d.fourier import FrequencyDisk
from napari_ini3d.particles import ImageBatch

logger = logging.getLogger(__name__)

_IMAGES = 1000  # of the first estimate
_MEMORY = 0.5  # weight of the earlier estimate in an update
_TILE = 128
_BRIGHT = 0.5  # weight of a shell below which an image is counted


@dataclass(frozen=True, slots=True)
class InitialNoise:
    """The first estimate of the noise, and what is typical of an image.

    Attributes
    ----------
    sigma2 : (G, n_shells) float64
        Noise variance of a real or imaginary part, per optics group and shell; all power counts
        as noise.
    typical_power : (G, n_shells) float64
        Power Σ |X|² of a shell of a masked image.
    """

    sigma2: Float64
    typical_power: Float64


def initial_noise(run: RunContext) -> InitialNoise:
    """Estimate the noise from some images; those with bright contaminants hardly count."""
    n, particles, backend = run.geometry.box_size, run.particles, run.preparation.backend
    n_shells, xp = n // 2 + 1, backend.xp
    size = min(len(particles), _IMAGES)
    subset = draw_subset(len(particles), 0, size, run.settings.seed + random_streams.NOISE)
    found: dict[int, list[Float64]] = {g: [] for g in range(len(particles.optics))}
    one = np.ones((len(particles.optics), n_shells))  # the excess over it is the power itself
    with backend.device.enter():
        disk = run.preparation.disk(n, n // 2 - 1)
        for batch in run.source.batches(split_into_tiles(subset, particles.optics_index, _TILE)):
            tile = plain_tile(run, batch, disk, one)
            # noise multiplied by the CTF has CTF² times the variance
            ctf2 = tile.ctf**2 if tile.premultiplied else xp.ones_like(tile.ctf)  # (B, P)
            components = sum_shells_of_images(ctf2, disk.shell, n_shells, xp=xp)
            parts = xp.stack([tile.excess, tile.image_power, components])
            found[tile.group].append(backend.to_host(parts).astype(np.float64))
    limits = excess_limits(n, run.geometry.diameter / run.geometry.pixel_size)
    rows, bright = [np.zeros((2, n_shells)) for _ in found], 0
    for group, of_group in found.items():
        if of_group:
            rows[group], count = _noise_of_group(np.concatenate(of_group, 1), limits)
            bright += count
    if bright:
        logger.info(
            "%d of %d images have shells far stronger than is typical, as edges of carbon and ice "
            "do; these shells count less",
            bright,
            size,
        )
    sigma2, typical = (_fill_gaps(np.stack(values)) for values in zip(*rows, strict=True))
    return InitialNoise(sigma2, typical)


def _noise_of_group(power: Float64, limits: ExcessLimits) -> tuple[Float64, int]:
    """Return noise variance and typical power, (2, n_shells), and the number of bright images.

    Parameters
    ----------
    power : (3, N, n_shells) float64
        Of masked images, of whole ones, and sums of CTF² or of ones.
    limits : ExcessLimits
    """
    masked, whole, components = power
    typical = typical_power(masked, limits)
    weight = robust_weights(masked / np.maximum(typical, 1e-30), limits)
    total = 2 * (weight * components).sum(0, dtype=np.float64)
    sigma2 = np.divide(
        (weight * whole).sum(0, dtype=np.float64), total, out=np.zeros_like(total), where=total > 0
    )
    bright = int(np.count_nonzero((weight < _BRIGHT).any(1)))  # a shell hardly counts
    return np.stack([sigma2, typical]), bright


def plain_tile(
    run: RunContext, batch: ImageBatch, disk: FrequencyDisk, typical_power: Float64
) -> Tile:
    """Return images without a shift, for noise of variance one."""
    backend, n_shells = run.preparation.backend, batch.images.shape[-1] // 2 + 1
    zero = np.zeros((len(batch.index), 2), np.float32)
    flat = np.ones((len(run.particles.optics), n_shells))
    images = backend.to_device(batch.images)
    prepare = run.preparation.tile
    plain = ImageBatch(batch.index, images)
    return prepare(plain, disk, zero, flat, typical_power, zero, np.ones(len(zero), np.float32))


def update_noise(sigma2: Float64, sums: IterationSums, disk: FrequencyDisk) -> Float64:
    """Return the noise variance (G, n_shells), moved towards the residual of this iteration.

    The residual is that of whole images, not of masked ones: a mask lowers the power of the noise
    but adds no information, and a posterior that believes the lower number is too certain.
    """
    count = np.bincount(disk.shell, minlength=sigma2.shape[1])  # (n_shells,)
    found = sums.residual / np.maximum(2 * sums.shell_weight * count, 1e-30)  # (G, n_shells)
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
