"""Shift images by whole pixels, compiled by Numba."""

from __future__ import annotations

from napari_ini3d._types import Float32, Int32
from napari_ini3d.kernels.numba_jit import jit


@jit
def shift_images(images: Float32, by: Int32, out: Float32) -> None:
    """Shift images cyclically by whole pixels.

    Parameters
    ----------
    images, out : (B, n, n) float32
    by : (B, 2) int32
        Shift (x, y), pixels.
    """
    n = images.shape[1]
    for b in range(images.shape[0]):
        right = by[b, 0] % n
        for row in range(n):
            source, target = images[b, row], out[b, (row + by[b, 1]) % n]
            # copies of slices would check their shapes, which takes seconds to compile
            for column in range(n - right):
                target[right + column] = source[column]
            for column in range(right):
                target[column] = source[n - right + column]
