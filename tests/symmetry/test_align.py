import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from symmetry_phantoms import VOXEL, axis_error, known_map, off_axis

from napari_ini3d.errors import MapError, SymmetryError
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.symmetry.align import align_symmetry


def align(volume, group, **options):
    return align_symmetry(volume, group, voxel_size=VOXEL, **options)


@pytest.mark.parametrize(
    ("group", "noise"),
    [("C2", 0.0), ("O", 0.0)] + [(group, 1.0) for group in ("C2", "C7", "D2", "D7", "T", "O", "I")],
)
def test_axes_and_centre_are_found(group, noise):
    known = known_map(group, noise=noise)
    found = align(known.volume, group)
    shift = np.array(found.transform.shift) / VOXEL
    assert axis_error(group, found.transform.rotation.T, known.rotation) < 0.25
    assert off_axis(group, shift - known.centre, known.rotation) < 0.25
    assert found.holds
    assert found.verdict.startswith(f"{group} holds to")


def test_the_aligned_map_is_the_phantom_on_its_axes():
    """Up to the rotations that lay the axes of D2 on each other."""
    known, upright = known_map("D2"), known_map("D2", rotated=False)
    aligned = align(known.volume, "D2").apply(known.volume)
    copies = [rotate_map(upright.volume, rotation) for rotation in symmetry_operators("O")[::4]]
    copies += [rotate_map(upright.volume, rotation) for rotation in symmetry_operators("O")[1::4]]
    best = max(np.corrcoef(copy.ravel(), aligned.ravel())[0, 1] for copy in copies)
    assert best > 0.995


def test_an_aligned_map_is_left_where_it_is():
    known = known_map("D3", rotated=False)
    found = align(known.volume, "D3")
    assert np.rad2deg(Rotation.from_matrix(found.transform.rotation).magnitude()) < 0.1
    assert np.linalg.norm(found.transform.shift) < 0.1 * VOXEL


def test_the_shift_of_a_single_axis_lies_across_it():
    found = align(known_map("C4").volume, "C4")
    (axis,) = found.axes
    assert abs(np.dot(found.transform.shift, axis.direction)) < 1e-3


def test_keep_centre_does_not_shift():
    known = known_map("D2", rotated=False)
    rotated = rotate_map(known.volume, Rotation.from_euler("zyz", (20, 30, 40), True).as_matrix())
    found = align(rotated, "D2", keep_centre=True)
    np.testing.assert_allclose(found.transform.shift, 0, atol=1e-9)
    aligned = found.apply(rotated)
    again = align(aligned, "D2")
    assert np.rad2deg(Rotation.from_matrix(again.transform.rotation).magnitude()) < 0.2


def test_only_rot_rotates_about_z():
    known = known_map("D3", rotated=False)
    rotated = rotate_map(known.volume, Rotation.from_euler("z", 17, degrees=True).as_matrix())
    found = align(rotated, "D3", only_rot=True)
    assert found.transform.rotation[2, 2] == pytest.approx(1.0)
    assert (
        axis_error("D3", found.transform.rotation, Rotation.from_euler("z", -17, True).as_matrix())
        < 0.1
    )


def test_a_group_the_map_does_not_have_does_not_hold():
    found = align(known_map("C3", noise=0.5).volume, "D2")
    assert not found.holds
    assert found.score < 0.5
    assert "does not hold" in found.verdict


def test_aligning_twice_gives_the_same_bits():
    volume = known_map("O", noise=1.0).volume
    first, second = align(volume, "O"), align(volume, "O")
    np.testing.assert_array_equal(first.transform.rotation, second.transform.rotation)
    np.testing.assert_array_equal(first.transform.shift, second.transform.shift)


def test_two_threads_align_with_the_same_bits_as_one():
    volume = known_map("D3", noise=1.0).volume
    one, two = (align(volume, "D3", threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.transform.rotation, two.transform.rotation)
    np.testing.assert_array_equal(one.transform.shift, two.transform.shift)
    np.testing.assert_array_equal(one.fsc, two.fsc)


def test_a_map_after_a_small_rotation_is_aligned_to_the_same_place():
    """Of the equivalent rotations the nearest is taken: a small one does not change which."""
    known = known_map("D2")
    small = Rotation.from_euler("xyz", (2, -1, 2), degrees=True).as_matrix()
    first = align(known.volume, "D2").apply(known.volume)
    moved = rotate_map(known.volume, small)
    second = align(moved, "D2").apply(moved)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.995


def test_c1_has_nothing_to_align():
    with pytest.raises(SymmetryError, match="no axes to align"):
        align(known_map("C1").volume, "c1")


def test_a_map_that_is_no_cube_is_refused():
    with pytest.raises(MapError, match="expected a cube"):
        align(np.zeros((16, 16, 18)), "D2")
