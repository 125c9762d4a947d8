import numpy as np
import pytest

from napari_ini3d.engine.image_scale import image_scales
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)


def draw(spread: float, number: int = 2000, power: float = 60.0, seed: int = 1):
    """Return true scales, and overlap and power of images that have them."""
    rng = np.random.default_rng(seed)
    truth = 1 + spread * rng.standard_normal(number)
    powers = power * rng.uniform(0.5, 1.5, number)
    return truth, truth * powers + np.sqrt(powers) * rng.standard_normal(number), powers


def test_scales_are_found_with_the_error_of_a_posterior_mean():
    truth, overlap, power = draw(0.3)
    found = image_scales(overlap, power, np.ones(2000))
    expected = np.sqrt(np.mean(1 / (1 / 0.3**2 + power)))
    assert np.sqrt(np.mean((found - truth) ** 2)) == pytest.approx(expected, rel=0.1)


def test_images_of_one_scale_keep_it():
    _, overlap, power = draw(0.0)
    found = image_scales(overlap, power, np.ones(2000))
    assert found.std() < 0.03  # the errors are 0.13


def test_the_common_factor_belongs_to_the_map():
    truth, overlap, power = draw(0.3)
    found = image_scales(0.4 * overlap, power, np.ones(2000))
    assert np.average(found, weights=power) == pytest.approx(1, abs=0.02)
    assert np.corrcoef(found, truth)[0, 1] > 0.85


def test_junk_keeps_the_scale_1_and_does_not_count():
    _, overlap, power = draw(0.3)
    particle = np.ones(2000)
    particle[:500] = 0.01
    found = image_scales(overlap, power, particle)
    assert (found[:500] == 1).all()
    overlap[:500] = 1e6
    np.testing.assert_array_equal(image_scales(overlap, power, particle), found)


def test_wrong_images_do_not_widen_the_spread_of_the_others():
    _, overlap, power = draw(0.0)
    overlap[::20] *= 8
    found = image_scales(overlap, power, np.ones(2000))
    assert np.delete(found, np.s_[::20]).std() < 0.05
    assert found.max() <= 4


@pytest.mark.parametrize("number", [0, 1, 29])
def test_few_images_keep_the_scale_1(number):
    _, overlap, power = draw(0.3, number)
    assert (image_scales(overlap, power, np.ones(number)) == 1).all()


def test_images_without_reference_power_keep_the_scale_1():
    assert (image_scales(np.zeros(100), np.zeros(100), np.ones(100)) == 1).all()


def test_a_run_learns_the_scale_of_each_image():
    settings = SimulationSettings(
        number=300, box_size=24, pixel_size=5.0, snr=1.0, scale_spread=0.5, seed=2
    )
    simulated = simulate_particles(make_phantom(seed=5, diameter=80, domains=3), settings)
    run = InitialModelSettings(mask_diameter=95, iterations=30, starts=1, seed=1, threads=1)
    *_, last = reconstruct(InMemorySource.of(simulated), simulated.particles, run)
    assert np.corrcoef(last.assignments.scale, simulated.faults.scale)[0, 1] > 0.8
