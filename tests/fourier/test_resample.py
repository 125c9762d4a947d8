from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import MapError
from napari_ini3d.fourier.fsc import compute_fsc
from napari_ini3d.fourier.resample import mirror_map, resize_map, rotate_map
from napari_ini3d.simulation import make_phantom

PHANTOM = make_phantom("C1", diameter=90, domains=3)
VOXEL_SIZE = 3.0


def band(resolution_in_voxels: float) -> float:
    return resolution_in_voxels * VOXEL_SIZE


def test_a_rotated_map_is_the_map_of_the_rotated_beads():
    rotation = Rotation.from_euler("ZYZ", [31, 77, -140], degrees=True).as_matrix()
    shift = np.array([1.3, -2.4, 0.6])
    moved = replace(PHANTOM, positions=(PHANTOM.positions - shift * VOXEL_SIZE) @ rotation.T)
    expected = moved.density(48, VOXEL_SIZE, band(8 / 3))
    rotated = rotate_map(PHANTOM.density(48, VOXEL_SIZE, band(8 / 3)), rotation, shift)
    assert np.corrcoef(rotated.ravel(), expected.ravel())[0, 1] > 0.9995
    assert compute_fsc(rotated, expected)[1:17].min() > 0.999
    assert np.linalg.norm(rotated) == pytest.approx(np.linalg.norm(expected), rel=2e-3)


def test_turning_back_gives_the_map_again():
    density = PHANTOM.density(48, VOXEL_SIZE, band(3))
    rotation = Rotation.from_euler("XYZ", [20, 40, 60], degrees=True).as_matrix()
    again = rotate_map(rotate_map(density, rotation), rotation.T)
    assert np.abs(again - density).max() < 0.01 * density.max()


def test_a_quarter_rotation_about_z_carries_x_to_y():
    density = np.zeros((16, 16, 16), np.float32)
    density[8, 8, 12] = 1  # at x = 4
    rotated = rotate_map(density, Rotation.from_euler("z", 90, degrees=True).as_matrix())
    assert np.unravel_index(rotated.argmax(), rotated.shape) == (8, 12, 8)


def test_a_shift_is_taken_off_before_the_turn():
    density = np.zeros((16, 16, 16), np.float32)
    density[8, 8, 12] = 1
    assert rotate_map(density, np.eye(3), (4, 0, 0))[8, 8, 8] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("n", [15, 16])
def test_standing_still_changes_nothing(n):
    density = np.random.default_rng(0).standard_normal((n, n, n))
    assert np.allclose(rotate_map(density, np.eye(3)), density, atol=2e-3)


def test_nothing_comes_in_from_the_other_side_of_the_box():
    density = np.zeros((16, 16, 16), np.float32)
    density[8, 8, 14] = 1
    assert np.abs(rotate_map(density, np.eye(3), (-8, 0, 0))).max() < 0.05


@pytest.mark.parametrize(("small", "large"), [(32, 48), (33, 48), (32, 47), (33, 51)])
def test_a_band_limited_map_is_the_same_on_a_coarser_and_a_finer_grid(small, large):
    length = 120.0
    centre = np.array([7.0, -4.0, 2.0])

    def blob(n: int) -> np.ndarray:
        line = (np.arange(n) - n // 2) * length / n
        x, y, z = (np.exp(-((line - c) ** 2) / 2 / 9.0**2) for c in centre)
        return z[:, None, None] * y[:, None] * x

    assert np.allclose(resize_map(blob(small), large), blob(large), atol=1e-4)
    assert np.allclose(resize_map(blob(large), small), blob(small), atol=1e-4)


def test_padding_and_cropping_keep_every_sample():
    density = np.random.default_rng(0).standard_normal((12, 12, 12))
    assert np.allclose(resize_map(resize_map(density, 20), 12), density, atol=1e-5)


@pytest.mark.parametrize("n", [8, 9])
def test_the_mirror_swaps_up_and_down_about_the_centre(n):
    density = np.zeros((n, n, n), np.float32)
    density[n // 2 + 2, n // 2 + 1, n // 2 - 1] = 1
    mirrored = mirror_map(density)
    assert mirrored[n // 2 - 2, n // 2 + 1, n // 2 - 1] == 1
    assert np.array_equal(mirror_map(mirrored), density)


def test_a_map_that_is_not_a_cube_is_refused():
    with pytest.raises(MapError, match="expected a cube"):
        rotate_map(np.zeros((4, 4, 5)), np.eye(3))
