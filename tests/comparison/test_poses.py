"""Poses of two files compared, with a rotation, a shift, a hand and outliers that are known."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.comparison.poses import compare_poses
from napari_ini3d.errors import StarError, SymmetryError
from napari_ini3d.geometry import (
    RigidTransform,
    euler_to_matrix,
    flip_angles,
    matrix_to_euler,
    rotate_poses,
    symmetry_operators,
)
from napari_ini3d.particles import ParticlePoses

ROTATION = Rotation.from_euler("xyz", [31, -72, 128], degrees=True).as_matrix()
PLANTED = RigidTransform(ROTATION, np.array([7.5, -4.0, 11.0]))  # of the first map to the second


def random_poses(number=400, seed=0):
    rng = np.random.default_rng(seed)
    return ParticlePoses(
        source="a.star",
        stack_names=("stack.mrcs",),
        stack_index=np.zeros(number, np.int32),
        image_index=np.arange(number, dtype=np.int32),
        angles=matrix_to_euler(Rotation.random(number, rng=rng).as_matrix()),
        origins=rng.normal(0, 4, (number, 2)),
    )


def changed(poses, **values):
    return dataclasses.replace(poses, source="b.star", **values)


def moved(poses, transform=PLANTED):
    """The poses for the rotated and shifted map, by the function that rotates particles."""
    angles, origins = rotate_poses(poses.angles, poses.origins, transform)
    return changed(poses, angles=angles, origins=origins)


def mirrored(poses):
    return changed(poses, angles=flip_angles(poses.angles))


def disturbed(poses, share, seed=1):
    """Poses of which a share is random, and which these are."""
    wrong = np.zeros(len(poses), bool)
    wrong[: round(share * len(poses))] = True
    other = random_poses(len(poses), seed)
    return changed(
        poses,
        angles=np.where(wrong[:, None], other.angles, poses.angles),
        origins=np.where(wrong[:, None], 3 * other.origins, poses.origins),
    ), wrong


def at_copies(poses, group, seed=2):
    """The poses, each at a random one of the equivalent poses of a point group."""
    operators = symmetry_operators(group)
    choice = np.random.default_rng(seed).integers(len(operators), size=len(poses))
    matrices = euler_to_matrix(*poses.angles.T) @ operators[choice]
    return changed(poses, angles=matrix_to_euler(matrices))


def taken(poses, index):
    return changed(
        poses,
        stack_index=poses.stack_index[index],
        image_index=poses.image_index[index],
        angles=poses.angles[index],
        origins=poses.origins[index],
    )


def assert_all_zero(found, atol=1e-4):
    np.testing.assert_allclose(found.angle, 0, atol=atol)
    np.testing.assert_allclose(found.out_of_plane, 0, atol=atol)
    np.testing.assert_allclose(found.shift, 0, atol=atol)


def test_poses_compared_with_themselves_have_no_error():
    found = compare_poses(random_poses(), random_poses())
    assert_all_zero(found)
    assert found.transform.angle < 1e-6
    np.testing.assert_allclose(found.transform.shift, 0, atol=1e-6)
    assert not found.mirrored
    assert found.hand_is_clear
    assert found.n_agreeing == len(found) == 400


@pytest.mark.parametrize("hand", [False, True])
def test_a_common_rotation_shift_and_hand_are_found_among_forty_percent_of_random_poses(hand):
    first = random_poses()
    second = moved(mirrored(first) if hand else first)
    second, wrong = disturbed(second, 0.4)
    found = compare_poses(first, second)
    assert found.mirrored == hand
    assert found.hand_is_clear
    np.testing.assert_allclose(found.angle[~wrong], 0, atol=1e-3)
    np.testing.assert_allclose(found.out_of_plane[~wrong], 0, atol=1e-3)
    np.testing.assert_allclose(found.shift[~wrong], 0, atol=1e-2)
    assert np.median(found.angle[wrong]) > 90
    assert np.median(found.shift[wrong]) > 8
    expected = PLANTED.inverse()
    expected = expected.mirrored() if hand else expected
    np.testing.assert_allclose(found.transform.rotation, expected.rotation, atol=1e-5)
    np.testing.assert_allclose(found.transform.shift, expected.shift, atol=0.01)


def test_the_transform_found_brings_the_second_poses_to_the_first():
    first = random_poses()
    found = compare_poses(first, moved(mirrored(first)))
    second = mirrored(moved(mirrored(first)))
    angles, origins = rotate_poses(second.angles, second.origins, found.transform)
    np.testing.assert_allclose(
        euler_to_matrix(*angles.T), euler_to_matrix(*first.angles.T), atol=1e-6
    )
    np.testing.assert_allclose(origins, first.origins, atol=1e-5)


def test_a_rotation_is_found_among_ninety_percent_of_random_poses():
    first = random_poses()
    second, wrong = disturbed(moved(first), 0.9)
    found = compare_poses(first, second)
    np.testing.assert_allclose(found.angle[~wrong], 0, atol=0.1)


def test_wrong_origins_of_a_third_of_the_particles_do_not_move_the_others():
    first = random_poses()
    origins = moved(first).origins.copy()
    origins[:133] += [30, -20]
    found = compare_poses(first, changed(moved(first), origins=origins))
    assert np.median(found.shift[133:]) < 0.3
    assert np.median(found.shift[:133]) == pytest.approx(np.hypot(30, 20), abs=0.5)


def test_small_errors_have_their_size():
    first = random_poses(2000)
    axes = np.random.default_rng(3).standard_normal((2000, 3))
    axes *= np.deg2rad(5) / np.linalg.norm(axes, axis=1, keepdims=True)
    matrices = Rotation.from_rotvec(axes).as_matrix() @ euler_to_matrix(*first.angles.T)
    found = compare_poses(first, moved(changed(first, angles=matrix_to_euler(matrices))))
    assert found.angle.mean() == pytest.approx(5, abs=0.05)
    # the view moves by 5° times the sine of the angle between axis and view, of mean pi / 4
    assert found.out_of_plane.mean() == pytest.approx(5 * np.pi / 4, abs=0.1)


def test_an_error_in_the_plane_of_the_image_is_none_out_of_it():
    first = random_poses()
    angles = first.angles + np.array([0, 0, 8.0]) * np.random.default_rng(4).choice(
        [-1, 1], size=(400, 1)
    )
    found = compare_poses(first, changed(first, angles=angles))
    assert np.median(found.angle) == pytest.approx(8, abs=0.5)
    assert np.median(found.out_of_plane) < 1


@pytest.mark.parametrize("group", ["C3", "D2", "T", "O", "I1", "I3"])
@pytest.mark.parametrize("hand", [False, True])
def test_equivalent_poses_have_no_error_modulo_their_point_group(group, hand):
    first = random_poses()
    second = at_copies(first, group)
    found = compare_poses(
        first, moved(mirrored(second) if hand else second), symmetry=group.lower()
    )
    assert_all_zero(found, atol=1e-3)
    assert (found.symmetry, found.setting, found.mirrored) == (group, "first", hand)


def test_equivalent_poses_are_wrong_without_their_point_group():
    first = random_poses()
    found = compare_poses(first, moved(at_copies(first, "D2")))
    assert np.median(found.angle) > 90


@pytest.mark.parametrize("group", ["D2", "T", "I3"])
@pytest.mark.parametrize("hand", [False, True])
def test_the_point_group_may_be_in_the_setting_of_the_second_file(group, hand):
    second = random_poses()
    first = moved(at_copies(second, group))
    found = compare_poses(mirrored(first) if hand else first, second, symmetry=group)
    assert_all_zero(found, atol=1e-3)
    assert (found.setting, found.mirrored) == ("second", hand)


def test_a_point_group_with_outliers_and_shift_is_found():
    first = random_poses()
    second, wrong = disturbed(moved(mirrored(at_copies(first, "D2"))), 0.4)
    found = compare_poses(first, second, symmetry="D2")
    assert found.mirrored
    np.testing.assert_allclose(found.angle[~wrong], 0, atol=0.05)
    assert np.median(found.shift[~wrong]) < 0.02
    assert np.median(found.angle[wrong]) == pytest.approx(found.random_angle, abs=8)


def test_no_pose_of_an_octahedral_map_is_further_off_than_half_of_its_largest_gap():
    first, second = random_poses(seed=5), random_poses(seed=6)
    found = compare_poses(first, second, symmetry="O")
    assert found.angle.max() < 62.8  # the largest distance to the rotations of a cube
    assert found.out_of_plane.max() < 54.8  # between a 4-fold and a 3-fold axis


def test_the_angle_of_random_poses_is_that_of_the_literature():
    found = compare_poses(random_poses(), random_poses())
    # the density of the angle is (1 - cos) / pi, with the median where t - sin t = pi / 2
    assert np.deg2rad(found.random_angle) - np.sin(np.deg2rad(found.random_angle)) == (
        pytest.approx(np.pi / 2, abs=0.01)
    )


def test_random_poses_leave_the_hand_open():
    found = compare_poses(random_poses(seed=5), random_poses(seed=6))
    assert not found.hand_is_clear


def test_a_single_particle_agrees_with_itself_and_leaves_the_hand_open():
    first = random_poses(1)
    found = compare_poses(first, moved(first))
    assert_all_zero(found)
    assert not found.hand_is_clear
    assert not found.mirrored


def test_particles_are_matched_by_name_whatever_their_order_and_number():
    first = random_poses()
    order = np.random.default_rng(7).permutation(400)[:300]
    found = compare_poses(taken(first, np.arange(350)), taken(moved(first), order))
    assert_all_zero(found)
    assert len(found) + found.n_first_only == 350
    assert len(found) + found.n_second_only == 300
    np.testing.assert_array_equal(order[found.second_index], found.first_index)


def test_stacks_in_another_folder_are_matched_by_their_file_name():
    first = random_poses()
    found = compare_poses(first, changed(first, stack_names=("Extract/job007/stack.mrcs",)))
    assert len(found) == 400


def test_stacks_with_one_file_name_in_two_folders_are_not_confused():
    stack = np.arange(400, dtype=np.int32) % 2
    first = changed(random_poses(), stack_names=("a/s.mrcs", "b/s.mrcs"), stack_index=stack)
    assert_all_zero(compare_poses(first, first))
    with pytest.raises(StarError, match="no image in common"):
        compare_poses(first, changed(first, stack_names=("c/s.mrcs", "d/s.mrcs")))


def test_files_without_common_particles_are_refused_with_a_name_of_each():
    first = random_poses()
    second = changed(first, stack_names=("other.mrcs",))
    with pytest.raises(StarError, match=r"000001@stack\.mrcs and 000001@other\.mrcs"):
        compare_poses(first, second)


def test_an_image_that_is_listed_twice_is_refused():
    first = random_poses()
    with pytest.raises(StarError, match=r"b\.star: the image 1@stack\.mrcs is listed twice"):
        compare_poses(first, taken(first, np.array([0, 1, 0])))


def test_an_unknown_point_group_is_refused():
    with pytest.raises(SymmetryError, match="unknown point group"):
        compare_poses(random_poses(), random_poses(), symmetry="X2")
