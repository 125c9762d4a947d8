"""Refine the axes of a point group in a map continuously."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64, FloatArray, Int64
from napari_ini3d.fourier import PADDING, map_in_threads
from napari_ini3d.geometry import climb
from napari_ini3d.kernels import compare_copies
from napari_ini3d.symmetry.search_map import SearchMap

MOST_OPERATORS = 12  # compared at a time: more hardly improve the axes
_SLICES = 8  # of the points; fixed, so that sums do not depend on the number of threads
_WORTH_THREADS = 30_000  # components: fewer are done sooner than threads start
_LEAST_FSC, _MOST_FSC = 0.15, 0.97  # shells below do not count; nothing counts as free of noise
_LEAST_POWER = 1e-5  # of the strongest shell: below, a map without noise holds the mask's edge
_SMALLEST_STEP = 5e-5  # radian, and sides of the box
_SMALLEST_GAIN = 1e-6  # of the score, for another step
_LEAST_SCORE = 0.2  # below it the step is not scaled up further
_LONGEST_STEP = 0.1  # radian
_FINER = 1.6  # growth of the highest shell, while shells agree
_CLIMBING_STEPS = (
    3  # before the highest shell is reached: the climb continues with more shells anyway
)
_MOST_PAIRS = 1_500_000  # of components and operators that are compared at a time ...
_FEWEST_OPERATORS = 5  # ... but for these: with that many components few copies are enough


@dataclass(frozen=True, slots=True)
class GroupAxes:
    """Position of the axes of a group in a search map.

    Attributes
    ----------
    frame : (3, 3) float64
        Takes RELION's setting of the axes to those in the map.
    centre : (3,) float64
        Where they meet, in sides of the search box from its middle.
    """

    frame: Float64
    centre: Float64


@dataclass(frozen=True, slots=True)
class Fit(GroupAxes):
    """Axes of a group in a search map, and how well they fit.

    Attributes
    ----------
    score : float
        Correlation of the map with its copies, weighted as it was refined.
    curve : (S + 1,) float64
        FSC of the map with its copies, mean over the operators that were compared.
    """

    score: float
    curve: Float64


@dataclass(frozen=True, slots=True)
class Freedom:
    """What the refinement may change.

    Attributes
    ----------
    centre : bool
    rotation : {"all", "around z", "none"}
        "around z" keeps the axis Z of the setting.
    """

    centre: bool = True
    rotation: str = "all"

    def project(self, step: Float64, frame: Float64) -> Float64:
        """Return a step (6,) without the elements that are fixed."""
        free = step.copy()
        if not self.centre:
            free[3:] = 0
        if self.rotation == "none":
            free[:3] = 0
        elif self.rotation == "around z":
            axis = frame[:, 2]
            free[:3] = axis * (axis @ step[:3])
        return free


def essential_operators(operators: Float64, most: int = MOST_OPERATORS) -> Float64:
    """Return the operators to compare: no identity, one of each pair of inverses.

    Of more than `most`, an even selection.
    """
    kept: list[Float64] = []
    for matrix in operators[1:]:
        if not any(np.abs(matrix.T - other).max() < 1e-6 for other in kept):
            kept.append(matrix)
    return np.array([kept[i] for i in _evenly(len(kept), most)])


def refine(
    search_map: SearchMap,
    operators: Float64,
    start: GroupAxes,
    weight: FloatArray,
    *,
    freedom: Freedom | None = None,
    most_steps: int = 12,
    threads: int = 0,
) -> Fit:
    """Climb to the nearest maximum of the correlation of a map with its copies.

    Parameters
    ----------
    search_map : SearchMap
    operators : (R, 3, 3)
        See `essential_operators`.
    start : GroupAxes
    weight : (S + 1,)
        Of the power of each shell 0 to S; S may be below the map's highest shell.
    freedom : Freedom, optional
        Default: everything may move.
    most_steps : int
    threads : int
        0 means as many as the process may use.
    """
    task = _Task(search_map, operators, weight, freedom or Freedom(), threads)
    best = climb(
        _Comparison.at(task, start.frame, start.centre),
        most_steps=most_steps,
        smallest_step=_SMALLEST_STEP,
        smallest_gain=_SMALLEST_GAIN,
    )
    return Fit(best.frame, best.centre, best.score, best.curve)


def refine_upwards(
    search_map: SearchMap,
    operators: Float64,
    start: Fit,
    *,
    freedom: Freedom | None = None,
    threads: int = 0,
) -> Fit:
    """Refine with finer and finer shells for as long as they agree, each weighted by its FSC.

    The weight of a shell is that of the maximum-likelihood alignment of two copies with a share
    FSC of signal: FSC / (1 - FSC²) over its power.
    """
    fit = start
    last = min(len(start.curve) - 1, search_map.max_shell)
    while True:
        reach = min(round(last * _FINER) + 1, search_map.max_shell)
        some = _affordable(search_map, operators, reach)
        fit = replace(fit, curve=curve_at(search_map, some, fit, reach, threads))
        agreeing = trusted_shells(fit.curve)
        weight = agreement_weight(search_map, fit.curve, agreeing)
        if agreeing <= last or last == search_map.max_shell:
            return refine(search_map, some, fit, weight, freedom=freedom, threads=threads)
        fit = refine(search_map, some, fit, weight,
                     freedom=freedom, most_steps=_CLIMBING_STEPS, threads=threads)  # fmt: skip
        last = agreeing


def _affordable(search_map: SearchMap, operators: Float64, last: int) -> Float64:
    """Return all operators, or an even selection if so many copies would take long."""
    components = search_map.ft.count_within(last)
    most = max(_MOST_PAIRS // components, _FEWEST_OPERATORS)
    return operators[_evenly(len(operators), most)]


def _evenly(count: int, most: int) -> Int64:
    """Return the indices of at most `most` of `count` items, spread evenly."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def curve_at(
    search_map: SearchMap, operators: Float64, axes: GroupAxes, last: int, threads: int = 0
) -> Float64:
    """Return the FSC of the map with its copies about some axes, shells 0 to `last`."""
    task = _Task(search_map, operators, np.zeros(last + 1), Freedom(), threads)
    return _Comparison.at(task, axes.frame, axes.centre).curve


def trusted_shells(curve: Float64) -> int:
    """Return the highest shell before the first that no longer agrees, at least 3."""
    low = np.flatnonzero(curve[2:] < _LEAST_FSC)
    return max(3, int(low[0]) + 1 if len(low) else len(curve) - 1)


def agreement_weight(search_map: SearchMap, curve: Float64, last: int) -> Float64:
    """Return the weight of shells 0 to `last`; see `refine_upwards`."""
    trusted = np.clip(curve[: last + 1], 0.01, _MOST_FSC)
    power = search_map.ft.power[: last + 1]
    power = np.maximum(power, _LEAST_POWER * power[1:].max())
    weight = trusted / (1 - trusted**2) / power
    weight[0] = 0
    return np.asarray(weight)


@dataclass(frozen=True, slots=True)
class _Task:
    """What stays the same while the axes of a group move."""

    search_map: SearchMap
    operators: Float64  # (R, 3, 3)
    weight: FloatArray  # (S + 1,)
    freedom: Freedom
    threads: int


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The map beside its copies about the axes of one frame: a state of `climb`.

    A step is a rotation vector in radian and a shift in sides of the box, (6,).
    """

    task: _Task
    frame: Float64
    centre: Float64
    score: float
    slope: Float64  # (6,), per radian and per side of the box
    products: Float64  # (6, 6)
    curve: Float64  # (S + 1,)

    @classmethod
    def at(cls, task: _Task, frame: Float64, centre: Float64) -> Self:
        ft, weight = task.search_map.ft, task.weight
        last = len(weight) - 1
        count = ft.count_within(last)
        rotations = frame @ task.operators @ frame.T  # (R, 3, 3), in the frame of the map
        shells = ft.shell[:count]  # (N,)
        weights = np.asarray(weight, np.float32)[shells]  # (N,)
        bounds = np.linspace(0, count, _SLICES + 1).astype(int)
        points = ft.points[:count] * np.float32(PADDING)  # (N, 3), in samples of the cube

        def measure(i: int) -> tuple[Float64, Float64, Float64]:
            part = slice(bounds[i], bounds[i + 1])
            sums = np.zeros(6), np.zeros((6, 6)), np.zeros((3, last + 1))
            compare_copies(ft.cube, points[part], ft.values[part], weights[part],
                           shells[part], rotations, centre / PADDING, *sums)  # fmt: skip
            return sums

        worth_threads = count * len(task.operators) >= _WORTH_THREADS
        parts = map_in_threads(measure, range(_SLICES), task.threads if worth_threads else 1)
        slope, products, sums = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
        # the kernel counts shifts in units whose frequency is one sample of the cube
        unit = np.array([1.0, 1, 1, *[1 / PADDING] * 3])
        products = (np.triu(products) + np.triu(products, 1).T) * unit * unit[:, None]  # (6, 6)
        overlap, *power = sums @ weight  # (3,)
        score = overlap / max(np.sqrt(power[0] * power[1]), 1e-30)
        curve = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-30))  # (S + 1,)
        return cls(task, frame, centre, float(score), slope * unit, products, curve)

    def step(self) -> Float64:
        """Return the rotation and shift (6,) that lead to the maximum, to second order.

        Elements that the map does not determine (a rotation about the axis of Cn, a shift along
        it), or that are fixed, are 0.
        """
        lever = self.task.search_map.diameter / 4
        unit = np.array([1.0, 1, 1, *[lever] * 3])  # radian and shift of like effect
        scaled = self.products * unit * unit[:, None]
        step = np.linalg.pinv(scaled, rcond=1e-5, hermitian=True) @ (self.slope * unit)
        step /= max(self.score, _LEAST_SCORE)
        longest = np.abs(step).max()
        step = np.asarray(step * min(1.0, _LONGEST_STEP / max(longest, 1e-12)) * unit)
        return self.task.freedom.project(step, self.frame)

    def moved(self, step: Float64) -> _Comparison:
        """Return the comparison after a step of all axes together."""
        rotation = Rotation.from_rotvec(step[:3]).as_matrix()
        return _Comparison.at(self.task, rotation @ self.frame, self.centre + step[3:])
