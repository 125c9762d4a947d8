"""Which images an iteration visits, and how an image is made ready to be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ini3d.engine.tiles import Tile
from napari_ini3d.fourier.transforms import Float32, FrequencyDisk, images_to_disk, sum_shells
from napari_ini3d.masks import radius_grid, soft_mask
from napari_ini3d.optics.ctf import compute_ctf, ctf_parameters
from napari_ini3d.particles import ImageBatch, IntArray, Particles

MASK_EDGE = 14.0  # Å, over which masks fall to zero
_ORDER_STREAM = 7


def draw_subset(n_particles: int, drawn: int, size: int, seed: int) -> IntArray:
    """Return the next `size` particles of a walk round a random order, sorted.

    Walking round one order visits all particles equally often, and never one twice in a subset.

    Parameters
    ----------
    n_particles : int
    drawn : int
        How many the walk has given so far.
    size : int
        At most `n_particles`.
    seed : int
    """
    order = np.random.default_rng([seed, _ORDER_STREAM]).permutation(n_particles)
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


@dataclass(frozen=True, slots=True)
class ImagePreparation:
    """Turns images as read into tiles.

    Attributes
    ----------
    particles : Particles
    pixel_size : float
        Å, of the images (not of the stack).
    mask_diameter : float
        Å.
    ctf : bool
        Whether to correct for it.
    ignore_first_peak : bool
    """

    particles: Particles
    pixel_size: float
    mask_diameter: float
    ctf: bool
    ignore_first_peak: bool

    def tile(
        self,
        batch: ImageBatch,
        disk: FrequencyDisk,
        origins: Float32,
        sigma2: npt.NDArray[np.float64],
        class_bias: Float32,
    ) -> Tile:
        """Return a tile.

        Parameters
        ----------
        batch : ImageBatch
            Of one half and one optics group.
        disk : FrequencyDisk
        origins : (B, 2) float32
            Å; each image is first moved by this, to whole pixels, so that the mask is centred.
        sigma2 : (G, n_shells) float64
        class_bias : (B, K) float32
        """
        moved = np.rint(origins / self.pixel_size)
        images = normalise(batch.images, self.mask_diameter / self.pixel_size / 2)
        images = _move(images, moved.astype(np.int64))
        power = images_to_disk(images, disk)
        power_per_shell = sum_shells(
            disk, (power.real**2 + power.imag**2).sum(0, dtype=np.float64), images.shape[-1]
        )
        images_ft = images_to_disk(images * self._mask(images.shape[-1]), disk)
        group = int(self.particles.optics_index[batch.index[0]])
        return Tile(
            index=batch.index,
            images=images_ft,
            ctf=self._ctf(batch.index, group, disk, images.shape[-1]),
            premultiplied=self.particles.optics[group].ctf_premultiplied and self.ctf,
            sigma2=sigma2[group][disk.shell].astype(np.float32),
            centre=moved.astype(np.float32),
            from_expected=(moved - self._expected(batch.index)).astype(np.float32),
            class_bias=class_bias,
            power=power_per_shell,
            half=int(batch.index[0] % 2),
            group=group,
        )

    def _expected(self, index: IntArray) -> Float32:
        x, y = self.particles.origin_x[index], self.particles.origin_y[index]
        return (np.stack([x, y], -1) / self.pixel_size).astype(np.float32)

    def _mask(self, box_size: int) -> Float32:
        edge = MASK_EDGE / self.pixel_size
        radius = min(self.mask_diameter / self.pixel_size / 2, box_size / 2 - edge)
        return soft_mask(box_size, radius, edge, 2)

    def _ctf(self, index: IntArray, group: int, disk: FrequencyDisk, box_size: int) -> Float32:
        if not self.ctf:
            return np.ones((len(index), len(disk)), np.float32)
        scale = 1 / (box_size * self.pixel_size)
        parameters = ctf_parameters(self.particles.take(index), group)
        return compute_ctf(
            parameters, disk.kx * scale, disk.ky * scale, ignore_first_peak=self.ignore_first_peak
        )


def normalise(images: Float32, radius: float) -> Float32:
    """Return images whose background, beyond `radius` pixels, has mean 0 and variance 1."""
    n = images.shape[-1]
    r = radius_grid(n, 2)
    background = images[:, r > min(radius, 0.47 * n)]
    mean = background.mean(1, dtype=np.float64).astype(np.float32)
    spread = background.std(1, dtype=np.float64).astype(np.float32)
    spread = np.where(spread > 0, spread, np.float32(1))
    out: npt.NDArray[np.float32] = (images - mean[:, None, None]) / spread[:, None, None]
    return out


def _move(images: Float32, by: IntArray) -> Float32:
    if not by.any():
        return images
    return np.stack([np.roll(im, (y, x), (0, 1)) for im, (x, y) in zip(images, by, strict=True)])
