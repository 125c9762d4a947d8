import numpy as np
import pytest

from napari_ini3d.engine.drift import Drift, drift_ratio
from napari_ini3d.engine.regularisation import half_set_fsc
from napari_ini3d.fourier.fsc import compute_fsc
from napari_ini3d.fourier.transforms import map_to_cube
from napari_ini3d.simulation import make_phantom

BOX, RADIUS = 24, 8
DENSITY = make_phantom(diameter=80, domains=2).density(BOX, 5.0, 16.0)
OTHER = make_phantom(seed=5, diameter=80, domains=2).density(BOX, 5.0, 16.0)


def noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Return noise with the spectrum of the map, so that every shell is as noisy."""
    k = np.fft.fftfreq(BOX, 1 / BOX)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    power = np.bincount(shell.ravel(), np.abs(np.fft.fftn(DENSITY)).ravel() ** 2)
    amplitude = np.sqrt(power / np.bincount(shell.ravel()))[shell]
    white = np.fft.fftn(rng.standard_normal(DENSITY.shape)) / np.sqrt(DENSITY.size)
    return (scale * np.fft.ifftn(white * amplitude).real).astype(np.float32)


def half_maps(rng: np.random.Generator, volume: np.ndarray = DENSITY, scale: float = 0.5):
    return [volume + noise(rng, scale) for _ in range(2)]


def agreement(halves):
    cubes = [map_to_cube(half, RADIUS + 1, 1) for half in halves]
    return half_set_fsc(*cubes, 1, BOX // 2 + 1)


def measured(then, now, halves) -> float:
    drift = Drift.begin(then[None], RADIUS)
    return float(drift.after(now[None], (agreement(halves),), RADIUS, 1).ratio)


def test_maps_that_differ_by_their_noise_only_have_a_ratio_of_about_one():
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        then, now = half_maps(rng), half_maps(rng)
        found.append(measured(np.mean(then, 0), np.mean(now, 0), now))
    # of the largest of seven shells; the tolerance lowers it, the spread of the shells raises it
    assert 0.6 < np.median(found) < 1.6
    assert max(found) < 2.5


def test_the_same_map_has_not_drifted():
    halves = half_maps(np.random.default_rng(0))
    now = np.mean(halves, 0)
    assert measured(now, now, halves) == pytest.approx(0, abs=1e-4)


def test_a_map_that_changes_by_more_than_its_noise_has_drifted():
    halves = half_maps(np.random.default_rng(0), scale=0.2)
    then = np.mean(half_maps(np.random.default_rng(1), 0.5 * DENSITY + 0.5 * OTHER, 0.2), 0)
    assert measured(then, np.mean(halves, 0), halves) > 2


def test_the_worst_class_counts():
    halves = half_maps(np.random.default_rng(0), scale=0.2)
    now, same = np.mean(halves, 0), agreement(halves)
    drift = Drift.begin(np.stack([now, OTHER]), RADIUS)
    found = drift.after(np.stack([now, now]), (same, same), RADIUS, 1)
    assert found.ratio == pytest.approx(measured(OTHER, now, halves))
    assert found.ratio > 2


def test_the_ratio_is_the_change_over_the_change_that_the_noise_explains():
    between = np.array([0, -1, 0.9, 0.8, -1, 0.2, -1])
    half = np.array([0, 0.9, 0.9, 0.5, 0.2, 0.35, 0.9])
    expected = []
    for shell in (2, 3, 5):  # the fourth is mere noise, the sixth is beyond the radius
        whole = 2 * half[shell] / (1 + half[shell])
        expected.append((1 - between[shell]) / (1 - whole + 0.01))
    assert max(expected) == expected[2]
    assert drift_ratio(between, half, 5) == pytest.approx(max(expected))
    assert drift_ratio(between, half, 3) == pytest.approx(max(expected[:2]))


def test_halves_that_agree_nowhere_tell_nothing():
    assert drift_ratio(np.ones(9), np.full(9, 0.1), 6) == np.inf


def test_the_drift_is_unknown_before_it_is_measured_and_then_once_per_interval():
    rng = np.random.default_rng(3)
    halves = half_maps(rng, scale=0.2)
    found, maps = agreement(halves), [DENSITY + noise(rng, 0.1 * i) for i in range(8)]
    drift = Drift.begin(maps[0][None], RADIUS)
    ratios = [drift.ratio]
    for volume in maps[1:]:
        drift = drift.after(volume[None], (found,), RADIUS, 3)
        ratios.append(drift.ratio)
    assert np.isinf(ratios[:3]).all()
    compared = {3: (0, 3), 6: (3, 6)}  # each with the map of the measurement before
    for at, (then, now) in compared.items():
        expected = drift_ratio(compute_fsc(maps[then], maps[now]), found.fsc, RADIUS)
        assert ratios[at] == pytest.approx(expected)
    assert ratios[4] == ratios[5] == ratios[3]
    assert ratios[7] == ratios[6] != ratios[3]
    assert int(drift.age) == 1


def test_only_what_the_earlier_maps_resolved_is_compared():
    halves = half_maps(np.random.default_rng(0), scale=0.1)
    now = np.mean(halves, 0)
    k = np.fft.fftfreq(BOX, 1 / BOX)
    coarse = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2) < 4.5
    then = np.fft.ifftn(np.fft.fftn(now) * coarse).real.astype(np.float32)
    drift = Drift.begin(then[None], 4)
    drift = drift.after(now[None], (agreement(halves),), RADIUS, 1)
    assert drift.ratio == pytest.approx(0, abs=1e-3)
    assert int(drift.radius) == RADIUS
    later = drift.after(then[None], (agreement(halves),), RADIUS, 1)
    assert later.ratio > 2
