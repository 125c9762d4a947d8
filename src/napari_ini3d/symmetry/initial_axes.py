"""Initial axes of a point group, from the self-rotation function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64
from napari_ini3d.geometry import PointGroup, symmetry_axes
from napari_ini3d.symmetry.standard_setting import shortest_rotation

_APART = np.deg2rad(12.0)  # between candidates of one axis
_MAIN_AXES = 6  # candidates of the main axis
_STEP = np.deg2rad(2.0)  # of the rotation about the main axis
_Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class AxisMap:
    """Table of the self-rotation function, to be read in any direction.

    Attributes
    ----------
    directions : (N, 3) float64
        Of the upper half sphere.
    correlation : (orders, N) float64
        By order of the axis, see `AxisPower.correlation`.
    tree : cKDTree
        Of the directions and their opposites.
    """

    directions: Float64
    correlation: Float64
    tree: cKDTree

    @classmethod
    def of(cls, directions: Float64, correlation: Float64) -> AxisMap:
        """Make the table of N directions."""
        return cls(directions, correlation, cKDTree(np.concatenate([directions, -directions])))

    def look_up(self, order: int, directions: Float64) -> Float64:
        """Return the correlation at the nearest direction of the table, (...)."""
        nearest = self.tree.query(directions)[1] % len(self.directions)
        return np.asarray(self.correlation[order][nearest])

    def peaks(self, order: int, count: int) -> Float64:
        """Return the directions of the highest values, well apart, (count, 3)."""
        values = self.correlation[order].copy()
        found = []
        for _ in range(count):
            best = int(values.argmax())
            if values[best] == -np.inf:
                break
            found.append(self.directions[best])
            values[np.abs(self.directions @ found[-1]) > np.cos(_APART)] = -np.inf
        return np.array(found)


def initial_frames(
    group: PointGroup, table: AxisMap, count: int, *, upright: bool = False
) -> list[tuple[Float64, float]]:
    """Return the frames in which the axes of a group have high values, the best first.

    The axis of the highest order is aligned to each of the peaks of that order, and the others
    are rotated about it in small steps.

    Parameters
    ----------
    group : PointGroup
    table : AxisMap
    count : int
        Maximum number of frames.
    upright : bool
        Rotate the setting about Z only.

    Returns
    -------
    list of ((3, 3) float64, float)
        Frame (takes RELION's setting to the map), and the mean of the table over the axes, each
        weighted by its number of rotations.
    """
    axes = symmetry_axes(group)
    setting = np.array([axis.direction for axis in axes])
    main = axes[0].order
    peaks = table.peaks(main, _MAIN_AXES)
    if upright:
        trials = _rotations_about(_Z, _Z, alone=False)
    else:
        trials = np.concatenate(
            [_rotations_about(peak, setting[0], len(axes) == 1) for peak in peaks]
        )
    total = np.zeros(len(trials))
    for axis, direction in zip(axes, setting, strict=True):
        total += (axis.order - 1) * table.look_up(axis.order, trials @ direction)
    total /= sum(axis.order - 1 for axis in axes)
    return _best_apart(trials, total, setting, count)


def _rotations_about(peak: Float64, main: Float64, alone: bool) -> Float64:
    """Return frames that align the main axis to a peak, at all angles about it, (A, 3, 3)."""
    aligned = Rotation.from_matrix(shortest_rotation(main, peak))
    count = 1 if alone else round(2 * np.pi / _STEP)
    angles = np.arange(count) * _STEP
    return np.asarray((Rotation.from_rotvec(angles[:, None] * peak) * aligned).as_matrix())


def _best_apart(
    trials: Float64, total: Float64, setting: Float64, count: int
) -> list[tuple[Float64, float]]:
    """Return the best frames; of those with nearly the same axes, only one."""
    left = total.copy()
    axes = trials @ setting.T  # (T, 3, A)
    found: list[tuple[Float64, float]] = []
    while len(found) < count:
        best = int(left.argmax())
        if left[best] == -np.inf:
            break
        found.append((trials[best], float(total[best])))
        overlap = np.abs(np.einsum("tia,ib->tab", axes, axes[best]))  # (T, A, A)
        left[overlap.max(axis=2).min(axis=1) > np.cos(_APART)] = -np.inf
    return found
