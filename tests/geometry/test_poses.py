from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.poses import rotate_poses
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.particles import project_phantom

ROTATION = Rotation.from_euler("xyz", [31, -72, 128], degrees=True).as_matrix()
TRANSFORM = RigidTransform(ROTATION, np.array([7.5, -4.0, 11.0]))  # Å
PHANTOM = make_phantom(diameter=70.0)
SIMULATED = simulate_particles(
    PHANTOM, SimulationSettings(number=8, box_size=32, pixel_size=4.0, offset_sigma=5.0)
)
OPTICS, TRUTH = SIMULATED.particles.optics[0], SIMULATED.truth


def rotated_truth():
    angles = np.stack([TRUTH.rot, TRUTH.tilt, TRUTH.psi], axis=1)
    origins = np.stack([TRUTH.origin_x, TRUTH.origin_y], axis=1)
    angles, origins = rotate_poses(angles, origins, TRANSFORM)
    rot, tilt, psi = angles.T.astype(np.float32)
    origin_x, origin_y = origins.T.astype(np.float32)
    return replace(TRUTH, rot=rot, tilt=tilt, psi=psi, origin_x=origin_x, origin_y=origin_y)


def test_particles_of_the_moved_map_are_seen_as_before():
    moved = replace(PHANTOM, positions=TRANSFORM.apply(PHANTOM.positions))
    before = project_phantom(PHANTOM, OPTICS, TRUTH)
    after = project_phantom(moved, OPTICS, rotated_truth())
    np.testing.assert_allclose(after, before, atol=1e-4 * before.max())
    stale = project_phantom(moved, OPTICS, TRUTH)
    assert np.abs(stale - before).max() > 0.1 * before.max()


def test_the_inverse_transform_restores_the_poses():
    rng = np.random.default_rng(2)
    angles = rng.uniform([-180, 1, -180], [180, 179, 180], (20, 3))
    origins = rng.normal(size=(20, 2))
    there = rotate_poses(angles, origins, TRANSFORM)
    back = rotate_poses(*there, TRANSFORM.inverse())
    np.testing.assert_allclose(back[0], angles, atol=1e-8)
    np.testing.assert_allclose(back[1], origins, atol=1e-8)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_without_a_shift_the_origins_stay(axis):
    rotation = Rotation.from_rotvec(0.7 * np.eye(3)[axis]).as_matrix()
    origins = np.array([[1.0, -2.0], [0.5, 0.25]])
    angles = np.array([[10.0, 20, 30], [0, 0, 0]])
    _, moved = rotate_poses(angles, origins, RigidTransform(rotation, np.zeros(3)))
    np.testing.assert_array_equal(moved, origins)
