"""Centred transforms between images or maps in real space and the forms the engine compares.

Transforms are normalised by the number of pixels of an image (box²), in two and in three
dimensions alike, so that a slice of a map's transform is the transform of its projection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft

from napari_ini3d._types import AnyArray, Complex64, Float32, FloatArray, Int32, Int64
from napari_ini3d.fourier.small_grids import kept_if_small


@dataclass(frozen=True, slots=True)
class FrequencyDisk:
    """The independent Fourier components of an image, sorted by length.

    A smaller disk is a prefix of a larger one. The zero frequency is not included.

    Attributes
    ----------
    kx, ky : (P,) float32
        Frequencies in 1 / (box · pixel size).
    shell : (P,) int32
        Rounded length.
    place : (P,) int32
        Index of each in the output of ``rfft2`` of an image, as one row.
    factor : (P,) float32
        By which that output is multiplied: its sign moves the origin from pixel 0 to n // 2.
    first : (n_shells + 1,) int32
        The first component of each shell up to Nyquist, then P.
    """

    kx: Float32
    ky: Float32
    shell: Int32
    place: Int32
    factor: Float32
    first: Int32

    def __len__(self) -> int:
        return len(self.kx)

    def on(self, to_device: Callable[[dict[str, AnyArray]], dict[str, Any]]) -> FrequencyDisk:
        """Return a copy whose arrays are on a device.

        Parameters
        ----------
        to_device : callable
            From arrays by name to copies of them, such as `Backend.to_device_together`.
        """
        return FrequencyDisk(**to_device({f.name: getattr(self, f.name) for f in fields(self)}))

    def size_within(self, radius: float) -> int:
        """Return how many components have a length of at most `radius`."""
        length = np.hypot(self.kx, self.ky)
        return int(np.searchsorted(length, radius * (1 + 1e-6), side="right"))


@lru_cache(maxsize=8)
def frequency_disk(box_size: int, radius: int) -> FrequencyDisk:
    """Return the components with length at most `radius` (< box_size / 2)."""
    ky, kx = np.meshgrid(np.arange(-radius, radius + 1), np.arange(radius + 1), indexing="ij")
    length = np.hypot(kx, ky)
    keep = (length <= radius) & ((kx > 0) | (ky > 0))
    kx, ky, length = kx[keep], ky[keep], length[keep]
    order = np.argsort(length, kind="stable")
    kx, ky, length = kx[order], ky[order], length[order]
    shell, row = np.rint(length).astype(np.int32), ky % box_size
    sign = 1 - 2 * ((kx + row) % 2)
    return FrequencyDisk(
        kx.astype(np.float32),
        ky.astype(np.float32),
        shell,
        (row * (box_size // 2 + 1) + kx).astype(np.int32),
        (sign / box_size**2).astype(np.float32),
        np.searchsorted(shell, np.arange(box_size // 2 + 2)).astype(np.int32),
    )


def images_to_disk(images: Float32, disk: FrequencyDisk) -> Complex64:
    """Return the components (B, P) of images (B, n, n), origin at pixel n // 2.

    Parameters
    ----------
    images : (B, n, n) float32
    disk : FrequencyDisk
    """
    # an index on one axis by `take`: brackets would give the components of an image far apart
    ft = scipy.fft.rfft2(images).reshape(len(images), -1).take(disk.place, axis=1)
    components: Complex64 = (ft * disk.factor).astype(np.complex64, copy=False)
    return components


def map_to_cube(volume: Float32, radius: int, padding: int) -> Complex64:
    """Return the half cube (see `kernels.cpu`) of a map (n, n, n) up to a radius.

    Parameters
    ----------
    volume : (n, n, n) float32
        Real space, origin at voxel n // 2.
    radius : int
        Largest frequency needed, in image frequencies; less than n / 2.
    padding : int
        Zero padding factor.
    """
    n = volume.shape[0]
    size = n * padding
    m = radius * padding + 1
    low = size // 2 - n // 2
    padded = volume if padding == 1 else np.pad(volume, (low, size - n - low))
    ft = scipy.fft.rfft(padded, axis=2)[:, :, : m + 2]  # (size, size, m + 2)
    ft = scipy.fft.fft(scipy.fft.fft(ft, axis=1)[:, _wrapped(m, size)], axis=0)[_wrapped(m, size)]
    cube = np.zeros((2 * m + 1, 2 * m + 1, m + 2), np.complex64)
    stored = ft.shape[2]  # m + 1 where m reaches Nyquist; the last column is then never read
    cube[:, :, :stored] = ft * _origin_sign(m)[:, :, :stored] / (n * n)
    return cube


def cube_to_map(cube: Complex64, box_size: int, padding: int) -> Float32:
    """Return the map (n, n, n) of a half cube: the inverse of `map_to_cube`."""
    m = cube.shape[0] // 2
    size = box_size * padding
    half = np.zeros((size, size, size // 2 + 1), np.complex64)  # zero beyond the cube
    keep = min(m + 1, size // 2)
    index = _wrapped(m, size)
    half[np.ix_(index, index, np.arange(keep + 1))] = (
        cube[:, :, : keep + 1] * _origin_sign(m)[:, :, : keep + 1]
    )
    volume = scipy.fft.irfftn(half, s=(size, size, size)).astype(np.float32)
    low = size // 2 - box_size // 2
    inner = slice(low, low + box_size)
    return np.asarray(volume[inner, inner, inner] * np.float32(box_size**2))


def cube_radius(m: int) -> Float32:
    """Return the length of every component of a half cube, in its own samples."""
    line = np.arange(-m, m + 1, dtype=np.float32) ** 2
    half = np.arange(m + 2, dtype=np.float32) ** 2  # squares of kx >= 0
    return np.asarray(np.sqrt(line[:, None, None] + line[None, :, None] + half))


@kept_if_small
def gridding_profile(box_size: int, padding: int) -> Float32:
    """Return the factor by which trilinear interpolation in Fourier space fades a map, (n, n, n).

    The product over the axes of sinc² of the distance from the centre over the padded box: the
    transform of the triangle with which each axis is interpolated.
    """
    line = (np.arange(box_size) - box_size // 2) / (box_size * padding)
    f: FloatArray = np.sinc(line) ** 2  # (n,)
    return (f[:, None, None] * f[None, :, None] * f[None, None, :]).astype(np.float32)


def _wrapped(m: int, size: int) -> Int64:
    return np.arange(-m, m + 1) % size


def _origin_sign(m: int) -> Float32:
    k = np.arange(-m, m + 1)
    total = k[:, None, None] + k[None, :, None] + np.arange(m + 2)  # (2m + 1, 2m + 1, m + 2)
    return (1 - 2 * (total % 2)).astype(np.float32)
