"""Resampling of images to another box and pixel size.

Band-limited interpolation as a matrix product. The n samples of a row define a periodic,
band-limited function, whose value at position x (in samples) is

    f(x) = sum_i f_i D(x - i),   D(u) = 1/n [1 + 2 sum_{0<k<c} cos(2 pi k u / n) (+ cos at k = c)]

with the cut-off c = min(n / 2, n * p / (2 q)) for pixel sizes p before and q after; a term exactly
at the cut-off counts once. If n * p / q is an even integer, this equals Fourier cropping or
padding, but it works for any ratio. It takes two matrix products per image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from napari_ini3d._types import BoolArray, Float32

_ROUNDING = 1e-6


def resample_images(
    images: Float32, pixel_size: float, new_pixel_size: float, new_box_size: int
) -> Float32:
    """Resample images to another pixel size, then crop or pad them to another box.

    Sample n // 2 of the old box becomes sample m // 2 of the new one. Values are not scaled (a
    constant image keeps its value). Samples outside the old box are set to the mean of the
    outermost pixels of the old image.

    Parameters
    ----------
    images : (B, n, n) float32
        Real space.
    pixel_size, new_pixel_size : float
        Å.
    new_box_size : int
        Pixels.

    Returns
    -------
    (B, m, m) float32
    """
    n = images.shape[-1]
    if n == new_box_size and np.isclose(pixel_size, new_pixel_size, rtol=_ROUNDING, atol=0):
        return images
    matrix = interpolation_matrix(n, pixel_size, new_pixel_size, new_box_size)
    inside: BoolArray = np.any(matrix, axis=1)
    with np.errstate(invalid="ignore", over="ignore"):  # images may have NaN or infinite values
        along_x = (images.reshape(-1, n) @ matrix.T).reshape(-1, n, new_box_size)
        resampled: Float32 = matrix @ along_x
        if not inside.all():
            outside = ~(inside[:, None] & inside)
            resampled[:, outside] = _edge_means(images)[:, None]
    return resampled


@lru_cache(maxsize=32)
def interpolation_matrix(
    box_size: int, pixel_size: float, new_pixel_size: float, new_box_size: int
) -> Float32:
    """Return the (m, n) matrix that resamples one axis; rows outside the old box are zero."""
    step = new_pixel_size / pixel_size
    position = (np.arange(new_box_size) - new_box_size // 2) * step + box_size // 2
    cutoff = box_size / 2 * min(1.0, 1.0 / step)
    frequency = np.arange(1, int(np.floor(cutoff + _ROUNDING)) + 1)
    weight = np.where(np.isclose(frequency, cutoff, rtol=0, atol=_ROUNDING), 1.0, 2.0)
    phase = 2j * np.pi / box_size * frequency  # per sample
    synthesis = weight * np.exp(position[:, None] * phase)  # (m, k)
    analysis = np.exp(-np.arange(box_size)[:, None] * phase)  # (n, k)
    matrix = (1 + (synthesis @ analysis.T).real) / box_size
    matrix[(position < -0.5) | (position > box_size - 0.5)] = 0
    return np.asarray(matrix, dtype=np.float32)


def _edge_means(images: Float32) -> Float32:
    rows = images[:, (0, -1), :].sum(axis=(1, 2), dtype=np.float64)
    columns = images[:, 1:-1, :][:, :, (0, -1)].sum(axis=(1, 2), dtype=np.float64)
    return np.asarray((rows + columns) / (4 * images.shape[-1] - 4), dtype=np.float32)


def common_grid(
    grids: Sequence[tuple[int, float]], pixel_size: float | None = None
) -> tuple[int, float]:
    """Choose the box (pixels) and pixel size (Å) to which images of several grids are resampled.

    Parameters
    ----------
    grids : sequence of (int, float)
        Box size and pixel size of each.
    pixel_size : float, optional
        Å. Default: the coarsest of the grids.

    Returns
    -------
    box_size, pixel_size
        The box is the smallest even one that covers the largest field of view.
    """
    if pixel_size is None:
        pixel_size = max(pixel for _, pixel in grids)
    field = max(box * pixel for box, pixel in grids)
    half = int(np.ceil(field / pixel_size / 2 - _ROUNDING))
    return 2 * half, pixel_size
