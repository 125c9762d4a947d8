"""Facts about the faults of simulated particles."""

import dataclasses

import numpy as np
import pytest

from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles

PHANTOM = make_phantom("C1", diameter=70, domains=2)
OTHER = make_phantom("C1", diameter=70, domains=2, seed=2)
SETTINGS = SimulationSettings(number=200, box_size=32, pixel_size=5.0, seed=5, offset_sigma=0.0)
CLEAN = SETTINGS.with_changes(snr=1e8, noise_colour=0.0)


def images(settings: SimulationSettings = SETTINGS, **changes: object) -> np.ndarray:
    return simulate_particles(PHANTOM, settings.with_changes(**changes)).images


def test_junk_is_twice_as_often_empty_as_bright_or_at_an_edge():
    kinds = simulate_particles(PHANTOM, SETTINGS.with_changes(number=4000, junk=0.5)).faults
    share = np.bincount(kinds.junk_kind, minlength=4) / 4000
    assert share == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.03)


def test_only_the_requested_kinds_of_junk_appear():
    settings = SETTINGS.with_changes(junk=0.5, junk_kinds=("edge", "empty"))
    simulated = simulate_particles(PHANTOM, settings)
    assert set(simulated.faults.junk_name) == {"none", "empty", "edge"}
    junk = [name != "none" for name in simulated.faults.junk_name]
    assert np.array_equal(junk, simulated.is_junk)


def test_bright_junk_and_edges_stand_out_of_the_noise():
    empty, bright, edge = (
        images(junk=1.0, junk_kinds=(kind,), noise_colour=0.0)
        for kind in ("empty", "bright", "edge")
    )
    assert empty.var() == pytest.approx(1.0, abs=0.02)
    extra = bright - empty  # the noise is the same
    assert ((extra.max(axis=(1, 2)) > 1.5) & (extra.min(axis=(1, 2)) > -1e-3)).all()
    steps = np.abs(edge - empty)
    assert ((steps < 1e-3) | (np.abs(steps - 2.5) < 1e-3)).all()
    assert 0.2 < (steps > 2).mean() < 0.7


def test_one_fault_does_not_change_the_others_or_the_noise():
    plain, hot = images(), images(hot_pixels=0.3)
    changed = plain != hot
    assert changed.any(axis=(1, 2)).mean() == pytest.approx(0.3, abs=0.1)
    assert changed.sum(axis=(1, 2)).max() == 1
    assert np.all(hot[changed] == 500)
    assert np.array_equal(images(invert=True), -plain)


def test_a_neighbour_is_at_the_edge_of_the_box():
    touched = images(CLEAN, neighbours=1.0, ctf=False) - images(CLEAN, ctf=False)
    line = np.arange(32) - 16
    radius = np.hypot(line[:, None], line)
    power = (touched**2).mean(axis=0)
    assert power[radius > 10].mean() > 20 * power[radius < 6].mean()


def test_the_signal_of_each_particle_has_a_scale_of_its_own():
    simulated = simulate_particles(PHANTOM, CLEAN.with_changes(scale_spread=0.2))
    ratio = simulated.images.std(axis=(1, 2)) / images(CLEAN).std(axis=(1, 2))
    assert np.corrcoef(ratio, simulated.faults.scale)[0, 1] > 0.999
    assert 0.8 <= simulated.faults.scale.min() < 0.83
    assert 1.17 < simulated.faults.scale.max() <= 1.2


def test_only_the_given_defocus_is_wrong():
    settings = CLEAN.with_changes(defocus_error=0.03)
    simulated, right = (simulate_particles(PHANTOM, s) for s in (settings, CLEAN))
    assert np.array_equal(simulated.images, right.images)
    ratio = simulated.particles.defocus_u / right.particles.defocus_u
    assert ratio - 1 == pytest.approx(simulated.faults.defocus_error, abs=1e-4)
    assert ratio.std() == pytest.approx(0.03, rel=0.2)


def test_the_bfactor_dampens_the_signal_as_a_gaussian():
    sharp, soft = (np.fft.rfft2(images(CLEAN, bfactor=b)) for b in (0.0, 200.0))
    s2 = np.fft.fftfreq(32, 5.0)[:, None] ** 2 + np.fft.rfftfreq(32, 5.0) ** 2
    shown = s2 < 0.08**2
    ratio = np.sqrt((np.abs(soft) ** 2).sum(0) / (np.abs(sharp) ** 2).sum(0))[shown]
    expected = np.exp(-50 * s2[shown])
    assert ratio / ratio[0] == pytest.approx(expected / expected[0], rel=1e-2)


def test_pink_noise_is_strong_at_low_frequency_and_has_the_ctf():
    settings = SETTINGS.with_changes(
        junk=1.0, junk_kinds=("empty",), noise_colour=0.0, pink_noise=3.0, number=2000,
        defocus_range=(15000.0, 15000.0), astigmatism=0.0,
    )  # fmt: skip
    simulated = simulate_particles(PHANTOM, settings)
    power = (np.abs(np.fft.rfft2(simulated.images)) ** 2).mean(axis=0) / 32**2
    frequency = np.fft.rfftfreq(32, 5.0)
    parameters = ctf_parameters(simulated.particles.take(np.arange(1)), 0)
    ctf = compute_ctf(parameters, frequency, np.zeros_like(frequency))[0]
    excess = power[0, 1:] * 10 - 1  # variance 1 of white noise, and 9 of structure
    expected = ctf[1:] ** 2 / (1 + (frequency[1:] * 60) ** 2)
    assert np.corrcoef(excess, expected)[0, 1] > 0.99


def test_two_views_are_random_directions_with_unequal_shares():
    settings = SETTINGS.with_changes(
        number=2000, preferred=1.0, views="two", view_share=0.65, view_spread=4.0
    )
    truth = simulate_particles(PHANTOM, settings).truth
    direction = euler_to_matrix(truth.rot, truth.tilt, truth.psi)[:, 2]
    near = direction @ direction[0] > np.cos(np.deg2rad(25))
    shares = sorted([near.mean(), 1 - near.mean()])
    assert shares == pytest.approx([0.35, 0.65], abs=0.04)
    for group in (direction[near], direction[~near]):
        centre = group.mean(axis=0) / np.linalg.norm(group.mean(axis=0))
        angle = np.rad2deg(np.arccos(np.clip(group @ centre, -1, 1)))
        assert np.sqrt((angle**2).mean()) == pytest.approx(4 * np.sqrt(2), rel=0.1)
    assert truth.psi.std() > 90


def test_two_states_are_mixed_in_the_requested_shares():
    settings = CLEAN.with_changes(number=400, other_share=0.3, junk=0.2, junk_kinds=("empty",))
    simulated = simulate_particles(PHANTOM, settings, OTHER)
    share = np.bincount(simulated.truth.class_index + 1, minlength=3) / 400
    assert share == pytest.approx([0.2, 0.56, 0.24], abs=0.07)
    alone = simulate_particles(PHANTOM, settings.with_changes(other_share=0.0))
    same = [np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9999 for a, b in
            zip(simulated.images, alone.images, strict=True)]  # fmt: skip
    assert np.array_equal(np.array(same)[~simulated.is_junk],
                          simulated.truth.class_index[~simulated.is_junk] == 0)  # fmt: skip


def test_a_second_state_without_a_molecule_is_refused():
    with pytest.raises(SettingsError, match="no second molecule"):
        simulate_particles(PHANTOM, SETTINGS.with_changes(other_share=0.3))


def test_the_background_is_normalised_in_every_image():
    normalised = images(normalise=True, junk=0.5, neighbours=0.5, pink_noise=0.5)
    line = np.arange(32) - 16
    background = normalised[:, np.hypot(line[:, None], line) > 0.47 * 32]
    assert background.mean(axis=1) == pytest.approx(0, abs=1e-5)
    assert background.std(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("fault", [{}, {"preferred": 0.5}])
def test_without_faults_the_images_are_not_normalised(fault):
    assert not SETTINGS.with_changes(**fault).normalised_with_faults().normalise


@pytest.mark.parametrize("fault", [{"junk": 0.1}, {"neighbours": 0.1}, {"invert": True}])
def test_with_faults_the_images_are_normalised(fault):
    assert SETTINGS.with_changes(**fault).normalised_with_faults().normalise


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"junk_kinds": ("ice",)}, "junk_kinds: found 'ice'; expected one of empty, bright, edge"),
        ({"junk_kinds": ()}, "junk_kinds"),
        ({"views": "side"}, "views: found 'side'"),
        ({"scale_spread": 1.0}, "scale_spread is 1"),
        ({"defocus_error": -0.1}, "defocus_error is -0.1"),
    ],
)
def test_invalid_faults_are_refused(change, message):
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(SETTINGS, **change)
