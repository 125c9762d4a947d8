import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import MapError
from napari_ini3d.fourier.nufft import FineMap
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.simulation import make_phantom

ROTATION = Rotation.from_euler("ZYZ", [31, 77, -140], degrees=True).as_matrix()
SHIFT = (1.3, -0.4, 0.6)


def noise_below_nyquist(n: int, share: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return white noise whose components end at a share of Nyquist, in all directions."""
    noise_ft = np.fft.fftn(np.random.default_rng(seed).standard_normal((n, n, n)))
    k = np.fft.fftfreq(n)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    noise_ft[length >= share / 2] = 0
    return np.fft.ifftn(noise_ft).real


def sum_of_waves(volume: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the sum of a map's Fourier components at points (N, 3), (x, y, z)."""
    n = volume.shape[0]
    volume_ft = np.fft.fftn(np.fft.ifftshift(volume)) / n**3
    k = np.fft.fftfreq(n, 1 / n)
    x, y, z = (np.exp(2j * np.pi / n * np.outer(points[:, axis], k)) for axis in range(3))
    lines = np.einsum("zyx,px->pzy", volume_ft, x)
    return np.einsum("pzy,py,pz->p", lines, y, z).real


def rotated_by_waves(volume: np.ndarray, rotation: np.ndarray, shift: tuple) -> np.ndarray:
    """Return what `rotate_map` should, and 0 for points outside the box."""
    n = volume.shape[0]
    z, y, x = np.indices((n, n, n)).reshape(3, -1) - n // 2
    source = np.stack([x, y, z], axis=1) @ rotation + np.array(shift)
    inside = (np.abs(source) <= n / 2).all(axis=1)
    return np.where(inside, sum_of_waves(volume, source), 0).reshape(n, n, n)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("n", [15, 16, 22])
def test_a_rotated_map_is_the_sum_of_its_waves_at_the_rotated_points(n):
    volume = noise_below_nyquist(n)
    expected = rotated_by_waves(volume, ROTATION, SHIFT)
    assert relative_error(rotate_map(volume, ROTATION, SHIFT), expected) < 5e-7


def test_components_at_nyquist_stand_for_both_signs():
    line = np.arange(16) - 8
    volume = np.broadcast_to(np.cos(np.pi * line), (16, 16, 16)).astype(np.float32)
    shifted = rotate_map(volume, np.eye(3), (0.3, 0, 0))[:, :, :15]
    assert np.allclose(shifted, np.cos(np.pi * (line[:15] + 0.3)), atol=1e-5)


def test_the_mean_of_rotated_copies_is_the_mean_of_each_alone():
    volume = noise_below_nyquist(16)
    rotations = Rotation.random(4, rng=np.random.default_rng(1)).as_matrix()
    expected = np.mean([rotate_map(volume, rotation, SHIFT) for rotation in rotations], axis=0)
    found = FineMap.of(volume).mean_of_rotated(rotations, SHIFT)
    assert relative_error(found, expected) < 1e-6


def test_nothing_is_read_beyond_the_radius_and_all_within_it():
    fine = FineMap.of(noise_below_nyquist(20))
    whole, part = fine.mean_of_rotated(ROTATION), fine.mean_of_rotated(ROTATION, radius=6)
    z, y, x = np.indices((20, 20, 20)) - 10
    inside = z**2 + y**2 + x**2 <= 36
    assert np.array_equal(part, np.where(inside, whole, 0))


def test_points_outside_the_box_are_zero_and_those_on_its_border_are_not():
    ones = np.ones((16, 16, 16), np.float32)
    shifted = rotate_map(ones, np.eye(3), (2, 0, 0))  # the last voxel read stands at x = 8
    assert np.allclose(shifted[:, :, :15], 1, atol=1e-5)
    assert (shifted[:, :, 15] == 0).all()


def test_a_rotated_phantom_equals_the_phantom_of_rotated_beads_up_to_three_quarters_of_nyquist():
    phantom = make_phantom("C1", diameter=90, domains=3)
    moved = type(phantom)(phantom.positions @ ROTATION.T, phantom.weights, phantom.bead_width, "C1")
    rotated = rotate_map(phantom.density(64, 3.0, 8.0), ROTATION)
    assert np.corrcoef(rotated.ravel(), moved.density(64, 3.0, 8.0).ravel())[0, 1] > 0.9999


def test_the_number_of_threads_changes_no_bit():
    volume = np.random.default_rng(0).standard_normal((24, 24, 24))
    one, three = (rotate_map(volume, ROTATION, SHIFT, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_rotation_that_is_no_number_is_refused(bad):
    with pytest.raises(MapError, match="not finite"):
        rotate_map(np.ones((8, 8, 8)), np.full((3, 3), bad))
