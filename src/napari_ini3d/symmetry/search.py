"""Search for the axes of any point group in a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.errors import SymmetryError
from napari_ini3d.geometry import PointGroup, symmetry_axes, symmetry_operators
from napari_ini3d.symmetry.checks import unit_density
from napari_ini3d.symmetry.initial_axes import AxisMap, initial_frames
from napari_ini3d.symmetry.noise import HalfMaps
from napari_ini3d.symmetry.particle_extent import ParticleExtent, find_particle_extent
from napari_ini3d.symmetry.refinement import (
    Fit,
    Freedom,
    GroupAxes,
    essential_operators,
    refine,
)
from napari_ini3d.symmetry.rings import fit_ring
from napari_ini3d.symmetry.scores import correlation_of_axes, deciding_shell, power_about_axes
from napari_ini3d.symmetry.search_map import SearchMap, search_weight
from napari_ini3d.symmetry.self_rotation import MAX_ORDER, AxisPower, axis_power, upper_half
from napari_ini3d.symmetry.standard_setting import shortest_rotation

_WAVES = 7.0  # across the particle, of the finest detail of the search
_LOW_WAVES, _LOW_ORDERS = 3.5, (2, 3, 4, 5, 6, 7)  # to find the centre with
_ROUNDS, _GAIN = 3, 0.01  # the centre moves while the highest peak rises
_CLEAR_PEAK = 0.75  # of the self-rotation function: the centre of mass is good enough
_NSIDE = 16  # axes 3.7° apart
_INITIAL_FRAMES = 3
_STEPS = 8
_LEAST_ROUNDNESS = 0.7  # above it the axis of a rod or disc is tried for every order
_RING_ORDER = 12  # subunits of rings of more may not show at the detail of the search
_Z = np.array([0.0, 0.0, 1.0])
_FINEST = 2.05  # voxels: a little before Nyquist


@dataclass(frozen=True, slots=True)
class Search:
    """A map prepared for the search for any point group.

    Attributes
    ----------
    search_map : SearchMap
    extent : ParticleExtent
    weight : (S + 1,) float64
        Of the shells in the search.
    centre : (3,) float64
        Where axes are searched for, in sides of the search box from its middle.
    table : AxisMap
        The self-rotation function about this point.
    roundest : (3,) float64
        Unit vector (x, y, z) of the axis about which the map varies least.
    roundness : float
        Share of power that does not vary around it.
    threads : int
        0 means as many as the process may use.
    """

    search_map: SearchMap
    extent: ParticleExtent
    weight: Float64
    centre: Float64
    table: AxisMap
    roundest: Float64
    roundness: float
    threads: int

    @classmethod
    def of(
        cls,
        volume: FloatArray,
        finest: float = _FINEST,
        *,
        half_maps: HalfMaps | None = None,
        threads: int = 0,
    ) -> Self:
        """Compute the self-rotation function of a map, without its background, of positive density.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        finest : float
            Finest detail to be compared later, voxels.
        half_maps : two (n, n, n), optional
            From which the noise is measured. Default: from the solvent.
        threads : int
            Of this and all that is done with the search; 0 means as many as the process may use.
        """
        volume = unit_density(volume)
        extent = find_particle_extent(volume)
        search_map = SearchMap.of(volume, extent, max(finest, _FINEST), half_maps)
        last = min(round(_WAVES / search_map.diameter), search_map.max_shell)
        weight = search_weight(search_map, last)
        mass = np.asarray((extent.centre - search_map.offset) / search_map.side)
        search, power = cls._about(search_map, extent, weight, mass, threads)
        for _ in range(_ROUNDS):
            if search.table.correlation.max() > _CLEAR_PEAK:
                break
            centre = search._better_centre(power)
            trial, trial_power = cls._about(search_map, extent, weight, centre, threads)
            if trial.table.correlation.max() < search.table.correlation.max() + _GAIN:
                break
            search, power = trial, trial_power
        return search

    @classmethod
    def _about(
        cls,
        search_map: SearchMap,
        extent: ParticleExtent,
        weight: Float64,
        centre: Float64,
        threads: int,
    ) -> tuple[Self, AxisPower]:
        directions = upper_half(_NSIDE)
        power = axis_power(search_map, directions, centre, len(weight) - 1, threads=threads)
        table = AxisMap.of(directions, power.correlation(weight[1:]))
        varying = power.varying(weight[1:])
        roundest, roundness = directions[varying.argmin()], float(1 - varying.min())
        return cls(search_map, extent, weight, centre, table, roundest, roundness, threads), power

    def _better_centre(self, power: AxisPower) -> Float64:
        """Return a point on the single axis that fits best, refined from low resolution on.

        Every axis of a symmetric map passes its centre of mass. If one copy differs, the centre of
        mass is off the axes, by more than the search at its full resolution tolerates.
        """
        weight = self.weight.copy()
        weight[round(_LOW_WAVES / self.search_map.diameter) + 1 :] = 0
        table = AxisMap.of(power.directions, power.correlation(weight[1:]))
        best, highest = self.centre, -1.0
        for order in _LOW_ORDERS:
            group = PointGroup.parse(f"C{order}")
            operators = essential_operators(symmetry_operators(group))
            for frame, _ in initial_frames(group, table, _INITIAL_FRAMES):
                axes = GroupAxes(frame, self.centre)
                for shells in (weight, self.weight):
                    axes = refine(self.search_map, operators, axes, shells,
                                  most_steps=_STEPS, threads=self.threads)  # fmt: skip
                score = float(self.axis_scores(group, axes)[0])
                if score > highest:
                    best, highest = axes.centre, score
        return best

    @property
    def highest_order(self) -> int:
        """The highest order of an axis that the box can show, at the rim of the particle."""
        return int(np.pi * self.search_map.diameter * self.search_map.max_shell)

    @property
    def round_frame(self) -> Float64:
        """A frame (3, 3) whose Z is the axis about which the map varies least."""
        return shortest_rotation(_Z, self.roundest)

    def best_fit(
        self,
        group: PointGroup,
        freedom: Freedom | None = None,
        *,
        rings: Sequence[Fit] | None = None,
    ) -> Fit:
        """Return the best of a few refined candidates for one group.

        If the centre may not move, it is the middle of the map.

        Parameters
        ----------
        group : PointGroup
        freedom : Freedom, optional
            Default: everything may move.
        rings : sequence of Fit, optional
            What `fit_rings` returns for the order of Cn or Dn. Default: it is called if needed.

        Raises
        ------
        SymmetryError
            Where the box cannot show an axis of this order.
        """
        order = symmetry_axes(group)[0].order
        if order > self.highest_order:
            raise SymmetryError(
                f"{group.name} has a {order}-fold axis, and the voxels of this map show axes of up "
                f"to {self.highest_order}-fold; give the map with smaller voxels"
            )
        freedom = freedom or Freedom()
        fits = []
        if group.family in "CD" and self._may_be_ring(group.fold, freedom):
            if rings is None:
                rings = self.fit_rings(group.fold, freedom)
            fits.append(self._best_ring(group, freedom, rings))
            if group.fold > _RING_ORDER:
                return fits[0]
        operators = essential_operators(symmetry_operators(group))
        centre = self._first_centre(freedom)
        upright = freedom.rotation == "around z"
        fits += [
            refine(self.search_map, operators, GroupAxes(frame, centre),
                   self.weight, freedom=freedom, most_steps=_STEPS, threads=self.threads)
            for frame, _ in initial_frames(group, self.table, _INITIAL_FRAMES, upright=upright)
        ]  # fmt: skip
        return max(fits, key=lambda fit: fit.score)

    def _first_centre(self, freedom: Freedom) -> Float64:
        """Return where the axes are first tried: the middle of the map, if they may not move."""
        middle = -self.search_map.offset / self.search_map.side
        return self.centre if freedom.centre else np.asarray(middle)

    def _may_be_ring(self, fold: int, freedom: Freedom) -> bool:
        """Return whether Cn or Dn are tried about the axis about which the map varies least."""
        return fold > _RING_ORDER or (
            freedom.rotation == "all" and self.roundness > _LEAST_ROUNDNESS
        )

    def fit_rings(self, fold: int, freedom: Freedom | None = None) -> list[Fit]:
        """Return fits of Cn of many subunits, about each axis that is tried.

        Where they do not show in the search, the axis is that about which the map varies least. It
        is that of a rod or a disc with a few bumps, too, which the self-rotation function may miss.
        Of other maps and orders there are none.
        """
        freedom = freedom or Freedom()
        if not self._may_be_ring(fold, freedom):
            return []
        centre = self._first_centre(freedom)
        cyclic = PointGroup.parse(f"C{fold}")
        frames = [self.round_frame]
        if _RING_ORDER < fold <= MAX_ORDER:
            found = initial_frames(cyclic, self.table, _INITIAL_FRAMES)
            frames += [frame for frame, _ in found]
        if freedom.rotation != "all":
            frames = [np.eye(3)]
        operators = essential_operators(symmetry_operators(cyclic))
        fits = []
        for frame in frames:
            axes = refine(self.search_map, operators, GroupAxes(frame, centre), self.weight,
                          freedom=freedom, most_steps=_STEPS, threads=self.threads)  # fmt: skip
            fits.append(fit_ring(self.search_map, cyclic, axes, freedom=freedom, steps=_STEPS,
                                 threads=self.threads))  # fmt: skip
        return fits

    def _best_ring(self, group: PointGroup, freedom: Freedom, rings: Sequence[Fit]) -> Fit:
        """Return the best fit of Cn or Dn of many subunits, from those of Cn."""
        fits = [
            fit_ring(self.search_map, group, one, freedom=freedom, cyclic=one, steps=_STEPS,
                     threads=self.threads)
            for one in rings
        ]  # fmt: skip
        return max(fits, key=lambda fit: fit.score)

    def axis_scores(self, group: PointGroup, axes: GroupAxes) -> Float64:
        """Return the correlation of the map with its copies about each axis of a group."""
        weight = self.weight
        if group.family in "CD" and group.fold > _RING_ORDER:
            weight = search_weight(self.search_map, deciding_shell(self.search_map, group))
        power = power_about_axes(self.search_map, group, axes, len(weight) - 1, self.threads)
        return correlation_of_axes(power, group, weight[1:])
