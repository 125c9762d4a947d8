"""Shares of the power of a map that its rotational average does not explain."""

import numpy as np

from napari_ini3d.fourier.features import featured_share, rotational_average
from napari_ini3d.fourier.masks import radius_grid
from napari_ini3d.simulation import make_phantom

BOX = 48


def hollow_sphere() -> np.ndarray:
    return np.exp(-((radius_grid(BOX, 3) - 12) ** 2) / 32).astype(np.float32)


def test_the_rotational_average_of_a_hollow_sphere_is_the_sphere():
    sphere = hollow_sphere()
    assert np.abs(rotational_average(sphere) - sphere).max() < 0.03 * sphere.max()


def test_the_rotational_average_has_the_mean_of_the_map_and_is_the_same_in_all_directions():
    rng = np.random.default_rng(1)
    average = rotational_average(rng.normal(1, 1, (BOX,) * 3).astype(np.float32))
    assert np.allclose(average, average.transpose(1, 2, 0), atol=1e-9)
    assert abs(average[BOX // 2, BOX // 2, BOX // 2 + 15] - 1) < 0.1


def test_a_hollow_sphere_has_no_features_in_the_shells_that_hold_its_power():
    assert featured_share(hollow_sphere())[1:8].max() < 0.02


def test_a_particle_has_features_beyond_its_first_shells():
    density = make_phantom("D2", seed=4, diameter=120.0).density(BOX, 4.0).astype(np.float32)
    radius = int(BOX * 4.0 / 30)
    assert featured_share(density)[radius - 1 : radius + 1].min() > 0.6


def test_weak_features_on_a_sphere_are_a_small_share():
    rng = np.random.default_rng(2)
    sphere = hollow_sphere()
    noisy = sphere * (1 + 0.01 * rng.normal(size=sphere.shape)).astype(np.float32)
    assert 0 < featured_share(noisy)[2:6].max() < 0.1


def test_a_shell_without_power_counts_as_featured():
    assert (featured_share(np.zeros((BOX,) * 3, np.float32)) == 1).all()
