"""Where each point group fits a map best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.geometry import PointGroup, symmetry_operators
from napari_ini3d.symmetry.initial_axes import AxisMap, initial_frames
from napari_ini3d.symmetry.particle_extent import ParticleExtent, find_particle_extent
from napari_ini3d.symmetry.refinement import (
    Fit,
    Freedom,
    essential_operators,
    refine,
)
from napari_ini3d.symmetry.scores import correlation_of_axes, power_about_axes
from napari_ini3d.symmetry.search_map import SearchMap, search_weight
from napari_ini3d.symmetry.self_rotation import AxisPower, axis_power, upper_half

_WAVES = 7.0  # across the particle, of the finest detail of the search
_LOW_WAVES, _LOW_ORDERS = 3.5, (2, 3, 4, 5, 6, 7)  # to find the centre with
_ROUNDS, _GAIN = 3, 0.01  # the centre is moved while the highest peak gains
_CLEAR_PEAK = 0.75  # of the self-rotation function: the centre of mass will do
_NSIDE = 16  # axes 3.7° apart
_SEEDS = 3
_STEPS = 8
_FINEST = 2.05  # voxels: a little before Nyquist


@dataclass(frozen=True, slots=True)
class Search:
    """A map, ready to be searched for any point group.

    Attributes
    ----------
    working : SearchMap
    extent : ParticleExtent
    weight : (S + 1,) float64
        Of the shells in the search.
    centre : (3,) float64
        Where axes are looked for, in sides of the working box from its middle.
    table : AxisMap
        The self-rotation function about this point.
    """

    working: SearchMap
    extent: ParticleExtent
    weight: Float64
    centre: Float64
    table: AxisMap

    @classmethod
    def of(cls, volume: FloatArray, finest: float = _FINEST) -> Self:
        """Compute the self-rotation function of a map.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        finest : float
            Finest detail to be looked at later, voxels.
        """
        extent = find_particle_extent(volume)
        working = SearchMap.of(volume, extent, max(finest, _FINEST))
        last = min(round(_WAVES / working.diameter), working.max_shell)
        weight = search_weight(working, last)
        mass = np.asarray((extent.centre - working.offset) / working.side)
        search, power = cls._about(working, extent, weight, mass)
        for _ in range(_ROUNDS):
            if search.table.correlation.max() > _CLEAR_PEAK:
                break
            trial, trial_power = cls._about(working, extent, weight, search._better_centre(power))
            if trial.table.correlation.max() < search.table.correlation.max() + _GAIN:
                break
            search, power = trial, trial_power
        return search

    @classmethod
    def _about(
        cls, working: SearchMap, extent: ParticleExtent, weight: Float64, centre: Float64
    ) -> tuple[Self, AxisPower]:
        directions = upper_half(_NSIDE)
        power = axis_power(working, directions, centre, len(weight) - 1)
        table = AxisMap.of(directions, power.correlation(weight[1:]))
        return cls(working, extent, weight, centre, table), power

    def _better_centre(self, power: AxisPower) -> Float64:
        """Return where the single axis that fits best passes the particle, from low resolution on.

        Every axis passes the centre of mass of a symmetric map; but where one copy differs, that
        centre lies elsewhere, by more than the search at its full resolution forgives.
        """
        weight = self.weight.copy()
        weight[round(_LOW_WAVES / self.working.diameter) + 1 :] = 0
        table = AxisMap.of(power.directions, power.correlation(weight[1:]))
        best, highest = self.centre, -1.0
        for order in _LOW_ORDERS:
            group = PointGroup.parse(f"C{order}")
            operators = essential_operators(symmetry_operators(group))
            for frame, _ in initial_frames(group, table, _SEEDS):
                fit = Fit(frame, self.centre, 0.0, weight)
                for shells in (weight, self.weight):
                    fit = refine(self.working, operators, fit, shells, most_steps=_STEPS)
                score = float(self.axis_scores(group, fit)[0])
                if score > highest:
                    best, highest = fit.centre, score
        return best

    def best_fit(self, group: PointGroup, freedom: Freedom | None = None) -> Fit:
        """Return the best of a few refined guesses for one group.

        Where the centre may not move, it is the middle of the map.
        """
        freedom = freedom or Freedom()
        operators = essential_operators(symmetry_operators(group))
        centre = self.centre if freedom.centre else -self.working.offset / self.working.side
        upright = freedom.turn == "around z"
        fits = [
            refine(self.working, operators, Fit(frame, centre, 0.0, self.weight),
                   self.weight, freedom=freedom, most_steps=_STEPS)
            for frame, _ in initial_frames(group, self.table, _SEEDS, upright=upright)
        ]  # fmt: skip
        return max(fits, key=lambda fit: fit.score)

    def axis_scores(self, group: PointGroup, fit: Fit) -> Float64:
        """Return the correlation of the map with its copies about each axis of a group."""
        power = power_about_axes(self.working, group, fit, len(self.weight) - 1)
        return correlation_of_axes(power, group, self.weight[1:])
