import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import SymmetryError
from napari_ini3d.geometry.point_groups import (
    PointGroup,
    in_asymmetric_unit,
    product_table,
    symmetry_axes,
    symmetry_operators,
)

# printed by RELION 3.1.3 with --print_symmetry_ops, nine numbers per operator
RELION = json.loads((Path(__file__).parents[1] / "data/relion_symmetry_operators.json").read_text())
ALL = sorted(RELION)


def directions(count: int) -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first[:, None] - second[None]).max(axis=(2, 3))


@pytest.mark.parametrize("name", ALL)
def test_operators_are_those_that_relion_prints(name):
    expected = np.array(RELION[name]).reshape(-1, 3, 3)
    found = symmetry_operators(name)
    apart = distances(found, expected)
    assert found.shape == expected.shape
    assert apart.min(axis=0).max() < 2e-5
    assert apart.min(axis=1).max() < 2e-5


@pytest.mark.parametrize("name", ["C1", "C37", "D13", "T", "O", "I1", "I3"])
def test_operators_form_a_group_of_rotations(name):
    operators = symmetry_operators(name)
    products = (operators[:, None] @ operators[None]).reshape(-1, 3, 3)
    assert np.allclose(operators[0], np.eye(3))
    assert np.allclose(operators @ operators.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(operators), 1)
    assert distances(products, operators).min(axis=1).max() < 1e-9
    assert (distances(operators, operators) < 1e-6).sum() == PointGroup.parse(name).order


def test_icosahedral_settings_are_the_same_group_rotated():
    i2, i1 = symmetry_operators("I2"), symmetry_operators("I1")
    quarter = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    assert distances(quarter @ i2 @ quarter.T, i1).min(axis=1).max() < 1e-12
    assert distances(symmetry_operators("I"), i2).min(axis=1).max() < 1e-12
    assert distances(symmetry_operators("I3"), symmetry_operators("I4")).min(axis=1).max() > 0.1


def test_a_changed_result_does_not_reach_the_next_caller():
    symmetry_operators("D2")[:] = 0
    assert np.allclose(symmetry_operators("D2")[0], np.eye(3))


@pytest.mark.parametrize(
    ("written", "name", "order"),
    [("d2", "D2", 4), (" C12 ", "C12", 12), ("i", "I", 60), ("c01", "C1", 1), ("o", "O", 24)],
)
def test_names_are_read_as_people_write_them(written, name, order):
    group = PointGroup.parse(written)
    assert (group.name, group.order) == (name, order)
    assert len(symmetry_operators(written)) == order


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("CI", "inversion"),
        ("D2h", "mirror"),
        ("C3v", "mirror"),
        ("Td", "mirror"),
        ("Oh", "mirror"),
        ("S4", "mirror"),
        ("I5", "unknown point group 'I5'"),
        ("C0", "unknown point group 'C0'"),
        ("C-3", "unknown"),
        ("tetrahedral", "unknown"),
        ("", "no point group given"),
        ("  ", "no point group given"),
    ],
)
def test_names_that_are_no_rotation_group_are_refused_with_the_reason(written, reason):
    with pytest.raises(SymmetryError, match=reason) as refused:
        symmetry_operators(written)
    assert "I1, I2, I3 or I4" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("C1", {}),
        ("C2", {2: 1}),
        ("C7", {7: 1}),
        ("D1", {2: 1}),
        ("D2", {2: 3}),
        ("D7", {7: 1, 2: 7}),
        ("T", {3: 4, 2: 3}),
        ("O", {4: 3, 3: 4, 2: 6}),
        ("I", {5: 6, 3: 10, 2: 15}),
    ],
)
def test_each_axis_is_listed_once(name, counts):
    axes = symmetry_axes(name)
    found = {order: sum(axis.order == order for axis in axes) for order in counts}
    assert found == counts
    assert len(axes) == sum(counts.values())


@pytest.mark.parametrize("name", ["C6", "D5", "T", "O", "I1", "I4"])
def test_a_rotation_by_one_nth_about_an_axis_is_an_operator(name):
    operators = symmetry_operators(name)
    for axis in symmetry_axes(name):
        rotation = Rotation.from_rotvec(
            2 * np.pi / axis.order * np.array(axis.direction)
        ).as_matrix()
        assert distances(rotation[None], operators).min() < 1e-9
        assert axis.direction[2] >= -1e-9


@pytest.mark.parametrize("name", ["C1", "C5", "D1", "D2", "D7", "T", "O", "I", "I1", "I3"])
def test_one_direction_of_each_orbit_lies_in_the_asymmetric_unit(name):
    orbits = np.einsum("gij,nj->gni", symmetry_operators(name), directions(400))
    inside = in_asymmetric_unit(orbits.reshape(-1, 3), name).reshape(orbits.shape[:2])
    assert (inside.sum(axis=0) == 1).all()


@pytest.mark.parametrize("name", ["C4", "D3", "T", "O", "I2"])
def test_the_asymmetric_unit_covers_its_share_of_the_sphere(name):
    order = PointGroup.parse(name).order
    share = in_asymmetric_unit(directions(40_000), name).mean()
    assert share == pytest.approx(1 / order, abs=5 * np.sqrt(1 / order / 40_000))


@pytest.mark.parametrize("name", ["C4", "D7", "O", "I"])
def test_directions_on_axes_and_borders_have_one_place_in_the_asymmetric_unit(name):
    special = np.array([axis.direction for axis in symmetry_axes(name)])
    border = np.concatenate([special, [[1, 0, 0], [0, 0, 1], [np.sqrt(0.5), 0, -np.sqrt(0.5)]]])
    for direction in border:
        orbit = symmetry_operators(name) @ direction
        inside = orbit[in_asymmetric_unit(orbit, name)]
        assert len(inside) > 0
        assert np.allclose(inside, inside[0], atol=1e-6)


@pytest.mark.parametrize("name", ["C4", "D7", "O"])
def test_a_margin_adds_the_directions_within_that_angle_of_the_asymmetric_unit(name):
    every = directions(4000)
    inside = every[in_asymmetric_unit(every, name)]
    wider = in_asymmetric_unit(every, name, margin=5.0)
    angles = np.rad2deg(np.arccos(np.clip(every @ inside.T, -1, 1))).min(axis=1)
    assert wider[angles < 4.0].all()  # directions are 3.2° apart
    assert not wider[angles > 12.0].any()  # at a corner, further than 5°
    assert wider.sum() > len(inside)


def test_products_of_operators_are_in_their_order():
    operators = symmetry_operators("D3")
    table = product_table(operators)
    for i, first in enumerate(operators):
        for j, second in enumerate(operators):
            np.testing.assert_allclose(operators[table[i, j]], first @ second, atol=1e-9)
