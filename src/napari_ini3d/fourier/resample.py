"""Resize and turn maps without blurring them.

The origin of a map of n voxels per side is voxel n // 2, before and after.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier.nufft import FineMap


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
        Density at the same places; what is beyond the coarser Nyquist frequency is lost.
    """
    n = _cube_size(volume)
    if box_size == n:
        return np.array(volume, dtype=np.float32)
    resized = np.asarray(volume, dtype=np.float32)
    for axis in (2, 1, 0):
        resized = _resize_axis(resized, box_size, axis)
    return resized


def rotate_map(
    volume: FloatArray, rotation: FloatArray, shift: FloatArray | tuple[float, ...] = (0, 0, 0)
) -> Float32:
    """Shift and turn a map: what was at x goes to ``rotation @ (x - shift)``.

    Between the voxels stands the sum of the map's Fourier components, see
    `fourier.interpolation`: nothing below Nyquist is blurred. What lies beyond it, in the corners
    of the transform, comes out at other frequencies where the turn takes it past Nyquist.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    rotation : (3, 3)
        Rotation matrix for vectors (x, y, z) from voxel n // 2.
    shift : (3,)
        Voxels, (x, y, z).

    Returns
    -------
    (n, n, n) float32
        Zero where the map does not reach.

    Raises
    ------
    MapError
        Where the map is not a cube, or the rotation or shift not finite.
    """
    return FineMap.of(volume).mean_of_rotated(rotation, shift)


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

    Nyquist of the smaller size stands for two components of the larger one, half in each.
    """
    n = values.shape[axis]
    values_ft = scipy.fft.rfft(scipy.fft.ifftshift(values, axes=axis), axis=axis)
    small = min(n, size)
    if small % 2 == 0:
        nyquist = (slice(None),) * axis + (small // 2,)
        values_ft[nyquist] *= 0.5 if size > n else 2.0
    resized = scipy.fft.irfft(values_ft, size, axis=axis, overwrite_x=True)
    resized *= np.float32(size / n)
    return np.asarray(scipy.fft.fftshift(resized, axes=axis), dtype=np.float32)
