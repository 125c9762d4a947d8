"""Robust weights: shells of an image with far more power than is typical count less.

A bright contaminant (an ice crystal, the edge of a carbon film) exceeds the power of particle and
noise by orders of magnitude at low resolution. Counted like the others, a few such images decide
the noise and the map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import gamma

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, Int32
from napari_ini3d.engine.shell_sums import sum_shells_of_images

_QUANTILE = 0.999  # of the power of a shell of pure noise
_MARGIN = 1.5  # for views and particles that are stronger than others
_ROUNDS = 3


def shell_power(transforms: Complex64, shell: Int32, n_shells: int, *, xp: Any = np) -> Float32:
    """Return the power Σ |X|² of each shell of each image, (B, n_shells).

    Parameters
    ----------
    transforms : (B, P) complex64
    shell : (P,) int32
        Shell of each component.
    n_shells : int
    """
    power = transforms.real**2 + transforms.imag**2  # (B, P)
    return sum_shells_of_images(power, shell, n_shells, xp=xp)


def highest_excess(count: FloatArray) -> Float64:
    """Return the power of a shell, over the typical one, from which it counts less.

    The power of a shell of noise is a sum of exponential variables, one per independent component.

    Parameters
    ----------
    count : (n_shells,)
        Independent components of each shell.
    """
    independent = np.maximum(count, 1.0)
    limit: Float64 = _MARGIN * gamma.ppf(_QUANTILE, independent) / independent
    return limit


def robust_weights(excess: FloatArray, limit: FloatArray, *, xp: Any = np) -> Float32:
    """Return min(1, limit / excess)², the weight of each shell of each image.

    The square makes them redescend: the more a shell exceeds the limit, the less power it
    contributes, even in absolute terms.

    Parameters
    ----------
    excess : (B, n_shells)
        Power over the typical power.
    limit : (n_shells,)
    """
    weight = xp.minimum(1, limit / xp.maximum(excess, 1e-30)) ** 2
    out: Float32 = weight.astype(np.float32)
    return out


def typical_power(power: Float64, limit: FloatArray) -> Float64:
    """Return the mean power of each shell over the images that do not stand out, (n_shells,).

    Parameters
    ----------
    power : (N, n_shells) float64
    limit : (n_shells,) float64
    """
    typical: Float64 = np.median(power, axis=0)
    for _ in range(_ROUNDS):
        weight = robust_weights(power / np.maximum(typical, 1e-30), limit)
        typical = (weight * power).sum(0, dtype=np.float64) / weight.sum(0, dtype=np.float64)
    return typical
