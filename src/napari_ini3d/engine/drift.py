"""Drift of the maps: whether they still change by more than their noise explains.

The half-sets of particles share the reference, so that their FSC says how noisy the map is and
not whether it is finished: at low signal-to-noise ratio expectation maximisation is slow, and the
half-sets agree long before the map stands still. A map that stands still agrees with itself some
iterations ago as well as its noise allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Float32, Float64, Int64
from napari_ini3d.engine.regularisation import HalfSetFSC
from napari_ini3d.fourier import compute_fsc

_LEAST_FSC = 0.3  # between the half-sets; shells with less hold hardly more than noise
_TOLERANCE = 0.01  # of the FSC: the grid of rotations is rotated at random in every iteration


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Maps of some iterations ago, and how far today's have drifted from them.

    Attributes
    ----------
    maps : (K, n, n, n) float32
    radius : () int64
        Fourier radius of those maps.
    age : () int64
        Iterations since.
    ratio : () float64
        The last measurement: 1 - FSC between the maps then and now, over 1 - FSC that their noise
        explains, of the shell where this is largest; infinite before the first.
    """

    maps: Float32
    radius: Int64
    age: Int64
    ratio: Float64

    @classmethod
    def begin(cls, maps: Float32, radius: int) -> Drift:
        """Return the drift of maps that have just been made."""
        return cls(maps=maps, radius=np.array(radius), age=np.array(0), ratio=np.array(np.inf))

    @classmethod
    def of_starts(cls, radius: int) -> Drift:
        """Return the drift during the random starts, of which none is measured."""
        return cls.begin(np.zeros((0, 1, 1, 1), np.float32), radius)

    def after(
        self, maps: Float32, half_sets: tuple[HalfSetFSC, ...], radius: int, interval: int
    ) -> Drift:
        """Return the drift after another iteration; it is measured once per `interval`.

        Parameters
        ----------
        maps : (K, n, n, n) float32
        half_sets : tuple of HalfSetFSC
            Of these maps.
        radius : int
            Of the iteration.
        interval : int
            Iterations.
        """
        if self.age + 1 < interval:
            return Drift(
                maps=self.maps, radius=self.radius, age=np.array(self.age + 1), ratio=self.ratio
            )
        ratios = [
            drift_ratio(compute_fsc(then, now), found.fsc, int(self.radius))
            for then, now, found in zip(self.maps, maps, half_sets, strict=True)
        ]
        return Drift(
            maps=maps, radius=np.array(radius), age=np.array(0), ratio=np.array(max(ratios))
        )


def drift_ratio(between: Float64, half_set_fsc: Float64, radius: int) -> float:
    """Return the largest ratio of change to noise of the shells from 2 to `radius`.

    Parameters
    ----------
    between : (n_shells,) float64
        FSC between the maps then and now.
    half_set_fsc : (n_shells,) float64
        The FSC of the whole set is 2 FSC / (1 + FSC) (Rosenthal & Henderson, 2003); two maps with
        independent noise of that size would agree as well with each other.
    radius : int
    """
    shells = np.arange(2, radius + 1)
    shells = shells[half_set_fsc[shells] > _LEAST_FSC]
    if not len(shells):
        return np.inf
    half = half_set_fsc[shells]
    noise = 1 - 2 * half / (1 + half) + _TOLERANCE
    return float(((1 - between[shells]) / noise).max())
