"""A group is a pseudo-symmetry beside a subgroup that agrees better, by more than noise does."""

import numpy as np
import pytest

from napari_ini3d.geometry import PointGroup
from napari_ini3d.symmetry.refinement import Fit
from napari_ini3d.symmetry.scores import GroupScore, kinds_of_axes
from napari_ini3d.symmetry.verdict import ScoredFit, is_contradicted

SHELLS = np.linspace(1, 0, 10)


def scored(group, classes, axes, deviation):
    scores = GroupScore(np.array(classes), np.array(axes), 0.99, SHELLS, SHELLS, deviation)
    return ScoredFit(PointGroup.parse(group), Fit(np.eye(3), np.zeros(3), 1.0, SHELLS), scores)


@pytest.mark.parametrize(("deviation", "is_pseudo"), [(0.0, True), (0.01, True), (0.03, False)])
def test_a_lower_agreement_counts_if_it_is_more_than_noise(deviation, is_pseudo):
    whole = scored("C12", [1.0, 0.99, 0.98], [0.92], deviation)
    part = scored("C3", [1.0], [1.0], deviation)
    assert whole.is_pseudo_beside(part) is is_pseudo


def test_an_agreement_above_the_expected_one_counts_as_full_agreement():
    d9 = PointGroup.parse("D9")
    agreements = np.array([1, 1, 1, 1.01, 0.99, 0.99, 1.01, 1, 1, 1.04, *[0.98] * 8])
    assert not is_contradicted(d9, agreements, 0.0)
    agreements[-1] = 0.93
    assert is_contradicted(d9, agreements, 0.0)
    assert not is_contradicted(d9, agreements, 0.02)


def test_the_worst_of_many_axes_alike_is_not_compared_but_their_mean():
    axes = 1 + 0.07 * np.random.default_rng(1).standard_normal(31)
    assert axes.min() < 0.9
    whole = scored("I", [1.0, 1.0, 1.0], axes, 0.0)
    assert not whole.is_pseudo_beside(scored("C5", [1.0], [1.0], 0.0))


@pytest.mark.parametrize(("group", "counts"), [("I", [6, 10, 15]), ("D4", [1, 2, 2]), ("C6", [1])])
def test_axes_are_of_one_kind_if_the_group_rotates_one_into_the_other(group, counts):
    kinds = kinds_of_axes(PointGroup.parse(group))
    assert sorted(np.unique(kinds, return_counts=True)[1]) == counts
