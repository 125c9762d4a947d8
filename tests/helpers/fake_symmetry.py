"""What would be found in a symmetric map, made by hand."""

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.healpix import pixel_directions
from napari_ini3d.geometry.point_groups import symmetry_axes
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.symmetry.records import (
    FoundAxis,
    GroupCandidate,
    SelfRotation,
    SymmetryAlignment,
    SymmetryReport,
)

VOXEL = 4.0
ROTATION = Rotation.from_euler("xyz", [15, -20, 30], degrees=True).as_matrix()

FSC = 1 / (1 + np.exp(np.arange(17.0) - 9))


def make_axes(group, rotation=None):
    """Axes of a group in a map that `rotation` takes onto RELION's setting."""
    back = np.eye(3) if rotation is None else rotation.T
    return tuple(
        FoundAxis(axis.order, tuple((back @ axis.direction).tolist()), 0.95)
        for axis in symmetry_axes(group)
    )


def make_candidate(group, *, holds=True, rotation=None, centre=(0.0, 0.0, 0.0)):
    rotation = np.eye(3) if rotation is None else rotation
    words = f"{group} {'holds' if holds else 'does not hold'}"
    axes = make_axes(group, rotation)
    return GroupCandidate(group, 0.95, axes, rotation, centre, FSC, 14.2, holds, words)


def make_self_rotation(axes, orders=range(2, 15)):
    """Ones at the axes, falling off with the angle from them."""
    directions = pixel_directions(16)
    directions = directions[directions[:, 2] >= 0]
    values = np.full((len(orders), len(directions)), 0.1, np.float32)
    for axis in axes:
        near = np.exp(20 * (np.abs(directions @ axis.direction) - 1))
        for row, order in enumerate(orders):
            if axis.order % order == 0:
                values[row] = np.maximum(values[row], near)
    return SelfRotation(directions, tuple(orders), values)


def make_report(group="D2", **changes):
    candidates = (make_candidate(group, **changes), make_candidate("C2", **changes))
    found = make_self_rotation(candidates[0].axes)
    shown = group if candidates[0].holds else "C1"
    return SymmetryReport(shown, candidates, f"The map has {shown}.", found, 100.0, 4.0)


def make_alignment(group="D2", *, holds=True, rotation=None, shift=(0.0, 0.0, 0.0)):
    rotation = np.eye(3) if rotation is None else rotation
    axes = make_axes(group, rotation)
    words = f"{group} {'holds' if holds else 'does not hold'}"
    transform = RigidTransform(rotation, np.array(shift))
    return SymmetryAlignment(group, transform, 0.95, axes, FSC, 14.2, 4.0, holds, words)
