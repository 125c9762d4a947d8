from dataclasses import fields, replace

import numpy as np
import pytest
from fake_symmetry import make_alignment
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.poses import rotate_assignments, rotate_poses
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.particles import project_phantom

ROTATION = Rotation.from_euler("xyz", [31, -72, 128], degrees=True).as_matrix()
SHIFT = (7.5, -4.0, 11.0)
PHANTOM = make_phantom(diameter=70.0)
SIMULATED = simulate_particles(
    PHANTOM, SimulationSettings(number=8, box_size=32, pixel_size=4.0, offset_sigma=5.0)
)
OPTICS, TRUTH = SIMULATED.particles.optics[0], SIMULATED.truth


ALIGNMENT = make_alignment(rotation=ROTATION, shift=SHIFT)


def test_particles_of_the_moved_map_are_seen_as_before():
    moved = replace(PHANTOM, positions=(PHANTOM.positions - SHIFT) @ ROTATION.T)
    before = project_phantom(PHANTOM, OPTICS, TRUTH)
    after = project_phantom(moved, OPTICS, rotate_assignments(TRUTH, ALIGNMENT))
    np.testing.assert_allclose(after, before, atol=1e-4 * before.max())
    stale = project_phantom(moved, OPTICS, TRUTH)
    assert np.abs(stale - before).max() > 0.1 * before.max()


def test_only_poses_change_and_they_stay_in_single_precision():
    turned = rotate_assignments(TRUTH, ALIGNMENT)
    for field in fields(TRUTH):
        before, after = getattr(TRUTH, field.name), getattr(turned, field.name)
        assert after.dtype == before.dtype
        changed = field.name in {"rot", "tilt", "psi", "origin_x", "origin_y"}
        assert np.array_equal(before, after) != changed, field.name


def test_turning_back_gives_the_first_poses():
    rng = np.random.default_rng(2)
    angles = rng.uniform([-180, 1, -180], [180, 179, 180], (20, 3))
    origins = rng.normal(size=(20, 2))
    there = rotate_poses(angles, origins, ROTATION, SHIFT)
    back = rotate_poses(*there, ROTATION.T, tuple(-ROTATION @ SHIFT))
    np.testing.assert_allclose(back[0], angles, atol=1e-8)
    np.testing.assert_allclose(back[1], origins, atol=1e-8)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_without_a_shift_the_origins_stay(axis):
    turn = Rotation.from_rotvec(0.7 * np.eye(3)[axis]).as_matrix()
    origins = np.array([[1.0, -2.0], [0.5, 0.25]])
    _, moved = rotate_poses(np.array([[10.0, 20, 30], [0, 0, 0]]), origins, turn, (0.0, 0.0, 0.0))
    np.testing.assert_array_equal(moved, origins)
