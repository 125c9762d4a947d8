import dataclasses

import numpy as np
import pytest

from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry.euler import euler_to_matrix
from napari_ini3d.particles import Assignments, OpticsGroup
from napari_ini3d.simulation import (
    InMemorySource,
    Phantom,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)
from napari_ini3d.simulation.particles import project_phantom

PHANTOM = make_phantom("C1", diameter=100, domains=2)
SETTINGS = SimulationSettings(number=40, box_size=32, pixel_size=5.0, seed=5)
OPTICS = OpticsGroup("one", 1, 300.0, 2.7, 0.1, 2.0, 32)


def poses(rot: float, tilt: float, psi: float, x: float = 0.0, y: float = 0.0) -> Assignments:
    one = [np.array([value]) for value in (0, rot, tilt, psi, x, y, 1.0, 1, 0.0, 0.0, 1.0)]
    return Assignments(*one)


def clean(**changes: object) -> SimulationSettings:
    return SETTINGS.with_changes(snr=1e8, noise_colour=0.0, **changes)


def test_a_view_along_z_is_the_sum_of_the_map_along_z():
    optics = dataclasses.replace(OPTICS, pixel_size=5.0)
    image = project_phantom(PHANTOM, optics, poses(0, 0, 0), 12.0)[0]
    expected = PHANTOM.density(32, 5.0, 12.0).sum(axis=0) / 25.0
    assert np.allclose(image, expected, atol=1e-5 * expected.max())


def test_a_bead_is_projected_to_its_position_on_the_image_axes():
    bead = Phantom(np.array([[9.0, 5.0, -14.0]]), np.array([3.0]), 4.0, "C1")
    image = project_phantom(bead, OPTICS, poses(20, 50, 70, x=3.0, y=-6.0))[0]
    x, y = (euler_to_matrix(*np.array([20.0, 50, 70])) @ bead.positions[0])[:2] - (3.0, -6.0)
    line = (np.arange(32) - 16) * 2.0
    expected = np.exp(-((line[:, None] - y) ** 2 + (line - x) ** 2) / 32) * 3 / (2 * np.pi * 16)
    assert np.allclose(image, expected, atol=1e-4 * expected.max())


def test_the_origin_is_the_shift_that_centres_the_particle():
    shifted = project_phantom(PHANTOM, OPTICS, poses(10, 20, 30, x=6.0, y=-4.0))[0]
    centred = project_phantom(PHANTOM, OPTICS, poses(10, 20, 30))[0]
    assert np.allclose(np.roll(shifted, (-2, 3), axis=(0, 1)), centred, atol=1e-5 * centred.max())


def test_equal_settings_give_equal_particles():
    first, again = (simulate_particles(PHANTOM, SETTINGS) for _ in range(2))
    assert np.array_equal(first.images, again.images)
    other = simulate_particles(PHANTOM, SETTINGS.with_changes(seed=6))
    assert not np.array_equal(first.images, other.images)


def test_noise_has_variance_one_and_the_signal_the_requested_snr():
    settings = SETTINGS.with_changes(number=200, offset_sigma=0.0, snr=0.5)
    noisy = simulate_particles(PHANTOM, settings).images
    line = (np.arange(32) - 16) * 5.0
    radius = np.hypot(line[:, None], line)
    outside, inside = (noisy[:, m].var() for m in (radius > 75, radius < PHANTOM.diameter / 2))
    assert outside == pytest.approx(1.0, abs=0.06)
    assert inside - 1 == pytest.approx(0.5, abs=0.12)


def test_the_snr_in_a_larger_circle_is_that_of_a_stronger_signal():
    settings = clean(offset_sigma=0.0)
    near, far = (
        simulate_particles(PHANTOM, settings.with_changes(snr_diameter=diameter)).images
        for diameter in (80.0, 150.0)
    )
    line = (np.arange(32) - 16) * 5.0
    inside = np.hypot(line[:, None], line) < 75
    assert far[:, inside].var() == pytest.approx(1e8, rel=1e-3)
    assert far.std() > 1.1 * near.std()


def test_coloured_noise_is_stronger_at_low_frequency():
    noise = simulate_particles(PHANTOM, SETTINGS.with_changes(number=300, snr=1e-6)).images
    power = (np.abs(np.fft.rfft2(noise)) ** 2).mean(axis=0)
    assert power[1, 1] / power[16, 16] == pytest.approx(1.8 / 1.0, rel=0.2)


def test_empty_images_have_noise_only_and_are_marked():
    settings = clean(number=60, junk=0.4, junk_kinds=("empty",))
    simulated = simulate_particles(PHANTOM, settings)
    signal = simulated.images.std(axis=(1, 2))
    assert 0.2 < simulated.is_junk.mean() < 0.6
    assert signal[simulated.is_junk].max() < 0.01 * signal[~simulated.is_junk].min()


def test_neighbours_are_in_the_requested_fraction_of_the_images():
    settings = clean(number=60, junk=1.0, neighbours=0.5, ctf=False, resolution=15.0)
    touched = simulate_particles(PHANTOM, settings).images.std(axis=(1, 2)) > 10
    assert 0.3 < touched.mean() < 0.7


def test_preferred_views_are_along_z_or_from_the_side():
    settings = SETTINGS.with_changes(number=400, preferred=1.0, view_spread=3.0)
    tilt = simulate_particles(PHANTOM, settings).truth.tilt
    near_z, near_side = tilt < 15, np.abs(tilt - 90) < 15
    assert (near_z | near_side).all()
    assert 0.4 < near_z.mean() < 0.6


def test_views_are_spread_evenly_without_preference():
    tilt = simulate_particles(PHANTOM, SETTINGS.with_changes(number=400)).truth.tilt
    assert np.cos(np.deg2rad(tilt)).mean() == pytest.approx(0, abs=0.1)
    assert (np.cos(np.deg2rad(tilt)) ** 2).mean() == pytest.approx(1 / 3, abs=0.06)


def test_optics_groups_may_differ_in_box_and_pixel_size():
    fine = dataclasses.replace(OPTICS, number=2, pixel_size=2.5, box_size=64, voltage=200.0)
    coarse = dataclasses.replace(OPTICS, pixel_size=5.0)
    simulated = simulate_particles(PHANTOM, SETTINGS.with_changes(optics=(coarse, fine)))
    particles = simulated.particles
    assert [stack.shape for stack in simulated.stacks] == [(20, 32, 32), (20, 64, 64)]
    assert particles.optics[1].voltage == 200.0
    assert np.array_equal(particles.image_index[20:], np.arange(20))
    assert len({str(path) for path in particles.stack_paths}) == 2


def test_defocus_is_within_the_requested_range():
    settings = SETTINGS.with_changes(defocus_range=(10000.0, 11000.0), astigmatism=500.0)
    particles = simulate_particles(PHANTOM, settings).particles
    mean = (particles.defocus_u + particles.defocus_v) / 2
    assert ((mean >= 9999) & (mean <= 11001)).all()
    assert (particles.defocus_u >= particles.defocus_v).all()


def test_a_source_yields_the_images_of_each_batch_in_order():
    simulated = simulate_particles(PHANTOM, SETTINGS.with_changes(groups=2))
    source = InMemorySource.of(simulated)
    wanted = [np.array([3, 1]), np.array([39])]
    batches = list(source.batches(wanted))
    assert (source.box_size, source.pixel_size) == (32, 5.0)
    assert np.array_equal(batches[0].images, simulated.images[[3, 1]])
    assert np.array_equal(batches[1].index, [39])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 0}, "number is 0"),
        ({"snr": 0.0}, "snr is 0"),
        ({"snr": float("nan")}, "snr is nan"),
        ({"junk": 1.5}, "junk is 1.5"),
        ({"box_size": 33}, "even"),
        ({"pixel_size": -1.0}, "pixel_size is -1"),
        ({"defocus_range": (20000.0, 8000.0)}, "defocus_range"),
        ({"defocus_range": (-8000.0, 8000.0)}, "positive"),
        ({"resolution": 0.0}, "resolution is 0"),
        ({"snr_diameter": -1.0}, "snr_diameter is -1"),
        ({"optics": (dataclasses.replace(OPTICS, ctf_premultiplied=True),)}, "premultiplied"),
    ],
)
def test_invalid_settings_are_refused(change, message):
    with pytest.raises(SettingsError, match=message):
        SETTINGS.with_changes(**change)
