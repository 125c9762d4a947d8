"""Rings of many subunits, and rings whose subunits do not show."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import SymmetryError
from napari_ini3d.geometry import symmetry_operators
from napari_ini3d.symmetry import align_symmetry, detect_symmetry, validate_symmetry

N, VOXEL = 64, 4.0
SUBUNIT = np.array([(23.0, 0.6, 1.0), (20.0, -0.5, 4.0), (22.0, 0.9, -3.0)])  # voxels
TILT = Rotation.from_rotvec([0.5, -0.7, 0.2]).as_matrix()


def ring(group, noise=0.0, weights=None):
    """Blobs under the operators of a group, tilted and off the middle."""
    operators = symmetry_operators(group)
    places = np.einsum("gij,mj->gmi", operators, SUBUNIT) @ TILT.T + (1.3, -0.6, 0.8)
    heights = np.ones(len(operators)) if weights is None else np.asarray(weights)
    line = np.arange(N) - N // 2
    z, y, x = (
        np.exp(-((line - places[..., i].reshape(-1, 1)) ** 2) / (2 * 1.1**2)) for i in (2, 1, 0)
    )
    volume = np.einsum("bz,by,bx->zyx", z * np.repeat(heights, len(SUBUNIT))[:, None], y, x)
    volume += noise * np.random.default_rng(3).normal(size=volume.shape)
    return volume.astype(np.float32)


@pytest.mark.parametrize(("group", "noise"), [("C26", 0.0), ("C29", 0.1), ("D26", 0.1)])
def test_a_ring_of_many_subunits_is_recognised(group, noise):
    report = detect_symmetry(ring(group, noise), voxel_size=VOXEL)
    assert report.group == group
    assert report.verdict.startswith(f"{group} holds to")


@pytest.mark.parametrize("group", ["C31", "D30"])
def test_the_axis_of_a_ring_of_many_subunits_is_aligned(group):
    found = align_symmetry(ring(group, 0.1), group, voxel_size=VOXEL)
    assert found.holds
    axes = found.transform.rotation @ TILT  # of the ring, in RELION's setting
    moved = axes @ symmetry_operators(group) @ axes.T
    apart = np.abs(moved[:, None] - symmetry_operators(group)).max(axis=(2, 3)).min(axis=1)
    assert apart.max() < 0.006  # 0.25° to either side


def test_where_only_every_other_subunit_is_equal_half_the_order_holds():
    report = detect_symmetry(ring("C26", 0.0, [1.0, 0.6] * 13), voxel_size=VOXEL)
    assert report.group == "C13"
    assert "C26 is pseudo-symmetry (only C13 holds)" in report.verdict


@pytest.mark.parametrize("group", ["C26", pytest.param("C31", marks=pytest.mark.thorough)])
def test_a_ring_with_one_odd_subunit_is_pseudo_symmetry_of_its_order(group):
    odd, fold = 3, int(group[1:])
    heights = np.ones(fold)
    heights[odd] = 0.5
    volume = ring(group, 0.1, heights)
    report = detect_symmetry(volume, voxel_size=VOXEL)
    assert report.group == "C1"
    assert f"{group} is pseudo-symmetry (no subgroup holds)" in report.verdict
    (found,) = (one for one in report.candidates if one.group == group)
    place = (np.array(found.pseudo.subunits[0].place) / VOXEL - (1.3, -0.6, 0.8)) @ TILT
    step = 360 / fold
    assert np.rad2deg(np.arctan2(place[1], place[0])) / step == pytest.approx(odd, abs=0.5)
    assert found.pseudo.subunits[0].difference < -0.2
    alignment = align_symmetry(volume, group, voxel_size=VOXEL)
    assert f"{group} is pseudo-symmetry" in alignment.verdict
    upright = alignment.apply(volume)
    assert (
        f"{group} is pseudo-symmetry" in validate_symmetry(upright, group, voxel_size=VOXEL).verdict
    )


def test_subunits_that_do_not_show_leave_a_ring_of_which_no_group_can_be_told():
    blurred = gaussian_filter(ring("C26"), 4)
    expected = "any rotation about one axis fits; subunits around it less than"
    report = detect_symmetry(blurred, voxel_size=VOXEL)
    assert report.group == "C1"
    assert expected in report.verdict
    alignment = align_symmetry(blurred, "C26", voxel_size=VOXEL)
    assert not alignment.holds
    assert expected in alignment.verdict


@pytest.mark.parametrize("name", ["ring", "ball"])
def test_of_a_featureless_map_detection_alignment_and_validation_say_the_same(name):
    z, y, x = np.indices((48, 48, 48)) - 24.0
    outside = {  # distance from a circle, or a ball's surface
        "ring": (np.hypot(x, y) - 11) ** 2 + z**2,
        "ball": np.maximum(np.sqrt(x**2 + y**2 + z**2) - 10, 0) ** 2,
    }[name]
    volume = np.exp(-outside / (2 * 2.0**2)).astype(np.float32)
    report = detect_symmetry(volume, voxel_size=VOXEL)
    words = "no point group can be told: any rotation"
    assert report.featureless
    assert report.verdict.lower().startswith(words)
    for group in ("C7", "D3"):
        alignment = align_symmetry(volume, group, voxel_size=VOXEL)
        validation = validate_symmetry(volume, group, voxel_size=VOXEL)
        for found in (alignment, validation):
            assert not found.holds
            assert f"{found.verdict}.".lower() == report.verdict.lower()
        assert validation.featureless


def test_a_ring_whose_subunits_show_is_validated():
    upright = align_symmetry(ring("C26"), "C26", voxel_size=VOXEL).apply(ring("C26"))
    validation = validate_symmetry(upright, "C26", voxel_size=VOXEL)
    assert validation.holds
    assert not validation.featureless
    assert not validate_symmetry(upright, "C25", voxel_size=VOXEL).holds


def test_an_order_that_the_voxels_cannot_show_is_refused_in_words():
    with pytest.raises(SymmetryError, match="C400 has a 400-fold axis, and the voxels of this map"):
        align_symmetry(ring("C26"), "C400", voxel_size=VOXEL)
