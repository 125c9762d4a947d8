"""Resize and rotate maps without blurring them.

The origin of a map of n voxels per side is voxel n // 2, before and after.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier.nufft import FineMap
from napari_ini3d.kernels import available_threads


def resize_map(volume: FloatArray, box_size: int) -> Float32:
    """Return a map with more or fewer voxels over the same box length, by its Fourier transform.

    Parameters
    ----------
    volume : (n, n, n)
        Real space.
    box_size : int
        Voxels per side of the result.

    Returns
    -------
    (box_size, box_size, box_size) float32
        Density at the same places; components beyond the coarser Nyquist frequency are lost.
    """
    n = _cube_size(volume)
    if box_size == n:
        return np.array(volume, dtype=np.float32)
    resized = np.asarray(volume, dtype=np.float32)
    for axis in (2, 1, 0):
        resized = _resize_axis(resized, box_size, axis)
    return resized


def rotate_map(
    volume: FloatArray,
    rotation: FloatArray,
    shift: FloatArray | tuple[float, ...] = (0, 0, 0),
    *,
    threads: int = 0,
) -> Float32:
    """Shift and rotate a map: what was at x goes to ``rotation @ (x - shift)``.

    The density between the voxels is the sum of the map's Fourier components, see
    `fourier.nufft`: nothing below Nyquist is blurred. Components beyond Nyquist, in the corners
    of the transform, appear at other frequencies where the rotation takes them past Nyquist.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    rotation : (3, 3)
        Rotation matrix for vectors (x, y, z) from voxel n // 2.
    shift : (3,)
        Voxels, (x, y, z).
    threads : int
        0 means as many as the process may use. The result is the same for any number.

    Returns
    -------
    (n, n, n) float32
        Zero where the map does not reach.

    Raises
    ------
    MapError
        Where the map is not a cube, or the rotation or shift not finite.
    """
    return FineMap.of(volume, threads=threads).mean_of_rotated(rotation, shift, threads=threads)


def cut_at_nyquist(volume: Float32, *, threads: int = 0) -> Float32:
    """Return a map without the components beyond Nyquist, in the corners of its transform.

    A rotation would take them to other frequencies, see `rotate_map`.

    Parameters
    ----------
    volume : (n, n, n) float32
        Real space.
    threads : int
        0 means as many as the process may use.
    """
    n = volume.shape[0]
    workers = available_threads(threads)
    volume_ft = scipy.fft.rfftn(volume, workers=workers)  # (n, n, n // 2 + 1)
    line, half = np.fft.fftfreq(n, 1 / n) ** 2, np.arange(n // 2 + 1) ** 2
    volume_ft[line[:, None, None] + line[:, None] + half >= (n / 2) ** 2] = 0
    cut: Float32 = scipy.fft.irfftn(volume_ft, s=volume.shape, workers=workers)
    return cut


def mirror_map(volume: FloatArray) -> Float32:
    """Return the map of the other hand: z becomes -z, about voxel n // 2.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    """
    n = _cube_size(volume)
    flipped = np.asarray(volume, dtype=np.float32)[::-1]
    return np.roll(flipped, 1 - n % 2, axis=0)


def _cube_size(volume: FloatArray) -> int:
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise MapError(f"the map has the shape {volume.shape}; expected a cube (n, n, n)")
    return int(volume.shape[0])


def _resize_axis(values: Float32, size: int, axis: int) -> Float32:
    """Crop or pad the transform of one axis; one axis at a time needs no transform of the whole.

    Nyquist of the smaller size is the sum of two components of the larger one, half in each.
    """
    n = values.shape[axis]
    values_ft = scipy.fft.rfft(scipy.fft.ifftshift(values, axes=axis), axis=axis)
    small = min(n, size)
    if small % 2 == 0:
        nyquist = (slice(None),) * axis + (small // 2,)
        values_ft[nyquist] *= 0.5 if size > n else 2.0
    resized = scipy.fft.irfft(values_ft, size, axis=axis, overwrite_x=True)
    resized *= np.float32(size / n)  # keeps the densities, not their sum
    return np.asarray(scipy.fft.fftshift(resized, axes=axis), dtype=np.float32)
