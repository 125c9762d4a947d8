"""Background and contrast of a map: a constant that was added, density that is negative."""

from __future__ import annotations

import numpy as np
import scipy

from napari_ini3d._types import Float32, FloatArray

_SMOOTHING = 0.02  # of the box, standard deviation
_LEAST_LEVEL = 0.05  # of the standard deviation of the map
_LEAST_SKEWNESS = 0.5  # of the smoothed map; noise has 0, a particle in its solvent more than 1


def background_level(volume: FloatArray) -> float:
    """Return the density of the solvent: the median of the corners, outside the largest sphere.

    It is 0 if it is less than 5 % of the standard deviation of the map.

    Parameters
    ----------
    volume : (n, n, n)
        Real space; boxes of other shapes have the ellipsoid instead of the sphere.
    """
    axes = [(np.arange(side) - side // 2) / (side / 2) for side in volume.shape]
    squares = [axis.astype(np.float32) ** 2 for axis in axes]
    outside = squares[0][:, None, None] + squares[1][:, None] + squares[2] > 1
    level = float(np.median(volume[outside])) if outside.any() else 0.0
    return level if abs(level) > _LEAST_LEVEL * float(np.std(volume, dtype=np.float64)) else 0.0


def is_inverted(volume: FloatArray) -> bool:
    """Return whether the particle has lower density than the solvent.

    Parameters
    ----------
    volume : (n, n, n)
        Real space, with any background.
    """
    smooth = scipy.ndimage.gaussian_filter(
        np.asarray(volume, np.float32), volume.shape[0] * _SMOOTHING
    )
    away = smooth.astype(np.float64) - background_level(smooth)
    spread = float(np.sqrt(np.mean(away**2)))
    return spread > 0 and float(np.mean((away / spread) ** 3)) < -_LEAST_SKEWNESS


def upright_density(volume: FloatArray) -> Float32:
    """Return a map with solvent 0 and positive density, whatever was added to it or inverted.

    Parameters
    ----------
    volume : (n, n, n)
        Real space.
    """
    level = background_level(volume)
    centred = np.asarray(volume, np.float32) - np.float32(level)
    return -centred if is_inverted(volume) else centred
