import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.geometry.point_groups import PointGroup, symmetry_axes, symmetry_operators
from napari_ini3d.symmetry.standard_setting import nearest_rotation, normaliser, shortest_rotation

GROUPS = ["C1", "C2", "C5", "D1", "D2", "D3", "D4", "D7", "T", "O", "I", "I1", "I3", "I4"]


def same_axes(group, frames):
    """Tell which frames (..., 3, 3) lay each axis on one of the same order."""
    axes = symmetry_axes(group)
    directions = np.array([axis.direction for axis in axes]).reshape(-1, 3)
    order = np.array([axis.order for axis in axes])
    aligned = np.abs(directions @ (frames @ directions.T)) > 1 - 1e-9  # (..., onto, axis)
    return (aligned & (order[:, None] == order)).any(axis=-2).all(axis=-1)


def angle(rotation):
    return np.rad2deg(Rotation.from_matrix(rotation).magnitude())


@pytest.mark.parametrize("group", GROUPS)
def test_the_rotation_lays_the_axes_onto_the_setting(group):
    frame = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    rotation = nearest_rotation(PointGroup.parse(group), frame)
    assert same_axes(group, rotation @ frame)


@pytest.mark.parametrize("group", GROUPS)
def test_equivalent_frames_give_the_same_rotation(group):
    rng = np.random.default_rng(2)
    parsed = PointGroup.parse(group)
    frame = Rotation.random(rng=rng).as_matrix()
    first = nearest_rotation(parsed, frame)
    for operator in symmetry_operators(group):
        np.testing.assert_allclose(nearest_rotation(parsed, frame @ operator), first, atol=1e-9)


@pytest.mark.parametrize("group", GROUPS)
def test_no_other_rotation_onto_the_setting_is_smaller(group):
    """All rotations about X, Y and Z in steps of 15° that lay the axes right are tried."""
    parsed = PointGroup.parse(group)
    frame = Rotation.from_euler("ZYZ", (15, 45, 30), degrees=True).as_matrix()
    smallest = angle(nearest_rotation(parsed, frame))
    steps = np.arange(0, 360, 15)
    rotations = Rotation.from_euler(
        "ZYZ", np.stack(np.meshgrid(steps, steps[:13], steps), -1).reshape(-1, 3), degrees=True
    ).as_matrix()
    fitting = rotations[same_axes(group, rotations @ frame)]
    assert all(angle(rotation) > smallest - 1e-6 for rotation in fitting)


def test_a_map_on_its_axes_stays_as_it_is():
    for group in GROUPS:
        np.testing.assert_allclose(
            nearest_rotation(PointGroup.parse(group), np.eye(3)), np.eye(3), atol=1e-12
        )


def test_upright_rotates_about_z_only():
    frame = Rotation.from_euler("z", 50, degrees=True).as_matrix()
    for group in ("D2", "D5", "O", "I"):
        rotation = nearest_rotation(PointGroup.parse(group), frame, upright=True)
        assert rotation[2, 2] == pytest.approx(1.0)
        assert same_axes(group, rotation @ frame)
    np.testing.assert_array_equal(
        nearest_rotation(PointGroup.parse("C5"), frame, upright=True), np.eye(3)
    )


@pytest.mark.parametrize("group", ["D2", "D3", "D4", "T", "O", "I", "I3"])
def test_the_normaliser_keeps_the_group(group):
    operators = symmetry_operators(group)
    for rotation in normaliser(PointGroup.parse(group)):
        for moved in rotation @ operators @ rotation.T:
            assert np.abs(operators - moved).max(axis=(1, 2)).min() < 1e-9


def test_opposite_vectors_are_aligned():
    z = np.array([0.0, 0, 1])
    np.testing.assert_allclose(shortest_rotation(z, -z) @ z, -z, atol=1e-12)
