import numpy as np
import pytest
from symmetry_phantoms import known_map

from napari_ini3d.geometry.point_groups import PointGroup, symmetry_operators
from napari_ini3d.symmetry.particle_extent import find_particle_extent
from napari_ini3d.symmetry.refinement import GroupAxes
from napari_ini3d.symmetry.scores import operator_agreements, operator_classes, score_group
from napari_ini3d.symmetry.search_map import SearchMap


def evidence_at_truth(known, group):
    search_map = SearchMap.of(known.volume, find_particle_extent(known.volume), 2.5)
    centre = (known.centre - search_map.offset) / search_map.side
    return score_group(search_map, PointGroup.parse(group), GroupAxes(known.rotation, centre))


@pytest.mark.parametrize(
    ("group", "count"),
    [("C2", 1), ("C4", 2), ("C12", 5), ("D2", 3), ("D3", 2), ("D4", 4), ("T", 2), ("O", 4),
     ("I", 3)],
)  # fmt: skip
def test_operators_are_sorted_by_order_and_kind_of_axis(group, count):
    classes = operator_classes(PointGroup.parse(group))
    assert len(classes) == count
    for members in classes:
        traces = np.trace(members, axis1=1, axis2=2)
        kinds = {"C12": 2, "I": 2}.get(group, 1)  # 30° and 150° are rotations of one order
        assert len(np.unique(np.round(traces, 6))) <= kinds
        for matrix in members:
            assert np.abs(symmetry_operators(group) - matrix).max(axis=(1, 2)).min() < 1e-9


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_symmetric_map_reaches_the_agreement_expected_with_its_noise(noise):
    scores = evidence_at_truth(known_map("D3", noise=noise), "D3")
    assert scores.agreement == pytest.approx(1.0, abs=0.08)
    assert scores.evenness > 0.95


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_agreement_of_an_operator_is_that_of_its_copy_alone(noise):
    known = known_map("C2", noise=noise)
    search_map = SearchMap.of(known.volume, find_particle_extent(known.volume), 2.5)
    axes = GroupAxes(known.rotation, (known.centre - search_map.offset) / search_map.side)
    itself, first, half, last = operator_agreements(search_map, PointGroup.parse("C4"), axes)
    assert itself == 1
    assert half == pytest.approx(1, abs=0.08)
    assert max(first, last) < 0.4  # nothing in common but the outline
    assert first == last  # inverse to each other


def test_a_supergroup_is_uneven_and_a_wrong_group_does_not_agree():
    known = known_map("C3", noise=0.5)
    assert evidence_at_truth(known, "C3").agreement > 0.9
    assert evidence_at_truth(known, "C6").evenness < 0.8
    assert evidence_at_truth(known, "D3").evenness < 0.8
    assert evidence_at_truth(known, "O").agreement < 0.3


def test_a_rod_is_no_evidence_of_axes_along_it():
    """Its copies agree well as they are, but not in what changes around the axis."""
    line = np.arange(48) - 24.0
    z, y, x = np.meshgrid(line, line, line, indexing="ij")
    rod = np.exp(-(x**2 + y**2) / 30) * (np.abs(z) < 14)
    bumps = np.random.default_rng(1).normal(size=rod.shape)
    from scipy.ndimage import gaussian_filter

    volume = (rod * (1 + 3 * gaussian_filter(bumps, 2))).astype(np.float32)
    known = type(known_map("C1"))(volume, np.eye(3), np.zeros(3))
    scores = evidence_at_truth(known, "C3")
    assert scores.axes.max() < 0.5
    assert scores.agreement == scores.axes.min()
    assert scores.classes.max() > 0.5
