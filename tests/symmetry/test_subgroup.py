"""What is left of a pseudo-symmetry, and how it comes to RELION's axes."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from symmetry_phantoms import known_map

from napari_ini3d.geometry.point_groups import PointGroup, symmetry_operators
from napari_ini3d.symmetry.impose import impose_symmetry
from napari_ini3d.symmetry.subgroup import (
    name_of,
    remaining_subgroup,
    rotation_to_setting,
    subgroups,
)


@pytest.mark.parametrize("name", ["C1", "C2", "C7", "D2", "D3", "D7", "T", "O", "I"])
def test_operators_about_any_axes_come_to_the_setting_of_their_group(name):
    turn = Rotation.random(rng=np.random.default_rng(3)).as_matrix()
    group, rotation = rotation_to_setting(turn @ symmetry_operators(name) @ turn.T)
    moved = rotation @ turn @ symmetry_operators(name) @ turn.T @ rotation.T
    apart = np.abs(moved[:, None] - symmetry_operators(name)).max(axis=(2, 3)).min(axis=1)
    assert group.name == PointGroup.parse(name).name
    assert apart.max() < 1e-6
    assert np.linalg.det(rotation) == pytest.approx(1)


@pytest.mark.parametrize("name", ["D4", "O"])
def test_every_subgroup_of_a_group_comes_to_its_setting(name):
    operators = symmetry_operators(name)
    for members in subgroups(PointGroup.parse(name)):
        group, rotation = rotation_to_setting(operators[members])
        moved = rotation @ operators[members] @ rotation.T
        apart = np.abs(moved[:, None] - symmetry_operators(group)).max(axis=(2, 3)).min(axis=1)
        assert group.name == name_of(operators[members])
        assert apart.max() < 1e-6


@pytest.mark.parametrize(
    ("group", "scales", "expected"),
    [("C4", {0: 0.5}, "C1"), ("C4", {0: 0.5, 2: 0.5}, "C2"), ("T", {0: 0.0}, "C1")],
)
def test_the_subgroup_of_which_half_maps_agree_remains(group, scales, expected):
    volume = known_map(group, scales=scales, rotated=False).volume
    difference = volume - impose_symmetry(volume, group)
    noise = np.random.default_rng(1).normal(0, difference.std(), (2, *volume.shape))
    halves = (difference + noise).astype(np.float32)
    members = remaining_subgroup(halves[0], halves[1], PointGroup.parse(group))
    assert name_of(symmetry_operators(group)[members]) == expected


def test_half_maps_of_noise_alone_do_not_tell_units_apart():
    first, second = np.random.default_rng(2).normal(size=(2, 32, 32, 32)).astype(np.float32)
    assert len(remaining_subgroup(first, second, PointGroup.parse("D3"))) == 6
