import numpy as np
import pytest

from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.geometry.sampling import (
    angular_step,
    child_rotations,
    grids_of_unit,
    order_of_step,
    random_rotation,
    rotation_grid,
    rotations_of_unit,
    shift_grid,
)


def angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angle (degrees) of the rotation between pairs of matrices."""
    trace = np.einsum("...ij,...ij->...", first.astype(float), second.astype(float))
    return np.rad2deg(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_grid_holds_distinct_rotations(order):
    grid = rotation_grid(order)
    assert grid.matrices.shape == (72 * 8**order, 3, 3)
    assert grid.n_psi == 6 * 2**order
    products = np.einsum("rij,rkj->rik", grid.matrices, grid.matrices)
    assert np.allclose(products, np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(grid.matrices), 1, atol=1e-5)
    some = grid.matrices[:: 8**order]
    apart = angle_between(some[:, None], grid.matrices[None])
    nearest = np.sort(apart, axis=1)[:, 1]
    assert nearest.min() > 0.5 * angular_step(order)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_no_rotation_is_far_from_the_grid(order):
    rng = np.random.default_rng(0)
    grid = rotation_grid(order).matrices
    some = np.stack([random_rotation(rng) for _ in range(100)])
    nearest = angle_between(some[:, None], grid[None]).min(axis=1)
    assert nearest.max() < 1.1 * angular_step(order)


def test_rotations_of_one_direction_share_their_third_row():
    grid = rotation_grid(1)
    directions = grid.matrices[:, 2].reshape(-1, grid.n_psi, 3)
    assert np.allclose(directions, directions[:, :1], atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
def test_every_fine_rotation_is_the_child_of_one_coarse_rotation_near_it(order):
    coarse, fine = rotation_grid(order), rotation_grid(order + 1)
    children = child_rotations(np.arange(len(coarse.matrices)), coarse.n_psi)
    assert children.shape == (len(coarse.matrices), 8)
    assert np.array_equal(np.sort(children.ravel()), np.arange(len(fine.matrices)))
    apart = angle_between(coarse.matrices[:, None], fine.matrices[children])
    assert apart.max() < angular_step(order)
    assert apart.mean() < 0.6 * angular_step(order)


def test_children_keep_the_shape_of_their_parents():
    assert child_rotations(np.zeros((3, 2), np.int64), 6).shape == (3, 2, 8)


def test_a_rotated_grid_keeps_its_distances():
    grid, rotation = rotation_grid(0), random_rotation(np.random.default_rng(2))
    rotated = grid.rotated(rotation)
    assert rotated.matrices.dtype == np.float32
    assert np.allclose(rotated.matrices, grid.matrices @ rotation, atol=1e-6)
    before = angle_between(grid.matrices[:1], grid.matrices[1:])
    assert np.allclose(angle_between(rotated.matrices[:1], rotated.matrices[1:]), before, atol=0.1)


def test_steps_and_orders_belong_together():
    assert [angular_step(order) for order in range(5)] == [60, 30, 15, 7.5, 3.75]
    assert [order_of_step(angular_step(order)) for order in range(5)] == list(range(5))
    assert order_of_step(100.0) == 0
    assert order_of_step(14.0) == 2


def test_shifts_fill_a_disk_from_its_centre():
    shifts = shift_grid(3.0, 1.0)
    length = np.hypot(*shifts.T)
    assert tuple(shifts[0]) == (0, 0)
    assert (np.diff(length) >= 0).all()
    assert len(shifts) == len(np.unique(shifts, axis=0)) == 29  # lattice points within 3
    assert length.max() == 3
    assert np.allclose(shifts.sum(axis=0), 0)
    assert shifts.dtype == np.float32


@pytest.mark.parametrize(("extent", "step", "count"), [(0, 1, 1), (0.9, 1, 1), (0.3, 0.1, 29)])
def test_small_extents_have_few_shifts(extent, step, count):
    assert shift_grid(extent, step).shape == (count, 2)


def test_random_rotations_are_rotations_spread_evenly():
    rng = np.random.default_rng(5)
    found = np.stack([random_rotation(rng) for _ in range(4000)])
    assert np.allclose(np.einsum("rij,rkj->rik", found, found), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(found), 1)
    # of a uniform rotation each element has mean 0, variance 1/3, fourth moment 1/5
    error = 4 / np.sqrt(4000)
    assert np.abs(found.mean(axis=0)).max() < error
    assert np.abs((found**2).mean(axis=0) - 1 / 3).max() < error
    assert np.abs((found**4).mean(axis=0) - 1 / 5).max() < error
    # the angle of a uniform rotation has density (1 - cos a) / pi
    angle = np.deg2rad(angle_between(found, np.eye(3)))
    assert angle.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.05)


def test_equal_seeds_give_equal_rotations():
    first, again = (random_rotation(np.random.default_rng(8)) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("group", ["C1", "C4", "D2", "T", "O", "I"])
def test_every_rotation_has_an_equivalent_as_near_to_the_grid_of_the_unit_as_to_the_full_grid(
    group,
):
    rng = np.random.default_rng(3)
    rotation, some = random_rotation(rng), np.stack([random_rotation(rng) for _ in range(50)])
    unit, _ = grids_of_unit(1, rotation, group)
    full = rotation_grid(1).rotated(rotation)
    equivalent = some[:, None] @ symmetry_operators(group)  # (N, G, 3, 3)
    near = angle_between(equivalent[:, :, None], unit.matrices).min((1, 2))  # (N,)
    assert (near < 1.1 * angular_step(1)).all()
    in_full = angle_between(equivalent[:, :, None], full.matrices).min(2)  # (N, G)
    assert near.mean() < 1.02 * in_full.mean()


@pytest.mark.parametrize(("group", "share"), [("C1", 1), ("D7", 14), ("O", 24), ("I", 60)])
def test_the_grid_of_a_unit_is_the_smaller_the_more_operators_there_are(group, share):
    rotation = random_rotation(np.random.default_rng(4))
    unit, full = grids_of_unit(3, rotation, group)[0], rotation_grid(3)
    assert len(full.matrices) / share <= len(unit.matrices) < 2 * len(full.matrices) / share
    expected = rotations_of_unit(3, group)
    assert len(unit.matrices) == pytest.approx(expected, rel=0.2)


def test_children_of_a_rotation_of_the_unit_follow_one_another():
    coarse, fine = grids_of_unit(1, random_rotation(np.random.default_rng(5)), "D2")
    children = fine.matrices.reshape(-1, 8, 3, 3)
    apart = angle_between(coarse.matrices[:, None], children)
    assert len(children) == len(coarse.matrices)
    assert apart.max() < angular_step(1)
    assert apart.mean() < 0.6 * angular_step(1)
