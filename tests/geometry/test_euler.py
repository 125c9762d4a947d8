import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.euler import euler_to_matrix, matrix_to_euler


def random_angles(count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    low, high = np.array([-180, 0.01, -180]), np.array([180, 179.99, 180])
    return rng.uniform(low, high, (count, 3))


def test_matrices_rotation_the_axes_about_z_then_new_y_then_new_z():
    angles = random_angles(50)
    # intrinsic rotations of the axes are the transpose of those of the object
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    assert np.allclose(euler_to_matrix(*angles.T), expected)


# Euler_angles2matrix of RELION: rows are the image's axes in the map
@pytest.mark.parametrize(
    ("angles", "matrix"),
    [
        ((0, 0, 0), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ((90, 0, 0), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
        ((0, 90, 0), [[0, 0, -1], [0, 1, 0], [1, 0, 0]]),
        ((0, 0, 90), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
        ((90, 90, 90), [[-1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ],
)
def test_right_angles_give_relions_matrices(angles, matrix):
    assert np.allclose(euler_to_matrix(*np.array(angles, float)), matrix, atol=1e-12)


def test_the_viewing_direction_has_longitude_rot_and_colatitude_tilt():
    rot, tilt, _ = np.deg2rad([40.0, 70.0, 10.0])
    direction = euler_to_matrix(*np.array([40.0, 70.0, 10.0]))[2]
    expected = [np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)]
    assert np.allclose(direction, expected)


def test_angles_survive_the_round_trip():
    angles = random_angles(200)
    assert np.allclose(matrix_to_euler(euler_to_matrix(*angles.T)), angles, atol=1e-6)


@pytest.mark.parametrize("tilt", [0.0, 180.0, 1e-9])
def test_at_the_poles_rot_is_zero_and_the_rotation_is_kept(tilt):
    matrix = euler_to_matrix(np.array([25.0, -170]), np.array(tilt), np.array([40.0, 30]))
    angles = matrix_to_euler(matrix)
    assert (angles[:, 0] == 0).all()
    assert np.allclose(euler_to_matrix(*angles.T), matrix, atol=1e-7)


def test_shapes_broadcast():
    assert euler_to_matrix(np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(3)).shape == (4, 3, 3, 3)
    assert matrix_to_euler(np.eye(3)).shape == (3,)


def test_single_precision_matrices_give_angles_to_a_thousandth_of_a_degree():
    angles = random_angles(200)
    found = matrix_to_euler(euler_to_matrix(*angles.T).astype(np.float32))
    again = euler_to_matrix(*found.T)
    assert np.abs(again - euler_to_matrix(*angles.T)).max() < np.deg2rad(1e-3)
