"""Images of an iteration: the subset, its tiles, and the preparation of each tile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, IntArray
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.normalisation import normalise
from napari_ini3d.engine.robust_weights import ExcessLimits, robust_weights, shell_power
from napari_ini3d.fourier import (
    FrequencyDisk,
    frequency_disk,
    images_to_disk,
    soft_mask,
)
from napari_ini3d.kernels import Backend
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.particles import ImageBatch, Particles

MASK_EDGE = 14.0  # Å, over which masks fall to zero
_CTF_FIELDS = ("defocus_u", "defocus_v", "defocus_angle", "phase_shift")


def draw_subset(n_particles: int, drawn: int, size: int, seed: int) -> IntArray:
    """Return the next `size` particles of one random order that repeats, sorted.

    All particles are visited equally often, and none twice in a subset.

    Parameters
    ----------
    n_particles : int
    drawn : int
        Particles drawn so far.
    size : int
        At most `n_particles`.
    seed : int
    """
    order = np.random.default_rng([seed, random_streams.ORDER]).permutation(n_particles)
    return np.sort(order[(drawn + np.arange(size)) % n_particles])


def split_into_tiles(subset: IntArray, optics_index: IntArray, tile_size: int) -> list[IntArray]:
    """Return the subset in tiles of one half (index mod 2) and one optics group each."""
    tiles: list[IntArray] = []
    half, group = subset % 2, optics_index[subset]
    for g in np.unique(group):
        for h in (0, 1):
            mine = subset[(half == h) & (group == g)]
            pieces = -(-len(mine) // tile_size)
            tiles += np.array_split(mine, pieces) if pieces else []
    return tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """B prepared images of one optics group and one half-set.

    Attributes
    ----------
    index : (B,) int64
    images : (B, P) complex64
        Masked, shifted by `centre`.
    ctf : (B, P) float32
    premultiplied : bool
        Whether the images have been multiplied by their CTF, and it is corrected for.
    sigma2 : (P,) float32
        Noise variance of a real or imaginary part.
    centre : (B, 2) float32
        Pixels by which each image has been shifted already.
    from_expected : (B, 2) float32
        Distance of that from the shift that is expected a priori, pixels.
    class_bias : (B, K) float32
        Added to the log prior of the classes.
    excess : (B, n_shells) float32
        Power of each shell over the typical power of the optics group, of the masked image.
    scale : (B,) float32
        Amplitude of the particle in each image, relative to the map's.
    shell_weight : (B, n_shells) float32
        1, or less where a shell is far stronger than is typical (`robust_weights`).
    image_power : (B, n_shells) float32
        Sum over the components of each shell of |X|², before masking.
    half, group : int
    """

    index: IntArray
    images: Complex64
    ctf: Float32
    premultiplied: bool
    sigma2: Float32
    centre: Float32
    from_expected: Float32
    class_bias: Float32
    excess: Float32
    scale: Float32
    shell_weight: Float32
    image_power: Float32
    half: int
    group: int


@dataclass(frozen=True, slots=True)
class WeightedImages:
    """Images of a tile as they enter the sums, weighted by CTF and noise.

    Attributes
    ----------
    images : (B, P) complex64
        w s CTF · X / σ², w the weight of the shell, s the scale of the image.
    ctf2 : (B, P) float32
        w s² CTF² / σ².
    """

    images: Complex64
    ctf2: Float32

    @classmethod
    def of(cls, tile: Tile, disk: FrequencyDisk) -> WeightedImages:
        """Weight the images of a tile; premultiplied ones are not multiplied by the CTF again."""
        scale = tile.scale[:, None]
        # the map, seen at this scale, over σ²
        scaled = tile.shell_weight.take(disk.shell, axis=1) * scale / tile.sigma2  # (B, P)
        factor = scaled if tile.premultiplied else tile.ctf * scaled
        return cls(tile.images * factor, tile.ctf**2 * (scaled * scale))


@dataclass(frozen=True, slots=True)
class ImagePreparation:
    """Prepares images as read: normalises, shifts, masks and transforms them.

    Attributes
    ----------
    particles : Particles
    pixel_size : float
        Å, of the images (not of the stack).
    mask_diameter : float
        Å.
    ctf : bool
        Whether to correct for the CTF.
    ignore_first_peak : bool
    backend : Backend
        Its device does the work.
    invert : bool
        Whether to invert the contrast.
    """

    particles: Particles
    pixel_size: float
    mask_diameter: float
    ctf: bool
    ignore_first_peak: bool
    backend: Backend
    invert: bool = False

    def on(self, backend: Backend) -> ImagePreparation:
        """Return the same preparation on another device."""
        return replace(self, backend=backend)

    def tile(
        self,
        batch: ImageBatch,
        disk: FrequencyDisk,
        origins: Float32,
        sigma2: Float64,
        typical_power: Float64,
        class_bias: Float32,
        scale: Float32,
    ) -> Tile:
        """Return a tile of prepared images.

        Parameters
        ----------
        batch : ImageBatch
            Of one half and one optics group; the images on the backend's device.
        disk : FrequencyDisk
            On the backend's device.
        origins : (B, 2) float32
            Å; each image is first shifted by this, rounded to pixels, so that the mask is
            centred on the particle.
        sigma2 : (G, n_shells) float64
        typical_power : (G, n_shells) float64
            Typical power of each shell of a masked image; infinite where it is not known.
        class_bias : (B, K) float32
        scale : (B,) float32
            Amplitude of the particle in each image, relative to the map's.
        """
        backend, xp, n = self.backend, self.backend.xp, batch.images.shape[-1]
        n_shells = n // 2 + 1
        shifts = np.rint(origins / self.pixel_size).astype(np.float32)  # (B, 2)
        values = self._to_device(batch.index, shifts, class_bias, scale)
        radius = self.mask_diameter / self.pixel_size / 2
        images = normalise(batch.images, radius, invert=self.invert, xp=xp)
        if shifts.any():
            images = _shift(images, values["shifts"], backend)
        # the noise is measured on whole images: a mask lowers its power but adds no information
        whole = images_to_disk(images, disk, fft=backend.fft)  # (B, P)
        mask = self._mask(n)
        masked = images_to_disk(images * mask, disk, fft=backend.fft)  # (B, P)
        group = int(self.particles.optics_index[batch.index[0]])
        typical = backend.to_device(typical_power[group].astype(np.float32))  # (n_shells,)
        excess = shell_power(masked, disk.shell, n_shells, xp=xp) / typical
        limits = excess_limits(n, self.mask_diameter / self.pixel_size).on(backend.to_device)
        weight = robust_weights(excess, limits, xp=xp)
        return Tile(
            index=batch.index,
            images=masked,
            ctf=self._ctf(values["ctf"], group, disk, n),
            premultiplied=self.particles.optics[group].ctf_premultiplied and self.ctf,
            sigma2=backend.to_device(sigma2[group])[disk.shell].astype(np.float32),
            centre=values["shifts"],
            from_expected=values["from_expected"],
            class_bias=values["class_bias"],
            excess=excess,
            scale=values["scale"][:, 0],
            shell_weight=weight,
            image_power=shell_power(whole, disk.shell, n_shells, xp=xp),
            half=int(batch.index[0] % 2),
            group=group,
        )

    def _to_device(
        self, index: IntArray, shifts: Float32, class_bias: Float32, scale: Float32
    ) -> dict[str, Float32]:
        """Return shifts, class bias, scale and CTF parameters on the device, in one copy."""
        particles = self.particles
        columns = {
            "shifts": shifts,
            "from_expected": shifts - self._expected(index),
            "class_bias": class_bias,
            "scale": scale[:, None],
            "ctf": np.stack([getattr(particles, name)[index] for name in _CTF_FIELDS], -1),
        }
        packed = np.concatenate(list(columns.values()), 1, dtype=np.float32)  # (B, all columns)
        packed = self.backend.to_device(packed)
        ends = np.cumsum([values.shape[1] for values in columns.values()]).tolist()
        starts = [0, *ends]
        return {
            name: packed[:, low:high]
            for name, low, high in zip(columns, starts, ends, strict=False)
        }

    def _expected(self, index: IntArray) -> Float32:
        x, y = self.particles.origin_x[index], self.particles.origin_y[index]
        return (np.stack([x, y], -1) / self.pixel_size).astype(np.float32)  # (B, 2), pixels

    def _mask(self, box_size: int) -> Float32:
        edge = MASK_EDGE / self.pixel_size
        radius = min(self.mask_diameter / self.pixel_size / 2, box_size / 2 - edge)
        return soft_mask(box_size, radius, edge, 2, xp=self.backend.xp)

    def _ctf(self, values: Float32, group: int, disk: FrequencyDisk, box_size: int) -> Float32:
        if not self.ctf:
            ones: Float32 = self.backend.xp.ones((len(values), len(disk)), np.float32)
            return ones
        scale = 1 / (box_size * self.pixel_size)  # Fourier samples to 1/Å
        shared = ctf_parameters(self.particles, group)
        columns: dict[str, Any] = {name: values[:, i] for i, name in enumerate(_CTF_FIELDS)}
        return compute_ctf(
            replace(shared, **columns),
            disk.kx * scale,
            disk.ky * scale,
            ignore_first_peak=self.ignore_first_peak,
            xp=self.backend.xp,
        )


@lru_cache(maxsize=8)
def excess_limits(box_size: int, diameter: float) -> ExcessLimits:
    """Return the excess of each shell (n // 2 + 1) beyond which a masked image counts less.

    Parameters
    ----------
    box_size : int
    diameter : float
        Pixels, of the mask.
    """
    return ExcessLimits.of(independent_components(box_size, diameter))


def independent_components(box_size: int, diameter: float) -> Float64:
    """Return the independent components of each shell of a masked image, (n // 2 + 1,).

    A mask correlates neighbouring components: as many are independent as it leaves area.

    Parameters
    ----------
    box_size : int
    diameter : float
        Pixels, of the mask.
    """
    disk = frequency_disk(box_size, box_size // 2 - 1)
    count = np.bincount(disk.shell, minlength=box_size // 2 + 1).astype(np.float64)
    return count * min(1.0, np.pi / 4 * (diameter / box_size) ** 2)


def _shift(images: Float32, by: Float32, backend: Backend) -> Float32:
    out: Float32 = backend.xp.empty_like(images)
    backend.kernels.shift_images(images, by.astype(np.int32), out)
    return out


def real_pairs(array: Complex64) -> Float32:
    """Return a complex array (..., P) as its real and imaginary parts (..., 2P), no copy."""
    return array.view(np.float32)
