"""The algebra of rigid transforms, on points and on resampled maps."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.fourier.resample import mirror_map, rotate_map
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.simulation import make_phantom

N, VOXEL_SIZE = 32, 4.0
SEEDS = range(5)


def random_transform(seed: int, spread: float = 3.0) -> RigidTransform:
    rng = np.random.default_rng(seed)
    return RigidTransform(Rotation.random(rng=rng).as_matrix(), rng.normal(0, spread, 3))


def random_points(seed: int) -> np.ndarray:
    return np.random.default_rng(100 + seed).normal(0, 10, (7, 3))


def assert_identity(transform: RigidTransform) -> None:
    np.testing.assert_allclose(transform.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(transform.shift, 0, atol=1e-12)
    assert transform.is_identity
    assert transform.angle == pytest.approx(0, abs=1e-5)


def moved(volume: np.ndarray, transform: RigidTransform) -> np.ndarray:
    return rotate_map(volume, transform.rotation, transform.shift)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_transform_and_its_inverse_cancel_in_either_order(seed):
    transform = random_transform(seed)
    assert_identity(transform.after(transform.inverse()))
    assert_identity(transform.inverse().after(transform))
    assert not transform.is_identity


@pytest.mark.parametrize("seed", SEEDS)
def test_after_applies_its_argument_first(seed):
    first, second, x = random_transform(seed), random_transform(seed + 10), random_points(seed)
    both = second.after(first)
    np.testing.assert_allclose(both.apply(x), second.apply(first.apply(x)), atol=1e-12)
    assert np.abs(first.after(second).apply(x) - both.apply(x)).max() > 1  # they do not commute


@pytest.mark.parametrize("seed", SEEDS)
def test_chaining_is_associative_and_keeps_the_identity(seed):
    a, b, c = (random_transform(3 * seed + i) for i in range(3))
    x = random_points(seed)
    np.testing.assert_allclose(
        a.after(b).after(c).apply(x), a.after(b.after(c)).apply(x), atol=1e-12
    )
    identity = RigidTransform.identity()
    np.testing.assert_allclose(a.after(identity).apply(x), a.apply(x), atol=1e-12)
    np.testing.assert_allclose(identity.after(a).apply(x), a.apply(x), atol=1e-12)


def test_a_composed_transform_moves_a_map_as_one_after_the_other():
    volume = make_phantom("C1", diameter=70.0, seed=3).density(N, VOXEL_SIZE, 12.0)
    first, second = random_transform(0, 1.0), random_transform(1, 1.0)
    step_by_step = moved(moved(volume, first), second)
    assert correlation(moved(volume, second.after(first)), step_by_step) > 0.9999
    assert correlation(moved(volume, first.after(second)), step_by_step) < 0.95


def test_the_mirrored_transform_does_to_the_mirrored_map_what_the_first_does_to_the_map():
    volume = make_phantom("C1", diameter=70.0, seed=3).density(N, VOXEL_SIZE, 12.0)
    transform = random_transform(2, 1.0)
    expected = mirror_map(moved(volume, transform))
    found = moved(mirror_map(volume), transform.mirrored())
    assert correlation(found, expected) > 0.9999
    again = transform.mirrored().mirrored()
    np.testing.assert_array_equal(again.rotation, transform.rotation)
    np.testing.assert_array_equal(again.shift, transform.shift)


@pytest.mark.parametrize("seed", SEEDS)
def test_units_convert_the_points_and_not_the_rotation(seed):
    voxels, x = random_transform(seed), random_points(seed)
    angstrom = voxels.in_angstrom(VOXEL_SIZE)
    np.testing.assert_allclose(
        angstrom.apply(x * VOXEL_SIZE), VOXEL_SIZE * voxels.apply(x), atol=1e-9
    )
    back = angstrom.in_voxels(VOXEL_SIZE)
    np.testing.assert_allclose(back.shift, voxels.shift, rtol=1e-15)
    np.testing.assert_array_equal(back.rotation, voxels.rotation)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_matrix_acts_on_homogeneous_zyx(seed):
    transform, x = random_transform(seed), random_points(seed)
    homogeneous = np.concatenate([x[:, ::-1], np.ones((len(x), 1))], axis=1)  # (P, 4)
    found = homogeneous @ transform.matrix.T
    np.testing.assert_allclose(found[:, :3], transform.apply(x)[:, ::-1], atol=1e-12)
    np.testing.assert_array_equal(found[:, 3], 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_rotate_then_shift_adds_the_displacement_last(seed):
    rotation, x = random_transform(seed).rotation, random_points(seed)
    transform = RigidTransform.rotate_then_shift(rotation, np.array([1.0, -2.0, 3.0]))
    np.testing.assert_allclose(transform.apply(x), x @ rotation.T + [1, -2, 3], atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 25.0, 90.0, 180.0])
def test_the_angle_is_that_of_the_rotation_in_degrees(degrees):
    axis = np.array([1.0, 2.0, -2.0]) / 3
    rotation = Rotation.from_rotvec(np.deg2rad(degrees) * axis).as_matrix()
    transform = RigidTransform(rotation, np.array([5.0, 0, 0]))
    assert transform.angle == pytest.approx(degrees, abs=1e-6)
    assert not transform.is_identity  # the shift alone moves the points
