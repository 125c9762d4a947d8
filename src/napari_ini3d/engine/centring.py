"""Centring: a map is moved to its centre of mass, and the poses of its particles with it.

Nothing in the data says where the centre is: the prior on the shifts holds it only weakly. A map
that has begun off centre stays so, and the mask cuts it. Maps are moved by whole voxels, so that
nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d._types import Complex64, Float32, Int64, IntArray
from napari_ini3d.engine.state import ModelState
from napari_ini3d.geometry import RigidTransform, rotate_poses
from napari_ini3d.particles import Assignments


def distance_from_centre(volume: Float32, operators: Float32) -> Int64:
    """Return where the centre of mass of a map is, in whole voxels from the rotation centre.

    Parameters
    ----------
    volume : (n, n, n) float32
        Its positive density counts.
    operators : (G, 3, 3) float32
        Of the point group that is imposed; the centre stays on its axes.

    Returns
    -------
    (3,) int64
        (x, y, z).
    """
    density = np.maximum(volume, 0)
    if not density.any():
        return np.zeros(3, np.int64)
    line = np.arange(volume.shape[0]) - volume.shape[0] // 2
    profiles = (density.sum(axes, dtype=np.float64) for axes in ((0, 1), (0, 2), (1, 2)))
    centre = np.array([(profile * line).sum() / profile.sum() for profile in profiles])
    # the mean of the operators projects on the directions that they all leave as they are
    free: Int64 = np.rint(operators.mean(0, dtype=np.float64) @ centre).astype(np.int64)
    return free


def centred_model(model: ModelState, shifts: Int64, padding: int) -> ModelState:
    """Return a model whose maps and sums are moved.

    Parameters
    ----------
    model : ModelState
    shifts : (K, 3) int64
        Per class, (x, y, z) in voxels: the point that goes to the centre.
    padding : int
        Of the sums.
    """
    moved = {}
    for name in ("numerator", "blended_numerator"):
        sums = getattr(model, name)
        if sums.size:  # (K, 2, cube)
            size = model.maps.shape[-1] * padding
            ramps = [_phase_ramp(sums.shape[-3] // 2, shift, size) for shift in shifts]
            moved[name] = sums * np.stack(ramps)[:, None]
    return replace(model, maps=moved_maps(model.maps, shifts), **moved)


def moved_maps(maps: Float32, shifts: Int64) -> Float32:
    """Return maps (K, n, n, n) in which shift (x, y, z) of each, in voxels, is at the centre."""
    rolled = [
        np.roll(volume, -shift[::-1], (0, 1, 2)) for volume, shift in zip(maps, shifts, strict=True)
    ]
    return np.stack(rolled)


def centred_poses(assignments: Assignments, shifts: Int64, pixel_size: float) -> Assignments:
    """Return the poses in which the particles show the moved maps.

    Parameters
    ----------
    assignments : Assignments
    shifts : (K, 3) int64
        Per class, (x, y, z) in voxels.
    pixel_size : float
        Å.
    """
    origins = np.stack([assignments.origin_x, assignments.origin_y], -1).astype(np.float64)
    angles = np.stack([assignments.rot, assignments.tilt, assignments.psi], -1)
    for number, shift in enumerate(shifts):
        of_class = assignments.class_index == number
        move = RigidTransform(np.eye(3), shift * pixel_size)
        _, origins[of_class] = rotate_poses(angles[of_class], origins[of_class], move)
    x, y = origins.astype(np.float32).T
    return replace(assignments, origin_x=x, origin_y=y)


def _phase_ramp(m: int, shift: IntArray, size: int) -> Complex64:
    """Return the factors (cube) that move the map of a half cube in a padded box."""
    line = np.arange(-m, m + 1)
    lines = line, line, np.arange(m + 2)  # kz, ky, kx
    z, y, x = (np.exp(2j * np.pi * k * d / size) for k, d in zip(lines, shift[::-1], strict=True))
    ramp: Complex64 = (z[:, None, None] * y[:, None] * x).astype(np.complex64)
    return ramp
