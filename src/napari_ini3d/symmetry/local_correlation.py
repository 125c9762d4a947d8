"""Correlation of two maps about each voxel."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_ini3d._types import Float32, Float64, FloatArray

_WINDOW = 0.75  # of the resolution, standard deviation of the window of the local correlation
_SMALLEST_WINDOW = 1.5  # voxels
_FLAT = 1e-6  # of the map's variance: less variance means there is nothing to correlate


def correlate_locally(first: FloatArray, second: FloatArray, resolution: float) -> Float32:
    """Return the correlation of two maps about each voxel, in a Gaussian window.

    Parameters
    ----------
    first, second : (n, n, n)
        Real space.
    resolution : float
        Voxels; the standard deviation of the window is 3/4 of it.

    Returns
    -------
    (n, n, n) float32
        0 where a map is flat.
    """
    width = max(_WINDOW * resolution, _SMALLEST_WINDOW)

    def mean(values: Float64) -> Float64:
        return np.asarray(gaussian_filter(values, width, mode="wrap", truncate=3.0))

    a, b = (x - x.mean() for x in (first.astype(np.float64), second.astype(np.float64)))
    mean_a, mean_b = mean(a), mean(b)  # (n, n, n) each
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    known = (variance_a > _FLAT * a.var()) & (variance_b > _FLAT * b.var())
    covariance = mean(a * b) - mean_a * mean_b
    scale = np.sqrt(np.where(known, variance_a * variance_b, 1.0))
    return np.where(known, np.clip(covariance / scale, -1, 1), 0.0).astype(np.float32)
