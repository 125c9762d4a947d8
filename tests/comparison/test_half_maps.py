import dataclasses

import numpy as np
import pytest

from napari_ini3d.comparison import half_map_fsc
from napari_ini3d.errors import MapError, SettingsError
from napari_ini3d.fourier import radius_grid, shell_index, soft_mask

N, VOXEL_SIZE = 48, 4.0
TIGHT = (radius_grid(N, 3) < 8).astype(np.float64)  # a hard edge
SOFT = soft_mask(N, 14.0, 5.0, 3)
ONES = np.ones((N,) * 3)


def noise(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, n, n))


def coloured(seed: int, gain: np.ndarray) -> np.ndarray:
    """Gaussian noise with a given amplitude per shell (those of the corners included)."""
    volume_ft = np.fft.rfftn(noise(seed)) * gain[shell_index(N)]
    return np.fft.irfftn(volume_ft, s=(N,) * 3, axes=(0, 1, 2))


SHELLS = np.arange(2 * N)
LOW = coloured(0, 50.0 * (SHELLS <= 3))  # a strong signal that ends at shell 3


def test_what_a_tight_mask_adds_is_taken_away():
    found = half_map_fsc(LOW + noise(1), LOW + noise(2), VOXEL_SIZE, TIGHT)
    assert found.randomised_from == 4
    assert found.unmasked[6:].max() < 0.15
    assert found.masked[6:14].mean() > 0.6
    assert abs(found.corrected[6:14].mean()) < 0.25
    assert abs(found.corrected[6:].mean()) < 0.1
    assert found.resolution_0143 > N * VOXEL_SIZE / 9


def test_the_corrected_fsc_is_the_signals_share_of_the_power_within_the_mask():
    power = 40.0 * np.exp(-((SHELLS / 9.0) ** 2))  # of the signal; the noise has 1
    curves = []
    for seed in range(3):
        signal = coloured(10 * seed, np.sqrt(power)) * (radius_grid(N, 3) < 19)
        halves = [signal + noise(10 * seed + k) for k in (1, 2)]
        curves.append(half_map_fsc(*halves, VOXEL_SIZE, SOFT).corrected)
    expected = (power / (power + 1))[: N // 2 + 1]
    found = np.mean(curves, axis=0)
    assert np.abs(found - expected)[4:].max() < 0.12
    assert np.abs(found - expected)[4:].mean() < 0.04


def test_a_mask_of_ones_changes_nothing():
    power = 20.0 * np.exp(-((SHELLS / 8.0) ** 2))
    signal = coloured(0, np.sqrt(power))
    found = half_map_fsc(signal + noise(1), signal + noise(2), VOXEL_SIZE, ONES)
    assert np.array_equal(found.masked, found.unmasked)
    beyond = found.randomised_from + 2
    count = np.bincount(shell_index(N).ravel())[: N // 2 + 1]
    assert np.array_equal(found.corrected[:beyond], found.unmasked[:beyond])
    assert (np.abs(found.corrected - found.unmasked)[beyond:] < 3 / np.sqrt(count[beyond:])).all()


@pytest.mark.parametrize("n", [33, 40])
def test_equal_maps_have_an_fsc_of_one_to_nyquist(n):
    volume = noise(0, n)
    found = half_map_fsc(volume, volume, VOXEL_SIZE, soft_mask(n, 10.0, 3.0, 3))
    assert found.randomised_from is None
    assert np.allclose(found.corrected, 1)
    assert np.array_equal(found.randomised, found.masked)
    assert found.resolution_0143 == found.resolution_half == 2 * VOXEL_SIZE
    assert len(found.corrected) == n // 2 + 1


@pytest.mark.parametrize("n", [33, 40])
def test_independent_noise_is_randomised_at_once_and_has_no_resolution(n):
    found = half_map_fsc(noise(1, n), noise(2, n), VOXEL_SIZE, soft_mask(n, 10.0, 3.0, 3))
    assert found.randomised_from == 1
    assert found.resolution_0143 >= n * VOXEL_SIZE / 3
    assert np.abs(found.corrected[6:]).mean() < 0.1


def test_maps_that_differ_only_in_the_last_shell_are_not_corrected():
    last = coloured(5, (SHELLS >= N // 2) * 1.0)
    found = half_map_fsc(noise(0) + 5 * last, noise(0) - 5 * last, VOXEL_SIZE, SOFT)
    assert found.randomised_from == N // 2
    assert np.array_equal(found.corrected, found.masked)


def test_an_empty_mask_leaves_no_correlation():
    found = half_map_fsc(noise(1), noise(2), VOXEL_SIZE, np.zeros((N,) * 3))
    assert (found.corrected == 0).all()
    assert found.resolution_0143 == N * VOXEL_SIZE


def test_random_phases_keep_the_low_shells_and_the_result_follows_the_seed():
    maps = LOW + noise(1), LOW + noise(2)
    one, again, other = (half_map_fsc(*maps, VOXEL_SIZE, ONES, seed=s) for s in (0, 0, 1))
    assert np.allclose(one.randomised[:4], one.unmasked[:4])
    assert np.abs(one.randomised[4:]).max() < 0.2
    assert np.array_equal(one.randomised, again.randomised)
    assert not np.array_equal(one.randomised, other.randomised)


def test_the_resolution_is_read_from_the_corrected_curve():
    found = half_map_fsc(noise(0), noise(0), VOXEL_SIZE, ONES)
    curve = np.where(np.arange(N // 2 + 1) < 8, 0.9, np.where(np.arange(N // 2 + 1) < 12, 0.3, 0.0))
    changed = dataclasses.replace(found, corrected=curve)
    assert N * VOXEL_SIZE / 8 < changed.resolution_half < N * VOXEL_SIZE / 7
    assert N * VOXEL_SIZE / 12 < changed.resolution_0143 < N * VOXEL_SIZE / 11


def test_boxes_that_differ_and_voxel_sizes_that_cannot_be_true_are_refused():
    with pytest.raises(MapError, match="mask has"):
        half_map_fsc(noise(0), noise(1), VOXEL_SIZE, ONES[:40, :40, :40])
    with pytest.raises(MapError, match="one size"):
        half_map_fsc(noise(0), noise(1, 40), VOXEL_SIZE, ONES)
    with pytest.raises(SettingsError, match="voxel size"):
        half_map_fsc(noise(0), noise(1), 0.0, ONES)


def test_there_is_no_correlation_beyond_the_detail_of_the_maps():
    found = half_map_fsc(LOW, LOW, VOXEL_SIZE, ONES).cut_at(3)
    assert (found.corrected[:4] > 0.99).all()
    for curve in (found.unmasked, found.masked, found.corrected):
        assert (curve[4:] == 0).all()
    assert found.resolution_half == found.resolution_0143 == N * VOXEL_SIZE / 3
