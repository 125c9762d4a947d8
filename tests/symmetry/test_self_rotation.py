import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from symmetry_phantoms import known_map

from napari_ini3d.symmetry.particle_extent import find_particle_extent
from napari_ini3d.symmetry.search_map import SearchMap, search_weight
from napari_ini3d.symmetry.self_rotation import MAX_ORDER, axis_power, flip_overlap, upper_half

SHELLS = 8


@pytest.fixture(scope="module")
def search_map():
    known = known_map("C3", noise=0.3)
    return SearchMap.of(known.volume, find_particle_extent(known.volume), 2.5), known


def correlation_with_rotated_copies(search_map, axis, order, centre):
    """Return, per shell, the mean correlation with the n - 1 copies without the wave m = 0.

    That wave is the mean over rotations by all angles, here by every 2°; the shell is a sphere of
    evenly spread points.
    """
    place = np.arange(1500) + 0.5
    z, angle = 1 - place / 750, np.pi * (1 + np.sqrt(5)) * place
    sphere = np.stack([np.sqrt(1 - z**2) * f(angle) for f in (np.cos, np.sin)] + [z], axis=1)
    correlations = []
    for shell in range(1, SHELLS + 1):

        def read(rotation, points=shell * sphere):
            rotated = points @ Rotation.from_rotvec(rotation * axis).as_matrix().T
            values = search_map.ft.read(np.eye(3)[None], rotated)[0]
            return values * np.exp(2j * np.pi * rotated @ centre)

        still = np.mean([read(a) for a in np.deg2rad(np.arange(0, 360, 2))], axis=0)
        here = read(0.0) - still
        copies = [read(2 * np.pi * k / order) - still for k in range(1, order)]
        overlap = np.mean([(here.conj() * copy).real.sum() for copy in copies])
        correlations.append(overlap / (np.abs(here) ** 2).sum())
    return np.array(correlations)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_the_power_of_waves_gives_the_correlation_with_the_rotated_copies(search_map, order):
    search_map, _ = search_map
    rng = np.random.default_rng(order)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    centre = rng.uniform(-0.03, 0.03, 3)
    expected = correlation_with_rotated_copies(search_map, axis, order, centre)
    power = axis_power(search_map, axis[None], centre, SHELLS)
    found = [power.correlation(np.eye(SHELLS)[s])[order, 0] for s in range(SHELLS)]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_the_true_axis_has_the_highest_value_of_its_order(search_map):
    search_map, known = search_map
    centre = (known.centre - search_map.offset) / search_map.side
    directions = upper_half(8)
    power = axis_power(search_map, directions, centre, SHELLS)
    values = power.correlation(search_weight(search_map, SHELLS)[1:])
    best = directions[values[3].argmax()]
    assert abs(best @ known.rotation[:, 2]) > np.cos(np.deg2rad(8))
    assert values[3].max() > 0.6
    assert values[[2, 4, 5, 6, 7]].max() < 0.5


def test_a_symmetric_map_with_noise_correlates_as_expected(search_map):
    search_map, known = search_map
    centre = (known.centre - search_map.offset) / search_map.side
    power = axis_power(search_map, known.rotation[:, 2][None], centre, SHELLS)
    weight = search_weight(search_map, SHELLS)[1:]
    expected = power.expected(weight, search_map.share[1 : SHELLS + 1])
    assert power.correlation(weight)[3, 0] == pytest.approx(expected[0], abs=0.05)


def test_the_upper_half_holds_one_end_of_each_axis():
    directions = upper_half(4)
    assert len(directions) == 12 * 16 / 2
    assert (directions @ directions.T > -1 + 1e-9).all()


def test_orders_beyond_those_of_the_search_can_be_measured(search_map):
    power = axis_power(search_map[0], np.array([[0.0, 0, 1]]), np.zeros(3), SHELLS)
    values = power.correlation(np.ones(SHELLS), 40)
    assert values.shape == (41, 1)
    np.testing.assert_allclose(values[: MAX_ORDER + 1], power.correlation(np.ones(SHELLS)))


def test_a_two_fold_axis_across_keeps_the_waves_around_the_main_axis():
    known = known_map("D5")
    found = SearchMap.of(known.volume, find_particle_extent(known.volume), 2.5)
    centre = (known.centre - found.offset) / found.side
    power = axis_power(found, known.rotation[:, 2][None], centre, SHELLS).waves[0]  # (S, M + 1)
    total = power[2:, 1:].sum(axis=1)  # of shell 3 on: before, next to nothing varies
    kept = flip_overlap(found, known.rotation, centre, SHELLS)
    np.testing.assert_allclose(kept[2:] / total, 1, atol=0.05)
    aside = known.rotation @ Rotation.from_euler("z", 18, degrees=True).as_matrix()
    assert (flip_overlap(found, aside, centre, SHELLS)[2:] / total).mean() < 0.3
