"""Resize and turn maps without blurring them.

The origin of a map of n voxels per side is voxel n // 2, before and after.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from napari_ini3d.errors import MapError
from napari_ini3d.fourier.interpolation import FineMap

FloatArray = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]


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
    volume_ft: npt.NDArray[np.complexfloating] = scipy.fft.fftn(
        scipy.fft.ifftshift(np.asarray(volume, dtype=np.float32))
    )
    for axis in range(3):
        volume_ft = _resize_axis(volume_ft, box_size, axis)
    resized = scipy.fft.fftshift(scipy.fft.ifftn(volume_ft).real)
    return np.asarray(resized * (box_size / n) ** 3, dtype=np.float32)


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
    return FineMap.of(volume).mean_of_turned(rotation, shift)


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


def _resize_axis(
    volume_ft: npt.NDArray[np.complexfloating], size: int, axis: int
) -> npt.NDArray[np.complexfloating]:
    """Crop or pad one axis of a transform; the shared Nyquist component is split or summed."""
    values = np.moveaxis(volume_ft, axis, 0)
    small = min(len(values), size)
    half = small // 2
    resized = np.zeros((size, *values.shape[1:]), dtype=values.dtype)
    resized[: half + small % 2] = values[: half + small % 2]
    if half:
        resized[-half:] = values[-half:]
    if small % 2 == 0 and size > small:
        resized[half] = resized[-half] = values[half] / 2
    elif small % 2 == 0:
        resized[half] = values[half] + values[-half]
    return np.moveaxis(resized, 0, axis)
