"""Continuous refinement of where the axes of a point group lie in a map."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64, FloatArray, Int64
from napari_ini3d.kernels import available_threads, compare_copies
from napari_ini3d.symmetry.search_map import PADDING, SearchMap

MOST_OPERATORS = 12  # compared at a time: more say hardly more about the axes
_SLICES = 8  # of the points; fixed, so that sums do not depend on the number of threads
_WORTH_THREADS = 30_000  # components: fewer are done before threads have started
_LEAST_FSC, _MOST_FSC = 0.15, 0.97  # shells below do not count; nothing counts as free of noise
_LEAST_POWER = 1e-5  # of the strongest shell: below, a map without noise holds the mask's edge
_SMALLEST_STEP = 5e-5  # radian, and sides of the box: smaller ones are not worth a comparison
_SMALLEST_GAIN = 1e-6  # of the score, that is worth another step
_HALVINGS = 3
_LEAST_SCORE = 0.2  # where the slopes are taken seriously
_LONGEST_STEP = 0.1  # radian
_FINER = 1.6  # growth of the highest shell, while shells agree
_CLIMBING_STEPS = 3  # before the highest shell is reached: the next one begins elsewhere anyway
_MOST_PAIRS = 1_500_000  # of components and operators that are compared at a time ...
_FEWEST_OPERATORS = 5  # ... but for these: many components agree, so that few copies tell enough


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a group lies in a working map, and how well it fits there.

    Attributes
    ----------
    frame : (3, 3) float64
        Takes RELION's setting of the axes to where they lie in the map.
    centre : (3,) float64
        Where they meet, in sides of the working box from its middle.
    score : float
        Correlation of the map with its copies, weighted as it was refined.
    curve : (S + 1,) float64
        FSC of the map with its copies, mean over the operators that were compared.
    """

    frame: Float64
    centre: Float64
    score: float
    curve: Float64


@dataclass(frozen=True, slots=True)
class Freedom:
    """What the refinement may move.

    Attributes
    ----------
    centre : bool
    turn : {"all", "around z", "none"}
        "around z" keeps the axis Z of the setting where it lies.
    """

    centre: bool = True
    turn: str = "all"

    def project(self, step: Float64, frame: Float64) -> Float64:
        """Return a step (6,) without what may not move."""
        free = step.copy()
        if not self.centre:
            free[3:] = 0
        if self.turn == "none":
            free[:3] = 0
        elif self.turn == "around z":
            axis = frame[:, 2]
            free[:3] = axis * (axis @ step[:3])
        return free


def essential_operators(operators: Float64, most: int = MOST_OPERATORS) -> Float64:
    """Return operators that are worth comparing: no identity, one of each pair of inverses.

    Of more than `most`, an even selection.
    """
    kept: list[Float64] = []
    for matrix in operators[1:]:
        if not any(np.abs(matrix.T - other).max() < 1e-6 for other in kept):
            kept.append(matrix)
    return np.array([kept[i] for i in _evenly(len(kept), most)])


def refine(
    working: SearchMap,
    operators: Float64,
    start: Fit,
    weight: FloatArray,
    *,
    freedom: Freedom | None = None,
    most_steps: int = 12,
) -> Fit:
    """Climb to the nearest maximum of the correlation of a map with its copies.

    Parameters
    ----------
    working : SearchMap
    operators : (R, 3, 3)
        See `essential_operators`.
    start : Fit
    weight : (S + 1,)
        Of the power of each shell 0 to S; S may be below the map's highest shell.
    freedom : Freedom, optional
        Everything may move where left out.
    most_steps : int
    """
    freedom = freedom or Freedom()
    now = _Comparison.at(working, operators, start.frame, start.centre, weight)
    for _ in range(most_steps):
        step = freedom.project(now.step(working.diameter), now.frame)
        if np.abs(step).max() < _SMALLEST_STEP:
            break
        for _ in range(_HALVINGS):  # halve a step that leads down
            trial = _Comparison.at(working, operators, *now.moved(step), weight)
            if trial.score > now.score:
                break
            step = step / 2
        else:
            break
        gain, now = trial.score - now.score, trial
        if gain < _SMALLEST_GAIN:
            break
    return Fit(now.frame, now.centre, now.score, now.curve)


def refine_upwards(
    working: SearchMap, operators: Float64, start: Fit, *, freedom: Freedom | None = None
) -> Fit:
    """Refine with ever finer shells for as long as they agree, each weighted by its agreement.

    The weight of a shell is that of the most likely alignment of two copies that hold the share
    FSC of signal: FSC / (1 - FSC²) over its power.
    """
    fit = start
    last = min(len(start.curve) - 1, working.max_shell)
    while True:
        reach = min(round(last * _FINER) + 1, working.max_shell)
        some = _affordable(working, operators, reach)
        fit = replace(fit, curve=curve_at(working, some, fit, reach))
        agreeing = trusted_shells(fit.curve)
        weight = agreement_weight(working, fit.curve, agreeing)
        if agreeing <= last or last == working.max_shell:
            return refine(working, some, fit, weight, freedom=freedom)
        fit = refine(working, some, fit, weight, freedom=freedom, most_steps=_CLIMBING_STEPS)
        last = agreeing


def _affordable(working: SearchMap, operators: Float64, last: int) -> Float64:
    """Return all operators, or an even selection where that many copies would take long."""
    components = int(np.searchsorted(working.shell, last, side="right"))
    most = max(_MOST_PAIRS // components, _FEWEST_OPERATORS)
    return operators[_evenly(len(operators), most)]


def _evenly(count: int, most: int) -> Int64:
    """Return `most` places, or fewer, spread over `count`."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def curve_at(working: SearchMap, operators: Float64, fit: Fit, last: int) -> Float64:
    """Return the FSC of the map with its copies at a fit, shells 0 to `last`."""
    weight = np.zeros(last + 1)
    return _Comparison.at(working, operators, fit.frame, fit.centre, weight).curve


def trusted_shells(curve: Float64) -> int:
    """Return the highest shell before the first that no longer agrees, at least 3."""
    low = np.flatnonzero(curve[2:] < _LEAST_FSC)
    return max(3, int(low[0]) + 1 if len(low) else len(curve) - 1)


def agreement_weight(working: SearchMap, curve: Float64, last: int) -> Float64:
    """Return the weight of shells 0 to `last`; see `refine_upwards`."""
    trusted = np.clip(curve[: last + 1], 0.01, _MOST_FSC)
    power = working.power[: last + 1]
    power = np.maximum(power, _LEAST_POWER * power[1:].max())
    weight = trusted / (1 - trusted**2) / power
    weight[0] = 0
    return np.asarray(weight)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The map beside its copies about the axes of one frame."""

    frame: Float64
    centre: Float64
    score: float
    slope: Float64  # (6,), per radian and per side of the box
    products: Float64  # (6, 6)
    curve: Float64

    @classmethod
    def at(
        cls,
        working: SearchMap,
        operators: Float64,
        frame: Float64,
        centre: Float64,
        weight: FloatArray,
    ) -> _Comparison:
        last = len(weight) - 1
        count = int(np.searchsorted(working.shell, last, side="right"))
        rotations = frame @ operators @ frame.T
        shells = working.shell[:count]
        weights = np.asarray(weight, np.float32)[shells]
        bounds = np.linspace(0, count, _SLICES + 1).astype(int)
        points = working.points[:count] * np.float32(PADDING)

        def measure(i: int) -> tuple[Float64, Float64, Float64]:
            part = slice(bounds[i], bounds[i + 1])
            sums = np.zeros(6), np.zeros((6, 6)), np.zeros((3, last + 1))
            compare_copies(working.cube, points[part], working.values[part], weights[part],
                           shells[part], rotations, centre / PADDING, *sums)  # fmt: skip
            return sums

        if count * len(operators) < _WORTH_THREADS:
            parts = list(map(measure, range(_SLICES)))
        else:
            with ThreadPoolExecutor(available_threads(0)) as pool:
                parts = list(pool.map(measure, range(_SLICES)))
        slope, products, sums = (np.sum(each, axis=0) for each in zip(*parts, strict=True))
        unit = np.array([1.0, 1, 1, 1 / PADDING, 1 / PADDING, 1 / PADDING])
        products = (np.triu(products) + np.triu(products, 1).T) * unit * unit[:, None]
        overlap, *power = sums @ weight
        score = overlap / max(np.sqrt(power[0] * power[1]), 1e-30)
        curve = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-30))
        return cls(frame, centre, float(score), slope * unit, products, curve)

    def step(self, diameter: float) -> Float64:
        """Return the turn and shift (6,) that lead to the maximum, to second order.

        What the map cannot tell (a turn about the axis of Cn, a shift along it) stays as it is.
        """
        unit = np.array([1.0, 1, 1, *[diameter / 4] * 3])  # radian and shift of like effect
        scaled = self.products * unit * unit[:, None]
        step = np.linalg.pinv(scaled, rcond=1e-5, hermitian=True) @ (self.slope * unit)
        step /= max(self.score, _LEAST_SCORE)
        longest = np.abs(step).max()
        return np.asarray(step * min(1.0, _LONGEST_STEP / max(longest, 1e-12)) * unit)

    def moved(self, step: Float64) -> tuple[Float64, Float64]:
        """Return frame and centre after a step."""
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        return turn @ self.frame, self.centre + step[3:]
