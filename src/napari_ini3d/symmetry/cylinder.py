"""Rods, discs and rings: maps that any rotation about one axis brings onto themselves.

They have the point group C∞ or D∞. Every Cn fits about that axis, and every 2-fold axis across it,
so that no point group can be told. A ring of many subunits looks like one, too, until the detail
shows the subunits: n of them, at radius r, make the wave n around the axis, which has power at
frequencies from about n / (2πr) on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64
from napari_ini3d.geometry import PointGroup, symmetry_axes
from napari_ini3d.symmetry.refinement import GroupAxes, refine
from napari_ini3d.symmetry.scores import deciding_shell
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.search_map import SearchMap, search_weight
from napari_ini3d.symmetry.self_rotation import axis_power

_ODD_ANGLES = (37.3, 101.7, 151.9)  # degrees, of no axis of a point group
_CANDIDATE = 0.5  # share of power that varies about the axis, before its place is refined
_VARYING = 0.02  # the same, after it; noise comes on top
_LEAST_WAVE = 0.03  # power of a wave that shows, over that which does not vary around the axis ...
_LEAST_RATIO = 2.0  # ... and over that of the waves around it; of noise at most 1.9
_AROUND = 4  # waves on each side
_LEAST_SHARE = 0.143  # of signal, to which detail shows
_ALONG = 0.9  # cosine of the angle to the axis


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A map around one axis of which nothing varies, at the detail of the search.

    Attributes
    ----------
    axes : GroupAxes
        The axis is Z of the frame.
    waves : tuple of int
        Waves around the axis that show at finer detail, the strongest first.
    """

    axes: GroupAxes
    waves: tuple[int, ...]

    def shows(self, group: PointGroup, axes: GroupAxes) -> bool:
        """Return whether a group about some axes can be told: its order is that of a wave.

        An axis across the cylinder can be told if any wave shows.
        """
        order = symmetry_axes(group)[0].order
        along = abs(float(axes.frame[:, 2] @ self.axes.frame[:, 2]))
        if along < _ALONG:
            return bool(self.waves)
        return any(wave % order == 0 for wave in self.waves)


@dataclass(frozen=True, slots=True)
class RoundAxis:
    """The axis about which a map varies least, if it varies little.

    Attributes
    ----------
    axes : GroupAxes
        The axis is Z.
    waves : tuple of int
        Around the axis, those that show, the strongest first.
    """

    axes: GroupAxes
    waves: tuple[int, ...]

    @classmethod
    def of(cls, search: Search) -> Self | None:
        """Refine the axis; return None where the map varies much around it."""
        axes = _refine_round_axis(search, search.weight)
        return None if axes is None else cls(axes, _waves_that_show(search, axes))


def find_cylinder(search: Search, around: RoundAxis | None) -> Cylinder | None:
    """Return the axis around which a map varies by no more than noise, if there is one.

    Parameters
    ----------
    search : Search
    around : RoundAxis or None
        Of the search.
    """
    if around is None or _varying(search, around.axes, len(search.weight) - 1) > _VARYING:
        return None
    fine = deciding_shell(search.search_map)
    if not around.waves and _varying(search, around.axes, fine) > _VARYING:
        return None
    return Cylinder(around.axes, around.waves)


def is_round_up_to(search: Search, last: int) -> bool:
    """Return whether no more than noise varies around some axis in shells up to `last`."""
    axes = _refine_round_axis(search, search_weight(search.search_map, last))
    return axes is not None and _varying(search, axes, last) <= _VARYING


def subunits_around(around: RoundAxis | None) -> int:
    """Return the number of subunits around the axis about which a map varies least; 0 if unknown.

    In a ring with an odd subunit more waves vary than in a cylinder, but that of the number of
    subunits stands out.
    """
    return around.waves[0] if around is not None and around.waves else 0


def cylinder_verdict(search_map: SearchMap, voxel_size: float) -> str:
    """Return why no point group can be told of a cylinder, in words.

    Parameters
    ----------
    search_map : SearchMap
    voxel_size : float
        Å.
    """
    finest = int(np.flatnonzero(search_map.share >= _LEAST_SHARE)[-1])
    spacing = search_map.side * voxel_size / finest
    return (
        "no point group can be told: any rotation about one axis fits; subunits around it less "
        f"than {spacing:.0f} Å apart would not show"
    )


def _refine_round_axis(search: Search, weight: Float64) -> GroupAxes | None:
    """Refine the axis about which a map varies least; return None where it varies much."""
    axes = GroupAxes(search.round_frame, search.centre)
    if _varying(search, axes, len(weight) - 1) > _CANDIDATE:
        return None
    angles = np.array(_ODD_ANGLES)[:, None]
    operators = Rotation.from_euler("z", angles, degrees=True).as_matrix()
    return refine(search.search_map, operators, axes, weight, threads=search.threads)


def _varying(search: Search, axes: GroupAxes, last: int) -> float:
    """Return the share of power in shells to `last` that varies around Z of a frame, but noise."""
    weight = search_weight(search.search_map, last)
    varying = float(_spectrum(search, axes, weight)[1:].sum())
    shells = np.arange(last + 1) ** 2 * weight * search.search_map.ft.power[: last + 1]
    noise = float((shells * (1 - search.search_map.share[: last + 1])).sum() / shells.sum())
    return varying - noise


def _waves_that_show(search: Search, axes: GroupAxes) -> tuple[int, ...]:
    """Return the waves around Z of a frame that are stronger than those beside them."""
    weight = search_weight(search.search_map, search.search_map.max_shell)
    spectrum = _spectrum(search, axes, weight)
    found = []
    for wave in range(2, len(spectrum)):
        beside = np.r_[spectrum[max(1, wave - _AROUND) : wave], spectrum[wave + 1 :][:_AROUND]]
        level = float(np.median(beside)) if len(beside) else 0.0
        excess = spectrum[wave] - level
        if excess > _LEAST_WAVE * spectrum[0] and spectrum[wave] > _LEAST_RATIO * level:
            found.append(wave)
    return tuple(sorted(found, key=lambda wave: -spectrum[wave]))


def _spectrum(search: Search, axes: GroupAxes, weight: Float64) -> Float64:
    """Return the share of each wave around Z of a frame in the weighted power, (M + 1,)."""
    axis = axes.frame[:, 2][None]
    last = len(weight) - 1
    power = axis_power(search.search_map, axis, axes.centre, last, threads=search.threads)
    spectrum = power.spectrum(weight[1:])[0]
    return np.asarray(spectrum / max(spectrum.sum(), 1e-30))
