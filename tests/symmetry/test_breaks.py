"""Groups of which only a subgroup holds: detection, alignment and validation say the same."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from symmetry_phantoms import VOXEL, known_map

from napari_ini3d.geometry import RigidTransform
from napari_ini3d.geometry.point_groups import PointGroup, symmetry_operators
from napari_ini3d.symmetry import align_symmetry, detect_symmetry, validate_symmetry
from napari_ini3d.symmetry.breaks import find_break
from napari_ini3d.symmetry.search import Search
from napari_ini3d.symmetry.subgroup import name_of, subgroups

MATES = (0, 7)  # of D7: copies that a 2-fold brings to each other


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("C6", {"C6": 1, "C3": 1, "C2": 1, "C1": 1}),
        ("D4", {"D4": 1, "C4": 1, "D2": 2, "C2": 5, "C1": 1}),
        ("D7", {"D7": 1, "C7": 1, "C2": 7, "C1": 1}),
        ("T", {"T": 1, "D2": 1, "C3": 4, "C2": 3, "C1": 1}),
        ("O", {"O": 1, "T": 1, "D4": 3, "D3": 4, "D2": 4, "C4": 3, "C3": 4, "C2": 9, "C1": 1}),
        ("I1", {"I": 1, "T": 5, "D5": 6, "D3": 10, "D2": 5, "C5": 6, "C3": 10, "C2": 15, "C1": 1}),
    ],
)
def test_every_subgroup_is_listed_once_by_size_and_named(group, expected):
    operators = symmetry_operators(group)
    found = subgroups(PointGroup.parse(group))
    assert Counter(name_of(operators[members]) for members in found) == expected
    sizes = [len(members) for members in found]
    assert sizes == sorted(sizes, reverse=True)


def flatten(volume):
    """Return a map without noise in its solvent, as reconstructions are."""
    radius = np.linalg.norm(np.indices(volume.shape) - len(volume) // 2, axis=0)
    return np.where(radius < 0.4 * len(volume), volume, 0).astype(np.float32)


CASES = {
    "one subunit of C4 at 60 %": ("C4", {"scales": {0: 0.6}}, "C1", {90, 180}),
    "a pair of C4 at 60 %": ("C4", {"scales": {0: 0.6, 2: 0.6}}, "C2", {90}),
    "a pair of D7 at 60 %": (
        "D7",
        {"scales": dict.fromkeys(MATES, 0.6)},
        "C2",
        {51, 103, 154, 180},
    ),
}


@pytest.mark.parametrize(
    ("case", "noise"),
    [
        ("one subunit of C4 at 60 %", "strong"),
        ("a pair of C4 at 60 %", "flat solvent"),
        ("a pair of D7 at 60 %", "strong"),
        pytest.param("one subunit of C4 at 60 %", "flat solvent", marks=pytest.mark.thorough),
        pytest.param("a pair of C4 at 60 %", "strong", marks=pytest.mark.thorough),
        pytest.param("a pair of D7 at 60 %", "flat solvent", marks=pytest.mark.thorough),
    ],
)
def test_detection_alignment_and_validation_name_the_pseudo_symmetry_alike(case, noise):
    group, changes, truth, angles = CASES[case]
    level = {"strong": 1.0, "flat solvent": 0.3}[noise]
    volume = known_map(group, noise=level, seed=2, **changes).volume
    volume = flatten(volume) if noise == "flat solvent" else volume
    report = detect_symmetry(volume, voxel_size=VOXEL)
    alignment = align_symmetry(volume, group, voxel_size=VOXEL)
    validation = validate_symmetry(alignment.apply(volume), group, voxel_size=VOXEL)
    candidate = next(c for c in report.candidates if c.group == group)
    assert report.group == truth
    remaining = "no subgroup holds" if truth == "C1" else f"only {truth} holds"
    for found in (candidate, alignment, validation):
        assert not found.holds
        assert found.verdict.startswith(f"{group} is pseudo-symmetry ({remaining}): it breaks at")
        assert found.pseudo.subgroup == truth
        assert round(found.pseudo.angle) in angles
        assert found.pseudo.difference == pytest.approx(0.4, abs=0.12)
        assert re.findall(r"[\d.]+ ?%", found.verdict) == [f"{found.pseudo.difference:.0%}"]
    assert candidate.verdict in report.verdict
    assert validation.pseudo.resolution == pytest.approx(candidate.pseudo.resolution, rel=0.35)


def test_the_subgroup_that_is_left_is_found_though_its_search_took_another_axis(monkeypatch):
    found = known_map("D7", scales=dict.fromkeys(MATES, 0.6))
    seventh = Rotation.from_rotvec(2 * np.pi / 7 * found.rotation[:, 2]).as_matrix()
    best_fit = Search.best_fit

    def fit_of_another_axis(search, group, **options):
        fit = best_fit(search, group, **options)
        return replace(fit, frame=seventh @ fit.frame) if group.name == "C2" else fit

    monkeypatch.setattr(Search, "best_fit", fit_of_another_axis)
    report = detect_symmetry(found.volume, voxel_size=VOXEL)
    assert report.group == "C2"
    broken = next(one for one in report.candidates if one.group == "D7").pseudo
    assert broken.subgroup == "C2"
    assert name_of(symmetry_operators("D7")[list(broken.members)]) == "C2"


@pytest.mark.parametrize("group", ["C2", "D3", "T", "O"])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_true_group_does_not_break(group, noise):
    known = known_map(group, noise=noise, seed=3, rotated=False)
    found = find_break(
        known.volume, PointGroup.parse(group), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    assert found is None


def test_the_axis_about_which_copies_differ_most_is_named():
    known = known_map("D2", scales={0: 0.5, 1: 0.5}, rotated=False)
    copies = symmetry_operators("D2")
    kept = next(i for i in (1, 2, 3) if np.allclose(copies[1], copies[i]))
    found = find_break(
        known.volume, PointGroup.parse("D2"), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    true_axis = np.diagonal(copies[kept]) > 0
    assert found.subgroup == "C2"
    assert not (np.abs(found.axis) > 0.5)[true_axis].any()
    assert found.difference == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("scales", "subgroup"), [({0: 0.75}, "C1"), ({0: 0.75, 2: 0.75}, "C2")])
def test_copies_that_differ_by_more_than_a_tenth_from_the_mean_are_a_break(scales, subgroup):
    known = known_map("C4", scales=scales, noise=0.5, seed=3, rotated=False)
    found = find_break(
        known.volume, PointGroup.parse("C4"), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    assert found is not None
    assert found.subgroup == subgroup
    assert found.difference < 0.35


@pytest.mark.parametrize("seed", [3, 4])
def test_every_other_copy_with_less_density_is_found_in_strong_noise(seed):
    known = known_map("C6", scales=dict.fromkeys((0, 2, 4), 0.7), noise=2.0, seed=seed,
                      rotated=False)  # fmt: skip
    found = find_break(
        known.volume, PointGroup.parse("C6"), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    assert found is not None
    assert found.subgroup == "C3"


@pytest.mark.parametrize(("scales", "subgroup"), [({0: 0.85}, "C1"), ({0: 0.85, 2: 0.85}, "C2")])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_whole_copies_with_15_percent_less_density_are_a_break_with_what_is_left(
    scales, subgroup, noise
):
    known = known_map("C4", scales=scales, noise=noise, seed=3, rotated=False)
    found = find_break(
        known.volume, PointGroup.parse("C4"), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    assert found is not None
    assert found.subgroup == subgroup


def test_copies_that_differ_by_a_twentieth_are_no_break():
    known = known_map("C4", scales={0: 0.95}, rotated=False)
    found = find_break(
        known.volume, PointGroup.parse("C4"), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    assert found is None


def test_rings_of_unequal_density_leave_the_rotations_of_the_ring():
    upper = dict.fromkeys(range(7), 0.8)
    known = known_map("D7", scales=upper, noise=0.5, seed=3, rotated=False)
    found = find_break(
        known.volume, PointGroup.parse("D7"), RigidTransform.identity(), 15.0, voxel_size=VOXEL
    )
    assert found.subgroup == "C7"
    assert (found.axis_order, round(found.angle)) == (2, 180)


def test_the_subunit_that_differs_most_is_named_first_with_its_place():
    odd = 2
    known = known_map("C4", scales={odd: 0.6}, noise=0.5, seed=2)
    alignment = align_symmetry(known.volume, "C4", voxel_size=VOXEL)
    subunits = alignment.pseudo.subunits
    assert len(subunits) == 4
    sizes = [abs(one.difference) for one in subunits]
    assert sizes == sorted(sizes, reverse=True)
    assert subunits[0].difference == pytest.approx(-0.33, abs=0.08)
    assert all(one.difference > 0 for one in subunits[1:])
    # the density that is missing there is that of the odd copy
    whole = known_map("C4", noise=0.5, seed=2).volume
    missing = (whole - known.volume) * VOXEL
    z, y, x = np.indices(missing.shape) - len(missing) // 2
    weight = np.abs(missing) * (np.abs(missing) > 0.5 * np.abs(missing).max())
    middle = [float((weight * c).sum() / weight.sum()) * VOXEL for c in (x, y, z)]
    apart = [np.linalg.norm(np.subtract(one.place, middle)) for one in subunits]
    assert int(np.argmin(apart)) == 0


def test_a_subgroup_that_holds_is_named_when_a_larger_group_is_imposed():
    known = known_map("C4", scales={0: 0.6, 2: 0.6}, rotated=False)
    assert validate_symmetry(known.volume, "C2", voxel_size=VOXEL).holds
    validation = validate_symmetry(known.volume, "C4", voxel_size=VOXEL)
    assert validation.verdict.startswith("C4 is pseudo-symmetry (only C2 holds)")
