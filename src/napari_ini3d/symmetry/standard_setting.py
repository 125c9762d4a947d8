"""Standard setting: the smallest rotation that aligns axes to RELION's setting of a group."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64
from napari_ini3d.geometry import PointGroup, symmetry_axes, symmetry_operators


def shortest_rotation(source: Float64, target: Float64) -> Float64:
    """Return the rotation (3, 3) by the smallest angle that aligns one unit vector to another."""
    axis, cosine = np.cross(source, target), float(source @ target)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-12 and cosine < 0:  # opposite: 180° about any perpendicular
        axis = np.cross(source, np.eye(3)[int(np.abs(source).argmin())])
        return Rotation.from_rotvec(np.pi * axis / np.linalg.norm(axis)).as_matrix()
    angle = np.arctan2(sine, cosine)
    return Rotation.from_rotvec(axis * (angle / max(sine, 1e-30))).as_matrix()


def nearest_rotation(group: PointGroup, frame: Float64, *, upright: bool = False) -> Float64:
    """Return the rotation by the smallest angle that aligns the axes to RELION's setting.

    Parameters
    ----------
    group : PointGroup
    frame : (3, 3)
        Takes the setting to the axes in the map.
    upright : bool
        Rotate about Z only; the axis Z of the setting is along Z then.

    Returns
    -------
    (3, 3) float64
        The same for all frames with the same axes.
    """
    axes = symmetry_axes(group)
    if not axes:
        return np.eye(3)
    if len(axes) == 1:
        setting = np.array(axes[0].direction)
        found = frame @ setting
        if upright and setting[2] > 0.5:
            return np.eye(3)
        return shortest_rotation(found, setting if found @ setting >= 0 else -setting)
    rotations = normaliser(group) @ frame.T  # (N, 3, 3)
    if upright:
        rotations = rotations[rotations[:, 2, 2] > 1 - 1e-6]
    return np.asarray(rotations[np.trace(rotations, axis1=1, axis2=2).argmax()])


def normaliser(group: PointGroup) -> Float64:
    """Return the rotations that map the axes of a group onto themselves, (N, 3, 3).

    For a group with more than one axis: those of Dn are D2n (O for D2), those of T and O are the
    octahedral group with these axes, and I has no others than its own.
    """
    operators = symmetry_operators(group)
    if group.family in "IO":
        return operators
    if group.name == "D2":
        return symmetry_operators("O")
    if group.family == "D":
        return symmetry_operators(f"D{2 * group.fold}")
    two_fold = next(axis for axis in symmetry_axes(group) if axis.order == 2)
    quarter = Rotation.from_rotvec(np.pi / 2 * np.array(two_fold.direction)).as_matrix()
    return np.concatenate([operators, operators @ quarter])
