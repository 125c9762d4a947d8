"""Features of a map: what of its power is not in its rotational average."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float32, Float64
from napari_ini3d.fourier.masks import radius_grid
from napari_ini3d.fourier.shells import shell_sum


def rotational_average(volume: Float32) -> Float64:
    """Return the rotational average of a map about the centre of its box, (n, n, n)."""
    r = radius_grid(volume.shape[0], 3)  # pixels
    inner = np.floor(r).astype(np.int64)
    outer_share = r - inner
    shares = (inner, 1 - outer_share), (inner + 1, outer_share)  # of two neighbouring radii
    length = int(inner.max()) + 2
    weight, total = np.zeros(length), np.zeros(length)
    for index, share in shares:
        weight += np.bincount(index.ravel(), share.ravel(), length)
        total += np.bincount(index.ravel(), (share * volume).ravel(), length)
    profile = total / np.maximum(weight, 1e-9)
    return np.asarray(sum(share * profile[index] for index, share in shares), np.float64)


def featured_share(volume: Float32) -> Float64:
    """Return the share of the power of each shell that the rotational average does not explain.

    Parameters
    ----------
    volume : (n, n, n) float32
        With the particle in the centre of the box.

    Returns
    -------
    (n // 2 + 1,) float64
        0 for a ball or a hollow sphere, near 1 where the features of a particle dominate; 1 for an
        empty shell.
    """
    features = volume - rotational_average(volume)
    of_features, of_all = (
        shell_sum(np.abs(np.fft.rfftn(v)) ** 2) for v in (features, volume.astype(np.float64))
    )
    share = np.divide(of_features, of_all, out=np.ones_like(of_all), where=of_all > 0)
    return np.minimum(share, 1)
