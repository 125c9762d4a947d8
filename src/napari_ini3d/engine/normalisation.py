"""Normalisation of images: background plane subtracted, mean 0, variance 1, contrast inverted."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.fourier import radius_grid
from napari_ini3d.kernels import subtract_background


def normalise(images: Float32, radius: float) -> Float32:
    """Return images whose background has no slope, mean 0 and variance 1.

    The plane that fits the background best, by least squares, is subtracted from the whole image.

    Parameters
    ----------
    images : (B, n, n) float32
        Real space.
    radius : float
        Pixels; the background lies beyond it, or beyond 0.47 n if that is less.

    Returns
    -------
    (B, n, n) float32
        A constant background becomes 0, without a change of scale.
    """
    return subtract_background(images, *background_planes(images.shape[-1], radius))


@lru_cache(maxsize=8)
def background_planes(n: int, radius: float) -> tuple[Float32, Float32]:
    """Return the weights of a mean over the background, and three planes orthonormal under it.

    Parameters
    ----------
    n : int
        Pixels per side.
    radius : float
        Pixels; the background lies beyond it, or beyond 0.47 n if that is less.

    Returns
    -------
    weight : (n²,) float32
        Sum 1; 0 within the radius.
    planes : (3, n²) float32
        Linear in x and y; the mean over the background of the product of two is 0, of squares 1.
    """
    weight = (radius_grid(n, 2) > min(radius, 0.47 * n)).astype(np.float32).ravel()
    weight /= weight.sum()
    axis = (np.arange(n, dtype=np.float32) - np.float32(n // 2)) / np.float32(n)
    x: Float32 = np.tile(axis, n)  # (n²,)
    y: Float32 = np.repeat(axis, n)
    x -= weight @ x
    x /= np.sqrt(weight @ (x * x))
    y -= weight @ y
    y -= (weight @ (x * y)) * x
    y /= np.sqrt(weight @ (y * y))
    return weight, np.stack([np.ones_like(x), x, y])
