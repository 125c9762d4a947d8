"""Images of an iteration: the subset, its tiles, and the preparation of each tile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, IntArray
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.normalisation import background_planes
from napari_ini3d.engine.robust_weights import ExcessLimits
from napari_ini3d.fourier import FrequencyDisk, frequency_disk, soft_mask
from napari_ini3d.kernels import Backend
from napari_ini3d.optics import (
    ctf_parameters,
    electron_wavelength,
    phase_terms,
    spherical_term,
)
from napari_ini3d.particles import ImageBatch, Particles

MASK_EDGE = 14.0  # Å, over which masks fall to zero


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
    for h in (0, 1):
        for g in np.unique(group):
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
    sigma2 : (n_shells,) float32
        Noise variance of a real or imaginary part.
    centre : (B, 2) float32
        Pixels by which each image has been shifted already; on the host.
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
    def of(cls, tile: Tile, disk: FrequencyDisk, backend: Backend) -> WeightedImages:
        """Weight the images of a tile; premultiplied ones are not multiplied by the CTF again."""
        images, ctf2 = backend.xp.empty_like(tile.images), backend.xp.empty_like(tile.ctf)
        backend.kernels.weigh_images(
            tile.images,
            tile.ctf,
            disk.shell,
            tile.shell_weight,
            tile.sigma2,
            tile.scale,
            tile.premultiplied,
            images,
            ctf2,
        )
        return cls(images, ctf2)


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
    _kept: dict[Any, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def disk(self, box_size: int, radius: int) -> FrequencyDisk:
        """Return the components up to a radius on the backend's device, where they are kept."""
        key = (self.backend.name, box_size, radius)
        if key not in self._kept:
            host = frequency_disk(box_size, radius)
            self._kept[key] = {"disk": host.on(self.backend.to_device_together)}
        disk: FrequencyDisk = self._kept[key]["disk"]
        return disk

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
        group = int(self.particles.optics_index[batch.index[0]])
        shift = np.rint(origins / self.pixel_size)  # (B, 2)
        values = self.backend.to_device_together(
            {
                "shift": shift.astype(np.int32),
                "from_expected": (shift - self._expected(batch.index)).astype(np.float32),
                "class_bias": class_bias,
                "scale": scale,
                "sigma2": sigma2[group].astype(np.float32),
                "typical": typical_power[group].astype(np.float32),
                "phase": phase_terms(ctf_parameters(self.particles.take(batch.index), group)),
            }
        )
        components, excess, weight, power = self._transformed(batch, disk, values)
        return Tile(
            index=batch.index,
            images=components,
            ctf=self._ctf(values["phase"], group, disk, batch.images.shape[-1]),
            premultiplied=self.particles.optics[group].ctf_premultiplied and self.ctf,
            sigma2=values["sigma2"],
            centre=shift.astype(np.float32),
            from_expected=values["from_expected"],
            class_bias=values["class_bias"],
            excess=excess,
            scale=values["scale"],
            shell_weight=weight,
            image_power=power,
            half=int(batch.index[0] % 2),
            group=group,
        )

    def _transformed(
        self, batch: ImageBatch, disk: FrequencyDisk, values: dict[str, Any]
    ) -> tuple[Complex64, Float32, Float32, Float32]:
        """Return components (B, P); excess, weight and power of each shell, (B, n_shells)."""
        backend, xp = self.backend, self.backend.xp
        n_images, n = batch.images.shape[:2]
        constants = self._constants(n)
        # the noise is measured on whole images: a mask lowers its power but adds no information
        both = xp.empty((2 * n_images, n, n), np.float32)  # whole, masked
        whole, masked = both[:n_images], both[n_images:]
        backend.kernels.normalise_images(
            batch.images,
            constants["weight"],
            constants["planes"],
            constants["mask"],
            values["shift"],
            -1 if self.invert else 1,
            whole,
            masked,
        )
        transforms = backend.fft.rfft2(both)  # (2 B, n, n // 2 + 1)
        components = xp.empty((n_images, len(disk)), np.complex64)
        shells = tuple(xp.empty((n_images, n // 2 + 1), np.float32) for _ in range(3))
        excess, weight, power = shells
        backend.kernels.disk_components(
            transforms[:n_images],
            transforms[n_images:],
            disk.place,
            disk.factor,
            disk.first,
            values["typical"],
            constants["limits"],
            components,
            *shells,
        )
        return components, excess, weight, power

    def _constants(self, box_size: int) -> dict[str, Any]:
        """Return background weights and planes, mask and limits of the excess, on the device."""
        key = (self.backend.name, box_size, self.pixel_size, self.mask_diameter)
        if key not in self._kept:
            edge, radius = MASK_EDGE / self.pixel_size, self.mask_diameter / self.pixel_size / 2
            weight, planes = background_planes(box_size, radius)
            mask = soft_mask(box_size, min(radius, box_size / 2 - edge), edge, 2)
            limits = excess_limits(box_size, 2 * radius).packed
            arrays = {"weight": weight, "planes": planes, "mask": mask, "limits": limits}
            self._kept[key] = self.backend.to_device_together(arrays)
        return self._kept[key]

    def _expected(self, index: IntArray) -> Float32:
        x, y = self.particles.origin_x[index], self.particles.origin_y[index]
        return (np.stack([x, y], -1) / self.pixel_size).astype(np.float32)  # (B, 2), pixels

    def _ctf(self, phase: Float64, group: int, disk: FrequencyDisk, box_size: int) -> Float32:
        xp = self.backend.xp
        if not self.ctf:
            ones: Float32 = xp.ones((len(phase), len(disk)), np.float32)
            return ones
        shared = ctf_parameters(self.particles, group)
        out: Float32 = xp.empty((len(phase), len(disk)), np.float32)
        self.backend.kernels.ctf_values(
            phase,
            disk.kx,
            disk.ky,
            1 / (box_size * self.pixel_size),  # Fourier samples to 1/Å
            electron_wavelength(shared.voltage),
            spherical_term(shared),
            self.ignore_first_peak,
            shared.phase_flipped,
            out,
        )
        return out


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


def real_pairs(array: Complex64) -> Float32:
    """Return a complex array (..., P) as its real and imaginary parts (..., 2P), no copy."""
    return array.view(np.float32)
