"""Shells of equal spatial frequency: shell s holds the voxels whose rounded radius is s."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float32, Float64, FloatArray, Int32, Int64
from napari_ini3d.fourier.small_grids import kept_if_small


def shell_index(box_size: int, ndim: int = 3) -> Int32:
    """Return the shell each sample of a half transform belongs to.

    Parameters
    ----------
    box_size : int
        Samples per side in real space.
    ndim : int
        2 for images, 3 for maps.

    Returns
    -------
    (n, ..., n // 2 + 1) int32
        Rounded distance from the zero frequency, in the layout of `numpy.fft.rfftn`. Corners
        have shells beyond n // 2.
    """
    whole = np.fft.fftfreq(box_size, 1 / box_size)
    half = np.arange(box_size // 2 + 1, dtype=np.float64)
    axes = np.meshgrid(*[whole] * (ndim - 1), half, indexing="ij", sparse=True)
    return np.asarray(np.rint(np.sqrt(sum(axis**2 for axis in axes))), dtype=np.int32)


def half_weight(box_size: int) -> Float32:
    """Return how often each column of a half transform occurs in the whole one.

    Returns
    -------
    (n // 2 + 1,) float32
        1 for the zero frequency (and Nyquist where n is even), else 2.
    """
    weight = np.full(box_size // 2 + 1, 2, dtype=np.float32)
    weight[0] = 1
    if box_size % 2 == 0:
        weight[-1] = 1
    return weight


def shell_sum(values: FloatArray) -> Float64:
    """Sum a real quantity given on a half transform over each shell of the whole transform.

    Parameters
    ----------
    values : (n, ..., n // 2 + 1)
        In the layout of `numpy.fft.rfftn`; n is its first length.

    Returns
    -------
    (n // 2 + 1,) float64
    """
    box_size = values.shape[0]
    index = _flat_shells(box_size, values.ndim)
    weighted = values * half_weight(box_size)
    sums = np.bincount(index, weights=weighted.ravel())  # corners included
    return np.asarray(sums[: box_size // 2 + 1], dtype=np.float64)


@kept_if_small
def _flat_shells(box_size: int, ndim: int) -> Int64:
    """Return `shell_index` as a flat array of the type that `bincount` takes."""
    return shell_index(box_size, ndim).ravel().astype(np.int64)


def radial_average(values: FloatArray) -> Float64:
    """Average a real quantity given on a half transform over each shell.

    Parameters
    ----------
    values : (n, ..., n // 2 + 1)
        In the layout of `numpy.fft.rfftn`; n is its first length.

    Returns
    -------
    (n // 2 + 1,) float64
    """
    return shell_sum(values) / shell_sum(np.ones_like(values))
