import numpy as np
import oracles
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.kernels.points import compare_copies, read_points

M = 9


@pytest.fixture
def cube():
    return oracles.random_cube(np.random.default_rng(3), M)


@pytest.fixture
def points():
    points = np.random.default_rng(4).normal(size=(40, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True) * 7.3).astype(np.float32)


def compare(cube, points, rotations, centre, weight=None):
    """Return overlap, slopes, products and curve, with all points in shell 0."""
    shell = np.zeros(len(points), np.int32)
    weight = np.ones(len(points), np.float32) if weight is None else weight
    base = oracles.read_cube(oracles.full_cube(cube), points.astype(np.float64))
    slopes, products, curve = np.zeros(6), np.zeros((6, 6)), np.zeros((3, 1))
    compare_copies(cube, points, base.astype(np.complex64), weight, shell, rotations,
                   np.asarray(centre, np.float64), slopes, products, curve)  # fmt: skip
    return slopes, products, curve[:, 0]


def oracle_overlap(cube, points, rotations, centre, axes_rotation=(0, 0, 0)):
    """Sum Re(G(k)* G(Rk)) as defined, after a common rotation of all axes."""
    full = oracles.full_cube(cube)
    common = Rotation.from_rotvec(axes_rotation).as_matrix()
    k = points.astype(np.float64)
    here = oracles.read_cube(full, k) * np.exp(2j * np.pi * k @ centre)
    total = 0.0
    for rotation in rotations:
        rotated = k @ (common @ rotation @ common.T).T
        there = oracles.read_cube(full, rotated) * np.exp(2j * np.pi * rotated @ centre)
        total += (here.conjugate() * there).real.sum()
    return total


def test_points_are_interpolated_as_by_the_oracle(cube, points):
    rotations = oracles.random_matrices(np.random.default_rng(5), 6)
    out = np.empty((6, len(points)), np.complex64)
    read_points(cube, rotations, points, out)
    rotated = np.einsum("ni,rij->rnj", points.astype(float), rotations.astype(float))
    expected = oracles.read_cube(oracles.full_cube(cube), rotated)
    np.testing.assert_allclose(out, expected, atol=2e-5)


def test_overlap_and_power_equal_the_sums_that_define_them(cube, points):
    rotations = oracles.random_matrices(np.random.default_rng(6), 2).astype(np.float64)
    centre = np.array([0.03, -0.02, 0.05])
    _, _, (overlap, power, rotated) = compare(cube, points, rotations, centre)
    full = oracles.full_cube(cube)
    base = oracles.read_cube(full, points.astype(float))
    copies = [oracles.read_cube(full, points.astype(float) @ r.T) for r in rotations]
    np.testing.assert_allclose(overlap, oracle_overlap(cube, points, rotations, centre), rtol=1e-4)
    np.testing.assert_allclose(power, 2 * (np.abs(base) ** 2).sum(), rtol=1e-4)
    np.testing.assert_allclose(rotated, (np.abs(copies) ** 2).sum(), rtol=1e-4)


def test_slopes_are_the_gradient_of_the_overlap(cube, points):
    rotations = oracles.random_matrices(np.random.default_rng(7), 2).astype(np.float64)
    centre = np.array([0.02, 0.01, -0.04])
    slopes, _, _ = compare(cube, points, rotations, centre)
    step = 1e-5
    for axis in range(3):
        change_by = np.eye(3)[axis] * step
        change = oracle_overlap(cube, points, rotations, centre, change_by)
        change -= oracle_overlap(cube, points, rotations, centre, -change_by)
        assert slopes[axis] == pytest.approx(change / 2 / step, rel=2e-3, abs=2e-2)
        change = oracle_overlap(cube, points, rotations, centre + change_by)
        change -= oracle_overlap(cube, points, rotations, centre - change_by)
        assert slopes[3 + axis] == pytest.approx(change / 2 / step, rel=2e-3, abs=2e-2)


def test_a_rotation_about_the_only_axis_and_a_shift_along_it_change_nothing(cube, points):
    axis = np.array([0.36, 0.48, 0.8])
    rotations = Rotation.from_rotvec(2 * np.pi / 3 * axis).as_matrix()[None]
    slopes, products, _ = compare(cube, points, rotations, np.zeros(3))
    products = np.triu(products) + np.triu(products, 1).T
    scale = np.abs(slopes).max()
    assert abs(slopes[:3] @ axis) < 1e-4 * scale
    assert abs(slopes[3:] @ axis) < 1e-4 * scale
    assert np.abs(products[:3, :3] @ axis).max() < 1e-4 * products.max()


def test_components_of_weight_zero_are_only_in_the_curve(cube, points):
    rotations = oracles.random_matrices(np.random.default_rng(8), 1).astype(np.float64)
    weight = np.zeros(len(points), np.float32)
    slopes, products, curve = compare(cube, points, rotations, np.zeros(3), weight)
    assert not slopes.any()
    assert not products.any()
    assert curve.all()
