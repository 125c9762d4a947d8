"""Scores of a point group: agreement of the copies over that expected with the noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64, Int64
from napari_ini3d.geometry import PointGroup, symmetry_axes, symmetry_operators
from napari_ini3d.symmetry.refinement import GroupAxes, curve_at, essential_operators
from napari_ini3d.symmetry.search_map import (
    FIRST_SHELL,
    LEAST_POWER,
    SearchMap,
    search_weight,
)
from napari_ini3d.symmetry.self_rotation import AxisPower, axis_power, flip_overlap

COARSE_WAVES = 6.0
"""Across the particle, of the shells that must agree closely."""

DECIDING_WAVES = 14.0
"""Across the particle, of the finest detail that decides."""

_RING_WAVES = 0.55  # times n, where the n subunits of a ring of 0.6 of the radius show

LEAST_EXPECTED = 0.1
"""Expected correlation: with more noise nothing can be concluded."""

ODD_ROTATIONS = ((50.0, 8.0, 3.0), (-7.0, 47.0, 15.0), (11.0, -5.0, 77.0), (61.0, 83.0, -29.0))
"""Axis times angle, degrees: rotations of no point group."""

_ACROSS = 1e-6  # cosine of the angle between a main axis and one across it
_OPERATORS = 4  # of each class that are compared


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Agreement of the copies of a map, for each class of operators of a group.

    Attributes
    ----------
    classes : (C,) float64
        Correlation over that expected for a symmetric map with the same noise, for each class of
        operators: 1 where the map has the symmetry, about 0 where it has not.
    axes : (A,) float64
        The same for each axis, without the part that is constant around it: a rod does not prove
        axes along it. For Dn also that of a 2-fold axis without the part that is constant around
        the main axis: a ring does not prove axes across it.
    coarse : float
        FSC with the copies of the worst class, mean over the shells to 6 waves across the particle.
    curve : (S + 1,) float64
        FSC of the map with its copies, mean over the classes.
    expected : (S + 1,) float64
        FSC of a symmetric map with the same noise.
    deviation : float
        Standard deviation that noise gives the agreement of a class.
    """

    classes: Float64
    axes: Float64
    coarse: float
    curve: Float64
    expected: Float64
    deviation: float

    @property
    def agreement(self) -> float:
        """Agreement of the worst class or axis."""
        return float(min(self.classes.min(), self.axes.min()))

    def mean_agreement(self, group: PointGroup) -> float:
        """Agreement of the worst class, or kind of axes, each with the mean over its axes.

        The worst of many axes is low for noise alone.
        """
        kinds = kinds_of_axes(group)
        means = [float(self.axes[: len(kinds)][kinds == kind].mean()) for kind in np.unique(kinds)]
        return float(min(self.classes.min(), *means, *self.axes[len(kinds) :]))

    @property
    def evenness(self) -> float:
        """Agreement of the worst class over that of the best: low where only a subgroup holds."""
        return float(self.classes.min() / max(self.classes.max(), 1e-6))


def deciding_waves(group: PointGroup | None = None) -> float:
    """Return the waves across the particle that decide on a group: more for large rings.

    A ring of n subunits at radius r has power in the wave n around its axis at frequencies from
    about n / (2πr) on.
    """
    fold = group.fold if group is not None and group.family in "CD" else 0
    return max(DECIDING_WAVES, _RING_WAVES * fold)


def deciding_shell(search_map: SearchMap, group: PointGroup | None = None) -> int:
    """Return the finest shell that decides on a group."""
    return min(round(deciding_waves(group) / search_map.diameter), search_map.max_shell)


def score_group(
    search_map: SearchMap, group: PointGroup, axes: GroupAxes, *, threads: int = 0
) -> GroupScore:
    """Compare the map with its copies, class by class of the operators."""
    last = deciding_shell(search_map, group)
    curves = np.array(
        [curve_at(search_map, members, axes, last, threads) for members in operator_classes(group)]
    )  # (C, S + 1)
    coarse_shell = max(FIRST_SHELL, min(round(COARSE_WAVES / search_map.diameter), last))
    expected = search_map.share[: last + 1]
    weight = shell_weight(search_map.ft.power[: last + 1], expected)  # (S + 1,)
    classes = curves @ weight / max(float(expected @ weight), 1e-6)  # (C,)
    return GroupScore(
        classes=classes,
        axes=_axes_agreement(search_map, group, axes, last, threads),
        coarse=float(curves[:, FIRST_SHELL : coarse_shell + 1].mean(axis=1).min()),
        curve=curves.mean(axis=0),
        expected=expected,
        deviation=agreement_deviation(expected, weight, search_map.components(last)),
    )


def agreement_deviation(expected: Float64, weight: Float64, components: Float64) -> float:
    """Return the standard deviation that noise gives the agreement of a copy.

    That of an FSC is (1 - FSC²) / √N in a shell of N independent components.

    Parameters
    ----------
    expected : (S,) float64
        FSC of a symmetric map with the same noise.
    weight : (S,) float64
        Of the shells in the agreement.
    components : (S,) float64
        Independent ones in each shell.
    """
    spread = weight * (1 - expected**2) / np.sqrt(np.maximum(components, 1.0))
    return float(np.linalg.norm(spread)) / max(float(expected @ weight), 1e-6)


def operator_agreements(
    search_map: SearchMap, group: PointGroup, axes: GroupAxes, *, threads: int = 0
) -> Float64:
    """Return the agreement of each operator of a group, (G,); 1 for the identity."""
    last = deciding_shell(search_map, group)
    expected = search_map.share[: last + 1]
    weight = shell_weight(search_map.ft.power[: last + 1], expected)  # (S + 1,)
    least = max(float(expected @ weight), 1e-6)
    operators = symmetry_operators(group)
    found = np.ones(len(operators))
    for i, one in enumerate(operators[1:], 1):
        inverse = int(np.abs(operators - one.T).max(axis=(1, 2)).argmin())
        if inverse < i:  # the same pairs of components
            found[i] = found[inverse]
        else:
            found[i] = curve_at(search_map, one[None], axes, last, threads) @ weight / least
    return found


def agreement_of_any_rotation(search_map: SearchMap, axes: GroupAxes, *, threads: int = 0) -> float:
    """Return the agreement of a map with copies under rotations that belong to no group.

    It is 1 for a ball or a shell, whose point group cannot be told.

    Parameters
    ----------
    search_map : SearchMap
    axes : GroupAxes
        Of which only the centre matters.
    threads : int
    """
    last = deciding_shell(search_map)
    rotations = Rotation.from_rotvec(ODD_ROTATIONS, degrees=True).as_matrix()
    curves = [curve_at(search_map, one[None], axes, last, threads) for one in rotations]
    expected = search_map.share[: last + 1]
    weight = shell_weight(search_map.ft.power[: last + 1], expected)
    worst = float((np.array(curves) @ weight).min())
    return worst / max(float(expected @ weight), 1e-6)


def _axes_agreement(
    search_map: SearchMap, group: PointGroup, axes: GroupAxes, last: int, threads: int
) -> Float64:
    """Return the correlation about each axis over that expected, (A,)."""
    weight = search_weight(search_map, last)[1:]
    power = power_about_axes(search_map, group, axes, last, threads)
    expected = power.expected(weight, search_map.share[1 : last + 1])
    found = correlation_of_axes(power, group, weight)
    if group.family == "D":  # the 2-fold axes, without what does not vary around the main axis
        varying = power.varying(weight)
        varying[np.array([axis.order for axis in symmetry_axes(group)]) < group.fold] = np.inf
        main = int(varying.argmin())
        found = np.append(found, _correlation_of_flips(search_map, group, axes, main, weight))
        expected = np.append(expected, expected[main])
    return np.asarray(found / np.maximum(expected, LEAST_EXPECTED))


def _correlation_of_flips(
    search_map: SearchMap, group: PointGroup, axes: GroupAxes, main: int, weight: Float64
) -> float:
    """Return the correlation with the copy about an axis across a main axis, without m = 0."""
    directions = [np.array(axis.direction) for axis in symmetry_axes(group)]
    along = directions[main]
    across = next(one for one in directions if abs(one @ along) < _ACROSS)
    setting = np.stack([across, np.cross(along, across), along], axis=1)
    frame, last = axes.frame @ setting, len(weight)
    overlap = flip_overlap(search_map, frame, axes.centre, last)
    power = axis_power(search_map, frame[:, 2][None], axes.centre, last, threads=1)
    total = float(power.spectrum(weight)[0, 1:].sum())
    return float(overlap @ weight) / max(total, 1e-30)


def power_about_axes(
    search_map: SearchMap, group: PointGroup, axes: GroupAxes, last: int, threads: int = 0
) -> AxisPower:
    """Measure shells 1 to `last` about each axis of a group in the map."""
    directions = np.array([axis.direction for axis in symmetry_axes(group)]) @ axes.frame.T
    return axis_power(search_map, directions, axes.centre, last, threads=threads)


def correlation_of_axes(power: AxisPower, group: PointGroup, weight: Float64) -> Float64:
    """Return the correlation of the map with its copies about each axis, for the axis's order."""
    orders = [axis.order for axis in symmetry_axes(group)]
    return np.asarray(power.correlation(weight, max(orders))[orders, np.arange(len(orders))])


def shell_weight(power: Float64, share: Float64) -> Float64:
    """Return the weight of each shell's FSC: its number of components times its share of signal.

    A shell with next to no power has less weight, in proportion.

    Parameters
    ----------
    power : (S + 1,)
        Mean power of a component in each shell of a map.
    share : (S + 1,)
        Share of signal in it.
    """
    strong = np.minimum(1.0, power / (LEAST_POWER * power[1:].max()))
    weight = np.arange(len(share), dtype=np.float64) ** 2 * share * strong
    weight[:FIRST_SHELL] = 0
    return np.asarray(weight)


@lru_cache(maxsize=128)
def operator_classes(group: PointGroup) -> tuple[Float64, ...]:
    """Return the operators of a group by order and kind of axis, a few of each.

    Two axes are of one kind if an operator of the group rotates one into the other.
    """
    operators, kind = symmetry_operators(group), kinds_of_axes(group)
    axes = np.array([axis.direction for axis in symmetry_axes(group)])  # (A, 3)
    classes: dict[tuple[int, int], list[Float64]] = {}
    for matrix in operators[1:]:
        along = (axes @ matrix * axes).sum(axis=1)  # 1 for the axis of the rotation
        key = (int(kind[along.argmax()]), _order(matrix))
        classes.setdefault(key, []).append(matrix)
    identity = np.eye(3)[None]
    return tuple(
        essential_operators(np.concatenate([identity, members]), _OPERATORS)
        for _, members in sorted(classes.items())
    )


@lru_cache(maxsize=128)
def kinds_of_axes(group: PointGroup) -> Int64:
    """Return the kind of each axis, (A,): the index of the first axis of its kind."""
    axes = np.array([axis.direction for axis in symmetry_axes(group)])  # (A, 3)
    operators = symmetry_operators(group)
    rotated = np.abs(np.einsum("gij,aj,bi->gab", operators, axes, axes)) > 1 - 1e-6
    return np.asarray(rotated.any(axis=0).argmax(axis=1))


def _order(matrix: Float64) -> int:
    """Return the order of a rotation: the least power that is the identity."""
    power, count = matrix, 1
    while np.abs(power - np.eye(3)).max() > 1e-6:
        power, count = power @ matrix, count + 1
    return count
