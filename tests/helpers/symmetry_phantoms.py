"""Phantoms whose axes are known, rotated and shifted."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.point_groups import PointGroup, symmetry_axes
from napari_ini3d.simulation import make_phantom

VOXEL = 3.0
RADII = {"I": (5.0, 10.0), "O": (6.0, 12.0), "T": (7.0, 14.0), "D7": (6.0, 12.0)}  # of domains, Å


@dataclass(frozen=True)
class Known:
    """A map, the rotation that rotated its phantom, and where its centre went (voxels)."""

    volume: np.ndarray
    rotation: np.ndarray
    centre: np.ndarray


def known_map(
    group: str,
    *,
    seed: int = 1,
    box_size: int = 48,
    resolution: float = 8.0,
    noise: float = 0.0,
    rotated: bool = True,
    change: float = 0.0,
    twist: float = 0.0,
    scales: dict[int, float] | None = None,
) -> Known:
    """Return a phantom's map.

    The first of its copies has more weight, by the share `change`, and is twisted about its own
    centre by `twist` degrees. `scales` multiplies the weight of copies by their index in
    `symmetry_operators`.
    """
    rng = np.random.default_rng(seed)
    radii = RADII.get(group, (9.0, 18.0))
    phantom = make_phantom(
        group, seed=seed, diameter=0.62 * box_size * VOXEL, domains=3, domain_radius=radii
    )
    rotation = Rotation.random(rng=rng).as_matrix() if rotated else np.eye(3)
    centre = rng.uniform(-3, 3, 3) if rotated else np.zeros(3)
    weights = phantom.weights.copy()
    first = slice(0, len(weights) // PointGroup.parse(group).order)
    weights[first] *= 1 + change
    for copy, scale in (scales or {}).items():
        weights[copy * first.stop : (copy + 1) * first.stop] *= scale
    positions = phantom.positions.copy()
    middle = positions[first].mean(axis=0)
    twisting = Rotation.from_rotvec([0, np.deg2rad(twist), 0]).as_matrix()
    positions[first] = (positions[first] - middle) @ twisting.T + middle
    moved = positions @ rotation.T + centre * VOXEL
    volume = replace(phantom, positions=moved, weights=weights).density(box_size, VOXEL, resolution)
    volume = volume + rng.normal(0, noise * volume.std(), volume.shape)
    return Known(volume.astype(np.float32), rotation, centre)


def axis_error(group: str, frame: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest angle between an axis and the true one nearest to it, degrees."""
    axes = np.array([axis.direction for axis in symmetry_axes(group)])
    sines = np.linalg.norm(np.cross((axes @ frame.T)[:, None], (axes @ truth.T)[None]), axis=2)
    return float(np.rad2deg(np.arcsin(min(1.0, sines.min(axis=1).max()))))


def off_axis(group: str, difference: np.ndarray, rotation: np.ndarray) -> float:
    """Return the length of a difference of centres, across the axis where there is but one."""
    axes = symmetry_axes(group)
    if len(axes) == 1:
        along = rotation @ np.array(axes[0].direction)
        difference = difference - along * (along @ difference)
    return float(np.linalg.norm(difference))
