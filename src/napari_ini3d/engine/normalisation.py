"""Normalisation of images: background plane subtracted, mean 0, variance 1, contrast inverted."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.fourier import radius_grid

_LEAST_SPREAD = 1e-5  # of the mean: a smaller spread is rounding, the background is constant


def normalise(images: Float32, radius: float, *, invert: bool = False, xp: Any = np) -> Float32:
    """Return images whose background has no slope, mean 0 and variance 1.

    The plane that fits the background best, by least squares, is subtracted from the whole image.

    Parameters
    ----------
    images : (B, n, n) float32
        Real space.
    radius : float
        Pixels; the background lies beyond it, or beyond 0.47 n if that is less.
    invert : bool
        Change the sign: particles that are black on white become white on black.
    xp : module
        Whose arrays the images are.

    Returns
    -------
    (B, n, n) float32
        A constant background becomes 0, without a change of scale.
    """
    n = images.shape[-1]
    weight, planes = background_planes(n, radius, xp=xp)  # (n²,), (3, n²)
    flat = images.reshape(len(images), n * n)  # (B, n²)
    mean = flat @ weight  # (B,)
    out: Float32 = flat - mean[:, None]
    # with the slopes the rest of a mean that is far larger than the spread
    out -= (out @ (planes * weight).T) @ planes
    variance = (out * out) @ weight  # (B,)
    constant = variance <= np.float32(_LEAST_SPREAD) ** 2 * mean**2
    sign = np.float32(-1 if invert else 1)
    out *= (sign / xp.sqrt(xp.where(constant, np.float32(1), variance)))[:, None]
    return out.reshape(images.shape)


def background_planes(n: int, radius: float, *, xp: Any = np) -> tuple[Float32, Float32]:
    """Return the weights of a mean over the background, and three planes orthonormal under it.

    Parameters
    ----------
    n : int
        Pixels per side.
    radius : float
        Pixels; the background lies beyond it, or beyond 0.47 n if that is less.
    xp : module
        Of which the arrays are made.

    Returns
    -------
    weight : (n²,) float32
        Sum 1; 0 within the radius.
    planes : (3, n²) float32
        Linear in x and y; the mean over the background of the product of two is 0, of squares 1.
    """
    weight = (radius_grid(n, 2, xp=xp) > min(radius, 0.47 * n)).astype(np.float32).ravel()
    weight /= weight.sum()
    axis = (xp.arange(n, dtype=np.float32) - np.float32(n // 2)) / np.float32(n)
    x = xp.tile(axis, n)  # (n²,)
    y = xp.repeat(axis, n)
    x = _of_norm_one(x - weight @ x, weight, xp)
    y = y - weight @ y
    y = _of_norm_one(y - (weight @ (x * y)) * x, weight, xp)
    return weight, xp.stack([xp.ones_like(x), x, y])


def _of_norm_one(plane: Float32, weight: Float32, xp: Any) -> Float32:
    scaled: Float32 = plane / xp.sqrt(weight @ (plane * plane))
    return scaled
