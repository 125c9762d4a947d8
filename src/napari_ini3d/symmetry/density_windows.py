"""Differences in density about each voxel: means in Gaussian windows of a map and of its power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.ndimage import gaussian_filter1d

from napari_ini3d._types import BoolArray, Float32

WINDOWS = ((0.1, 0.10), (0.15, 0.06))
"""Windows, and the least differences from the mean of the copies that are called a break in them.

Standard deviation of the window over the diameter, and share of the density. The chains of a true
tetramer (PDB 1FAT) differ by up to 7.5 % in the first and 3.2 % in the second; a whole subunit with
less density differs in both.
"""

_DENSE = 0.25  # of the highest local power of m: no difference is measured in empty places
_TRUNCATE = 3.0  # standard deviations, of a window


@dataclass(frozen=True, slots=True)
class Window:
    """A Gaussian window, and the least difference that is called a break in it.

    Attributes
    ----------
    weights : (k, k) float32
        Of the voxels of a line, for each voxel.
    least : float
        Share of the density.
    """

    weights: Float32
    least: float

    @classmethod
    def of(cls, sigma: float, least: float, size: int) -> Self:
        """Return the window with a standard deviation (voxels), for maps of a size."""
        identity = np.eye(size, dtype=np.float32)
        weights = gaussian_filter1d(identity, sigma, axis=0, mode="constant", truncate=_TRUNCATE)
        return cls(np.asarray(weights, dtype=np.float32), least)

    def mean(self, values: Float32) -> Float32:
        """Return the mean of a map (k, k, k) about each voxel, with zeros around the map.

        Its values are those of `scipy.ndimage.gaussian_filter`; three matrix products take a fifth
        of the time.
        """
        in_plane = np.matmul(self.weights, values @ self.weights.T)
        found = self.weights @ in_plane.reshape(len(values), -1)
        return np.asarray(found.reshape(values.shape), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class LocalPower:
    """A map m that differences are compared with, and its power in a window.

    Attributes
    ----------
    m : (k, k, k) float32
    window : Window
    power : (k, k, k) float32
        W[m²].
    dense : (k, k, k) bool
        Where it is large enough for a difference to be measured.
    root : (d,) float32
        √W[m²] where it is dense: the deviation that noise gives a difference there is in proportion
        to its inverse.
    """

    m: Float32
    window: Window
    power: Float32
    dense: BoolArray
    root: Float32

    @classmethod
    def of(cls, m: Float32, window: Window) -> Self:
        power = window.mean(m * m)
        dense = np.asarray(power > _DENSE * power.max())
        return cls(m, window, power, dense, np.sqrt(power[dense]))

    def difference(self, rest: Float32) -> Float32:
        """Return W[rest m] / W[m²] (k, k, k), the local relative difference in density."""
        return np.asarray(self.window.mean(rest * self.m) / np.maximum(self.power, 1e-30))
