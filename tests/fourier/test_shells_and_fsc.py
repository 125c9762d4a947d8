import numpy as np
import pytest

from napari_ini3d.errors import MapError
from napari_ini3d.fourier.fsc import compute_fsc, fsc_resolution
from napari_ini3d.fourier.shells import (
    half_weight,
    radial_average,
    shell_index,
    shell_sum,
)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, n, n))


def whole_shells(n: int) -> np.ndarray:
    k = np.fft.fftfreq(n, 1 / n)
    return np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)


@pytest.mark.parametrize("n", [8, 9, 12])
def test_shell_index_is_the_rounded_distance_from_the_zero_frequency(n):
    assert np.array_equal(shell_index(n), whole_shells(n)[:, :, : n // 2 + 1])
    assert shell_index(n, ndim=2).shape == (n, n // 2 + 1)


@pytest.mark.parametrize("n", [8, 9])
def test_sums_over_half_a_transform_equal_sums_over_the_whole(n):
    power = np.abs(np.fft.fftn(noise(n))) ** 2
    expected = np.bincount(whole_shells(n).ravel(), power.ravel())[: n // 2 + 1]
    assert np.allclose(shell_sum(power[:, :, : n // 2 + 1]), expected)
    assert half_weight(n).sum() == n


def test_radial_average_of_the_shell_index_is_the_shell():
    assert np.allclose(radial_average(shell_index(16).astype(float)), np.arange(9))


def test_fsc_of_a_volume_with_itself_is_one():
    assert np.allclose(compute_fsc(noise(12), noise(12)), 1)


def test_fsc_of_a_volume_with_its_negative_is_minus_one():
    assert np.allclose(compute_fsc(noise(12), -3 * noise(12)), -1)


def test_fsc_of_independent_noise_is_near_zero():
    curve = compute_fsc(noise(32), noise(32, seed=1))
    counts = np.bincount(whole_shells(32).ravel())[:17]
    assert (np.abs(curve[4:]) < 5 / np.sqrt(counts[4:] / 2)).all()


@pytest.mark.parametrize("n", [10, 11])
def test_fsc_equals_the_sum_over_the_whole_transform(n):
    first, second = noise(n), noise(n) + noise(n, seed=1)
    a, b, shells = np.fft.fftn(first), np.fft.fftn(second), whole_shells(n).ravel()
    cross, power_a, power_b = (
        np.bincount(shells, x.ravel())[: n // 2 + 1]
        for x in ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)
    )
    assert np.allclose(compute_fsc(first, second), cross / np.sqrt(power_a * power_b))


def test_fsc_is_zero_where_a_volume_is_empty():
    assert np.array_equal(compute_fsc(noise(8), np.zeros((8, 8, 8))), np.zeros(5))


@pytest.mark.parametrize("shapes", [((8, 8, 8), (10, 10, 10)), ((8, 8, 9), (8, 8, 9))])
def test_fsc_refuses_maps_that_are_not_cubes_of_one_size(shapes):
    with pytest.raises(MapError, match="two cubes of one size"):
        compute_fsc(np.ones(shapes[0]), np.ones(shapes[1]))


def test_resolution_is_interpolated_between_shells():
    curve = np.array([1, 1, 0.9, 0.7, 0.3, 0.0])
    assert fsc_resolution(curve, 10, 2.0, 0.5) == pytest.approx(20 / 3.5)


def test_the_first_crossing_counts():
    curve = np.array([1, 1, 0.4, 0.9, 0.1, 0.0])
    assert fsc_resolution(curve, 10, 2.0, 0.5) == pytest.approx(20 / (1 + 0.5 / 0.6))


def test_a_curve_that_never_falls_reaches_nyquist():
    assert fsc_resolution(np.ones(6), 10, 2.0, 0.143) == 4.0


def test_a_curve_below_the_threshold_from_the_start_resolves_the_box_length():
    assert fsc_resolution(np.array([1.0, 0.1, 0.9]), 10, 2.0, 0.5) == 20.0
