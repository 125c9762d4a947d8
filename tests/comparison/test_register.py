from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.comparison.register import register_maps
from napari_ini3d.errors import MapError
from napari_ini3d.fourier.resample import mirror_map
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.geometry.sampling import uniform_rotations
from napari_ini3d.simulation import make_phantom

N, VOXEL_SIZE = 48, 4.0
PHANTOM = make_phantom("C1", seed=3)


def moved_pair(seed: int, noise: float = 0.0) -> tuple[np.ndarray, ...]:
    """Return a map, the same rotated and shifted (from the beads), the rotation and the shift."""
    rng = np.random.default_rng(seed)
    rotation, shift = Rotation.random(rng=rng).as_matrix(), rng.normal(0, 1.5, 3)
    moved = replace(PHANTOM, positions=(PHANTOM.positions - shift * VOXEL_SIZE) @ rotation.T)
    pair = [p.density(N, VOXEL_SIZE, 9.0) for p in (PHANTOM, moved)]
    first, second = (p + noise * p.std() * rng.standard_normal(p.shape) for p in pair)
    return first, second, rotation, shift


def degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(first @ second.T).magnitude()))


@pytest.mark.parametrize("seed", [0, 1])
def test_rotation_and_shift_of_a_rotated_phantom_are_found(seed):
    first, second, rotation, shift = moved_pair(seed)
    found = register_maps(second, first)
    assert degrees_between(found.transform.rotation, rotation) < 0.1
    assert np.abs(found.transform.shift - shift).max() < 0.05
    assert not found.mirrored
    assert found.score > 0.99


def test_the_other_hand_is_recognised():
    first, second, rotation, shift = moved_pair(2)
    found = register_maps(second, mirror_map(first))
    assert found.mirrored
    assert degrees_between(found.transform.rotation, rotation) < 0.1
    assert np.abs(found.transform.shift - shift).max() < 0.05


def test_one_hand_only_is_tried_where_that_is_asked_for():
    first, second, _, _ = moved_pair(2)
    found = register_maps(second, mirror_map(first), both_hands=False)
    assert not found.mirrored
    assert found.score < 0.9


def test_noisy_maps_are_registered_within_a_degree():
    first, second, rotation, shift = moved_pair(4, noise=1.0)
    found = register_maps(second, first)
    assert degrees_between(found.transform.rotation, rotation) < 1.0
    assert np.abs(found.transform.shift - shift).max() < 0.2


def test_a_symmetric_particle_is_registered_up_to_its_symmetry():
    phantom = make_phantom("D3", diameter=130, domains=2)
    rotation = Rotation.from_euler("ZYZ", [50, 60, 70], degrees=True).as_matrix()
    rotated = replace(phantom, positions=phantom.positions @ rotation.T)
    pair = [p.density(N, VOXEL_SIZE, 9.0) for p in (rotated, phantom)]
    found = register_maps(*pair)
    apart = [
        degrees_between(found.transform.rotation, rotation @ g) for g in symmetry_operators("D3")
    ]
    assert min(apart) < 0.1


def test_apply_aligns_the_map_to_the_reference():
    first, second, _, _ = moved_pair(5)
    aligned = register_maps(second, mirror_map(first)).apply(mirror_map(first))
    assert np.corrcoef(aligned.ravel(), second.ravel())[0, 1] > 0.998


def test_the_same_maps_give_the_same_result():
    first, second, _, _ = moved_pair(6, noise=1.0)
    once, again = (register_maps(second, first, both_hands=False) for _ in range(2))
    assert np.array_equal(once.transform.rotation, again.transform.rotation)
    assert np.array_equal(once.transform.shift, again.transform.shift)


def test_uniform_rotations_leave_no_gap():
    grid = uniform_rotations(2000)
    trials = Rotation.random(300, rng=np.random.default_rng(0)).as_matrix()
    trace = np.einsum("tij,gij->tg", trials, grid).max(axis=1)
    nearest = np.rad2deg(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    assert nearest.max() < 21
    assert np.allclose(np.linalg.det(grid), 1)


def with_nan() -> np.ndarray:
    density = np.random.default_rng(0).standard_normal((16, 16, 16))
    density[3, 3, 3] = np.nan
    return density


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (with_nan(), "NaN or infinite"),
        (np.ones((16, 16, 16)), "constant"),
        (np.ones((16, 16, 18)), "two cubes of one size"),
        (np.ones((20, 20, 20)), "two cubes of one size"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(bad, message):
    good = np.random.default_rng(1).standard_normal((16, 16, 16))
    with pytest.raises(MapError, match=message):
        register_maps(good, bad)
