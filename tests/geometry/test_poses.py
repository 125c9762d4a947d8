from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.euler import euler_to_matrix
from napari_ini3d.geometry.point_groups import (
    in_asymmetric_unit,
    symmetry_axes,
)
from napari_ini3d.geometry.poses import expand_angles, fold_angles, rotate_poses
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


GROUPS = ["C2", "C7", "D2", "D7", "T", "O", "I", "I1", "I3", "I4"]


def to_matrices(angles):
    return euler_to_matrix(*np.moveaxis(angles, -1, 0))


def awkward_angles(group):
    """Random poses, views along each axis of the group, along x, y and z, and between two axes."""
    rng = np.random.default_rng(5)
    random = rng.uniform([-180, 0, -180], [180, 180, 180], (30, 3))
    axes = np.array([axis.direction for axis in symmetry_axes(group)])
    views = np.concatenate([axes, -axes, np.eye(3), -np.eye(3), [axes[0] + [1.0, 0, 0]]])
    x, y, z = (views / np.linalg.norm(views, axis=1, keepdims=True)).T
    special = np.stack([np.arctan2(y, x), np.arccos(np.clip(z, -1, 1))], axis=1)
    psi = rng.uniform(-180, 180, (len(views), 1))
    return np.concatenate([random, np.hstack([np.rad2deg(special), psi])])


def test_expanded_poses_of_d2_are_those_of_its_formula():
    rot, tilt, psi = 10.0, 40.0, -25.0
    found = expand_angles(np.array([[rot, tilt, psi]]), "D2")[0]
    expected = [  # a half turn about z; about x or y the view is seen from the other side
        [rot, tilt, psi],
        [rot - 180, tilt, psi],
        [-rot, 180 - tilt, psi + 180],
        [180 - rot, 180 - tilt, psi + 180],
    ]
    distance = np.abs(to_matrices(found)[:, None] - to_matrices(np.array(expected))[None])
    assert (distance.max(axis=(2, 3)).min(axis=0) < 1e-12).all()
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("group", ["C3", "D2", "D3"])
def test_a_symmetric_particle_looks_the_same_in_all_its_expanded_poses(group):
    phantom = make_phantom(group, diameter=70.0)
    angles = np.stack([TRUTH.rot, TRUTH.tilt, TRUTH.psi], axis=1)[:2]
    expanded = expand_angles(angles, group)
    for pose, of_pose in enumerate(expanded):
        n = len(of_pose)
        rot, tilt, psi = of_pose.T.astype(np.float32)
        same = {
            field.name: np.repeat(getattr(TRUTH, field.name)[pose : pose + 1], n)
            for field in fields(TRUTH)
        }
        truth = replace(TRUTH, **same | {"rot": rot, "tilt": tilt, "psi": psi})
        images = project_phantom(phantom, OPTICS, truth)
        np.testing.assert_allclose(images, images[:1].repeat(n, 0), atol=1e-4 * images.max())


@pytest.mark.parametrize("group", GROUPS)
def test_all_equivalent_poses_fold_into_the_same_one_of_them(group):
    angles = awkward_angles(group)
    expanded = expand_angles(angles, group)
    folded = to_matrices(fold_angles(angles, group))  # (N, 3, 3)
    of_expanded = to_matrices(fold_angles(expanded.reshape(-1, 3), group))
    of_expanded = of_expanded.reshape(*expanded.shape[:2], 3, 3)
    np.testing.assert_allclose(of_expanded, folded[:, None].repeat(expanded.shape[1], 1), atol=1e-9)
    distance = np.abs(to_matrices(expanded) - folded[:, None]).max(axis=(2, 3))  # (N, G)
    assert (distance.min(axis=1) < 1e-9).all()
    assert in_asymmetric_unit(folded[:, 2], group).all()


@pytest.mark.parametrize("group", GROUPS)
def test_folded_poses_stay_when_they_are_folded_again(group):
    once = fold_angles(awkward_angles(group), group)
    np.testing.assert_allclose(to_matrices(fold_angles(once, group)), to_matrices(once), atol=1e-12)


def test_poses_rounded_as_in_a_file_fold_into_the_same_unit():
    angles = awkward_angles("D7")
    rounded = np.round(expand_angles(angles, "D7"), 6).reshape(-1, 3)
    found = to_matrices(fold_angles(rounded, "D7")).reshape(len(angles), -1, 3, 3)
    expected = to_matrices(fold_angles(angles, "D7"))
    np.testing.assert_allclose(found, expected[:, None].repeat(14, 1), atol=1e-7)
