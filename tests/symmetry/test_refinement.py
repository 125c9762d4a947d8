import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from symmetry_phantoms import axis_error, known_map, off_axis

from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.symmetry.particle_extent import find_particle_extent
from napari_ini3d.symmetry.refinement import (
    Freedom,
    GroupAxes,
    curve_at,
    essential_operators,
    refine,
    refine_upwards,
    trusted_shells,
)
from napari_ini3d.symmetry.search_map import SearchMap, search_weight

LAST = 9


def start_off(known, search_map, degrees=3.0, voxels=1.0, seed=3):
    """Return axes some degrees and voxels beside the truth."""
    rng = np.random.default_rng(seed)
    rotation, shift = rng.normal(size=(2, 3))
    rotation *= np.deg2rad(degrees) / np.linalg.norm(rotation)
    shift *= voxels / np.linalg.norm(shift)
    frame = Rotation.from_rotvec(rotation).as_matrix() @ known.rotation
    centre = (known.centre + shift - search_map.offset) / search_map.side
    return GroupAxes(frame, centre)


def setting(group, **changes):
    known = known_map(group, **changes)
    search_map = SearchMap.of(known.volume, find_particle_extent(known.volume), 2.2)
    return known, search_map, essential_operators(symmetry_operators(group))


@pytest.mark.parametrize("group", ["C2", "C5", "D2", "D3", "T", "O"])
def test_axes_are_refined_to_the_truth(group):
    known, search_map, operators = setting(group)
    fit = refine(
        search_map, operators, start_off(known, search_map), search_weight(search_map, LAST)
    )
    fit = refine_upwards(search_map, operators, fit)
    centre = fit.centre * search_map.side + search_map.offset
    assert axis_error(group, fit.frame, known.rotation) < 0.1
    assert off_axis(group, centre - known.centre, known.rotation) < 0.05
    assert fit.score > 0.98


def test_noise_costs_little():
    known, search_map, operators = setting("D2", noise=1.0)
    fit = refine(
        search_map, operators, start_off(known, search_map), search_weight(search_map, LAST)
    )
    fit = refine_upwards(search_map, operators, fit)
    assert axis_error("D2", fit.frame, known.rotation) < 0.25
    assert len(fit.curve) - 1 < search_map.max_shell or fit.curve[-1] < 0.5


def test_a_centre_that_may_not_move_stays():
    known, search_map, operators = setting("D2")
    start = start_off(known, search_map)
    weight = search_weight(search_map, LAST)
    fit = refine(search_map, operators, start, weight, freedom=Freedom(centre=False))
    np.testing.assert_array_equal(fit.centre, start.centre)
    assert not np.allclose(fit.frame, start.frame)


def test_a_rotation_about_z_keeps_the_axis_z():
    known, search_map, operators = setting("D2")
    start = start_off(known, search_map)
    weight = search_weight(search_map, LAST)
    fit = refine(search_map, operators, start, weight, freedom=Freedom(rotation="around z"))
    np.testing.assert_allclose(fit.frame[:, 2], start.frame[:, 2], atol=1e-9)
    assert fit.score > refine(search_map, operators, start, weight, most_steps=0).score


def test_elements_that_one_axis_does_not_determine_stay():
    """The centre of Cn along its axis, and the rotation about it."""
    known, search_map, operators = setting("C5")
    start = start_off(known, search_map, degrees=0.5, voxels=0.2)
    fit = refine(search_map, operators, start, search_weight(search_map, LAST))
    along = known.rotation[:, 2]
    moved = (fit.centre - start.centre) * search_map.side
    assert abs(moved @ along) < 0.02
    rotation = Rotation.from_matrix(fit.frame @ start.frame.T).as_rotvec()
    assert abs(np.rad2deg(rotation @ along)) < 0.05


def test_the_curve_is_the_fsc_of_the_map_with_its_copies():
    known, search_map, operators = setting("C2", noise=0.5)
    axes = GroupAxes(known.rotation, (known.centre - search_map.offset) / search_map.side)
    curve = curve_at(search_map, operators, axes, LAST)
    rotated = known.rotation @ operators[0] @ known.rotation.T
    ramp = np.exp(2j * np.pi * search_map.ft.points @ axes.centre)
    ramp_rotated = np.exp(2j * np.pi * (search_map.ft.points @ rotated.T) @ axes.centre)
    here = search_map.ft.values * ramp
    copy = search_map.ft.read(rotated.T[None], search_map.ft.points)[0] * ramp_rotated
    for shell in range(2, LAST + 1):
        a, b = here[search_map.ft.shell == shell], copy[search_map.ft.shell == shell]
        expected = (a.conj() * b).real.sum() / np.linalg.norm(a) / np.linalg.norm(b)
        assert curve[shell] == pytest.approx(expected, abs=1e-3)


def test_inverses_and_the_identity_are_not_compared():
    operators = symmetry_operators("C5")
    kept = essential_operators(operators)
    assert len(kept) == 2
    assert len(essential_operators(symmetry_operators("I"), most=10)) == 10
    assert len(essential_operators(symmetry_operators("I"), most=99)) == 37


@pytest.mark.parametrize(
    ("curve", "last"), [([0, 1, 1, 0.9, 0.1, 0.9], 3), ([0, 1, 0, 0, 0], 3), ([0, 1, 1, 1, 1], 4)]
)
def test_shells_are_trusted_up_to_the_first_that_does_not_agree(curve, last):
    assert trusted_shells(np.array(curve, float)) == last
