"""Uneven backgrounds: steps and steep gradients, as the edge of a carbon film has.

Polynomials up to the third degree are fitted to the pixels around the particle. A step shows in
those of the second and third degree also where a program has subtracted a plane, as RELION does. In
units of the noise their size is the same for any set; what is typical of it (curvature of the ice,
neighbours) is allowed for.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_ini3d._types import BoolArray, Float32, IntArray
from napari_ini3d.fourier import radius_grid

_INNER = 0.6  # half boxes, of the background, with the corners
_DEGREE = 3
_N_PLANE = 2  # coefficients of the plane
_LEAST = np.array([0.25, 0.20])  # of the plane and of the others, standard deviations of the noise
_TIMES_TYPICAL = np.array([5.0, 2.5])  # the median of the set
_LEAST_SPREAD = 1e-30


class BackgroundShapes:
    """Sizes of the polynomials in the backgrounds of N images, filled while they are read.

    Parameters
    ----------
    n_images : int
    """

    def __init__(self, n_images: int) -> None:
        self._sizes = np.full((n_images, 2), np.nan, np.float32)  # of the plane, of the others

    def measure(self, index: IntArray, images: Float32) -> None:
        """Measure images (B, n, n) that are at some positions."""
        weight, basis = _polynomials(images.shape[-1])
        flat = images.reshape(len(images), -1)  # (B, n²)
        with np.errstate(invalid="ignore", over="ignore"):
            flat = flat - (flat @ weight)[:, None]
            found = flat @ (basis * weight).T  # (B, 9)
            noise = np.einsum("bp,bp,p->b", flat, flat, weight) - (found**2).sum(1)
            found /= np.sqrt(np.maximum(noise, _LEAST_SPREAD))[:, None]
            plane, others = found[:, :_N_PLANE], found[:, _N_PLANE:]
            sizes = [np.sqrt((part**2).sum(1)) for part in (plane, others)]
        self._sizes[index] = np.stack(sizes, 1)

    def uneven(self) -> BoolArray:
        """Return which images (N,) have a step or a steep gradient; those not read have none."""
        known: BoolArray = np.all(np.isfinite(self._sizes), axis=1)
        if not known.any():
            return known
        limit = np.maximum(_LEAST, _TIMES_TYPICAL * np.median(self._sizes[known], axis=0))
        with np.errstate(invalid="ignore"):
            steep: BoolArray = np.any(self._sizes > limit, axis=1)
        found: BoolArray = np.logical_and(known, steep)
        return found


@lru_cache(maxsize=4)
def _polynomials(n: int) -> tuple[Float32, Float32]:
    """Return the weights of the background (n²,), and polynomials orthonormal under it (9, n²)."""
    weight = (radius_grid(n, 2) > _INNER * n / 2).astype(np.float64).ravel()
    weight /= weight.sum()
    axis = (np.arange(n) - n // 2) / (n / 2)
    x, y = np.tile(axis, n), np.repeat(axis, n)
    done = [np.ones(n * n)]
    for degree in range(1, _DEGREE + 1):
        for power in range(degree + 1):
            added = x ** (degree - power) * y**power
            for earlier in done:
                added = added - (weight * earlier * added).sum() * earlier
            done.append(added / np.sqrt((weight * added**2).sum()))
    return weight.astype(np.float32), np.stack(done[1:]).astype(np.float32)
