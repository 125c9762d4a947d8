"""Robust weights: shells of an image with far more power than is typical count less.

A bright contaminant (an ice crystal, the edge of a carbon film) exceeds the power of particle and
noise by orders of magnitude at low resolution. Counted like the others, a few such images decide
the noise and the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import gammaincinv

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.kernels import shell_weights

_QUANTILE = 0.999  # of the power of a shell of pure noise
_MARGIN = 1.5  # for views and particles that are stronger than others
_LEAST_COMPONENTS = 10  # of the inner shells that are judged as one
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class ExcessLimits:
    """Power of a shell, over the typical one, from which an image counts less.

    Attributes
    ----------
    packed : (3 + n_shells, n_shells) float32
        All of the following, as the kernels take them.
    """

    packed: Float32

    @classmethod
    def of(cls, count: FloatArray) -> Self:
        """Return the limits of shells with `count` independent components each."""
        counted = np.array(count, np.float64)
        counted[0] = 0
        total = np.cumsum(counted)
        enough = np.searchsorted(total, min(_LEAST_COMPONENTS, total[-1]))
        last = np.maximum(np.arange(len(total)), enough)  # of the shells judged with each
        within = np.arange(len(total))[:, None] <= last
        inner_mean = np.where(within, counted[:, None], 0) / np.maximum(total[last], 1e-30)
        rows = (counted, highest_excess(counted), highest_excess(total[last]), *inner_mean)
        return cls(np.stack(rows).astype(np.float32))

    @property
    def count(self) -> Float32:
        """Independent components of each shell, (n_shells,); 0 in the first, which is the mean."""
        return self._row(0)

    @property
    def shell(self) -> Float32:
        """Limit of each shell alone, (n_shells,)."""
        return self._row(1)

    @property
    def together(self) -> Float32:
        """Limit of each shell together with those within it, (n_shells,)."""
        return self._row(2)

    @property
    def inner_mean(self) -> Float32:
        """`excess @ inner_mean` is the mean over the components of each shell and all within it.

        The innermost shells, in which an edge of carbon shows, have so few components that noise
        alone varies by factors; they are judged as one. (n_shells, n_shells).
        """
        rows: Float32 = self.packed[3:]
        return rows

    def _row(self, number: int) -> Float32:
        row: Float32 = self.packed[number]
        return row


def highest_excess(count: FloatArray) -> Float64:
    """Return the power of a shell, over the typical one, from which it counts less.

    The power of a shell of noise is a sum of exponential variables, one per independent component.

    Parameters
    ----------
    count : (n_shells,)
        Independent components of each shell.
    """
    independent = np.maximum(count, 1.0)
    limit: Float64 = _MARGIN * gammaincinv(independent, _QUANTILE) / independent
    return limit


def robust_weights(excess: FloatArray, limits: ExcessLimits) -> Float32:
    """Return the weight of each shell of each image, 1 or less.

    It is min(1, limit / excess)⁴ of the shell alone, or together with all shells within it,
    whichever is lower. The power makes the weights redescend: the more a shell exceeds the limit,
    the less power it contributes, even in absolute terms.

    Parameters
    ----------
    excess : (B, n_shells)
        Power over the typical power.
    limits : ExcessLimits
    """
    return shell_weights(excess, limits.packed)


def typical_power(power: Float64, limits: ExcessLimits) -> Float64:
    """Return the mean power of each shell over the images that do not stand out, (n_shells,).

    Parameters
    ----------
    power : (N, n_shells) float64
    limits : ExcessLimits
    """
    independent = np.maximum(limits.count, 1.0)
    # from below: contaminants are brighter, and the lower quartile of noise has a known ratio to
    # its mean; the means then take in the images that are a little stronger
    quartile: Float64 = np.quantile(power, 0.25, axis=0)
    typical = quartile * independent / gammaincinv(independent, 0.25)
    for _ in range(_ROUNDS):
        ordinary = robust_weights(power / np.maximum(typical, 1e-30), limits) == 1
        count = np.maximum(ordinary.sum(0), 1)  # (n_shells,)
        typical = (ordinary * power).sum(0, dtype=np.float64) / count
    return typical
