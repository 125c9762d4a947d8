from dataclasses import replace

import numpy as np
import oracles
import pytest

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.images import excess_limits, independent_components
from napari_ini3d.engine.noise import InitialNoise, initial_noise
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.robust_weights import (
    ExcessLimits,
    highest_excess,
    robust_weights,
    typical_power,
)
from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.optics.ctf import compute_ctf, ctf_parameters
from napari_ini3d.particles import OpticsGroup
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, DIAMETER = 32, 5.0, 115.0
SHELLS = BOX // 2 + 1
NUMBER = 400


@pytest.mark.parametrize("components", [1, 5, 40])
def test_pure_noise_exceeds_the_limit_in_less_than_one_shell_in_a_thousand(components):
    rng = np.random.default_rng(1)
    power = np.zeros(20_000)
    for _ in range(components):  # |X|² of a complex component of noise, relative to its mean
        power += (rng.standard_normal((2, len(power))) ** 2).sum(0) / 2 / components
    (limit,) = highest_excess(np.array([components]))
    assert (power > limit).mean() < 1e-3
    assert (power > limit / 1.5).mean() == pytest.approx(1e-3, abs=1e-3)
    assert (power > limit / 1.5).any()


def limits_of(*count: float) -> ExcessLimits:
    """Return the limits of shells from 1 on; shell 0 has no components that count."""
    return ExcessLimits.of(np.array([1.0, *count]))


def test_ordinary_shells_weigh_one_and_the_brighter_one_is_the_less_power_it_contributes():
    limits = limits_of(20.0)
    excess = np.stack([np.zeros(501), np.linspace(0, 50, 501)], 1)
    weight, top = robust_weights(excess, limits)[:, 1], limits.shell[1]
    e = excess[:, 1]
    assert (weight[e <= top] == 1).all()
    assert np.allclose(weight[e > top], (top / e[e > top]) ** 4, rtol=1e-5)
    assert (np.diff((weight * e)[e > top]) < 0).all()


def test_inner_shells_of_few_components_are_judged_as_one():
    limits = limits_of(1.0, 2.0, 3.0, 4.0, 20.0)
    edge = np.array([[0.0, 6.0, 6.0, 5.0, 3.0, 1.0]])  # each shell alone could be noise
    assert (edge < limits.shell).all()
    weight = robust_weights(edge, limits)[0]
    together = (6 + 12 + 15 + 12) / 10
    expected = (limits.together[4] / together) ** 4
    assert np.allclose(weight[1:5], expected, rtol=1e-5)
    assert expected < 0.6
    assert weight[5] > expected  # the shell beyond them has no excess, and counts more


def test_noise_seldom_weighs_less_than_one_in_any_shell():
    rng = np.random.default_rng(3)
    count = np.array([1.0, 1.5, 2.0, 4.0, 4.0, 6.0, 6.0])
    excess = np.insert(rng.gamma(count, 1 / count, (20_000, len(count))), 0, 1.0, axis=1)
    assert (robust_weights(excess, limits_of(*count)) < 1).any(1).mean() < 2e-3


@pytest.mark.parametrize("bright", [0.0, 0.3])
def test_the_typical_power_is_that_of_the_noise_though_three_images_in_ten_are_bright(bright):
    rng = np.random.default_rng(2)
    n, count = 2000, np.array([4.0, 20.0, 100.0])
    mean, limits = np.array([3.0, 0.5, 7.0]), limits_of(*count)
    power = mean * rng.gamma(count, 1 / count, (n, 3))
    power[: round(bright * n)] *= rng.uniform(30, 1000, (round(bright * n), 1))
    found = typical_power(np.insert(power, 0, 0.0, axis=1), limits)[1:]
    error = 4 / np.sqrt(count * n * (1 - bright))  # four standard errors of the mean
    # what is left of the bright images: limit⁴ / 30³ each at most, and there are 3 for 7 others
    left = bright / (1 - bright) * limits.shell[1:] ** 4 / 30**3
    assert (found > mean * (1 - error)).all()
    assert (found < mean * (1 + error + left)).all()
    assert (np.mean(power, 0) > 20 * mean).all() == (bright > 0)


def test_the_typical_power_of_inner_shells_is_that_of_the_particles_among_carbon_edges():
    # a third of the images has 25, 15 and 7 times the power in the shells of few components:
    # judged one by one, with the limits of so few components, they raised it several times
    rng = np.random.default_rng(8)
    count = np.array([1.1, 1.6, 2.1, 4.3, 3.7, 5.4])
    power = rng.gamma(count, 1 / count, (3000, 6))
    power[:1000] *= np.array([25.0, 15.0, 7.0, 2.0, 1.0, 1.0])
    found = typical_power(np.insert(power, 0, 0.0, axis=1), limits_of(*count))[1:]
    assert (found > 0.8).all()
    assert (found < 2).all()  # 8 where each shell is judged alone


def test_a_mask_leaves_as_many_independent_components_as_it_leaves_area():
    disk = frequency_disk(BOX, BOX // 2 - 1)
    whole = np.bincount(disk.shell, minlength=SHELLS)
    assert np.allclose(independent_components(BOX, 3 * BOX), whole)
    half = independent_components(BOX, BOX / 2)
    pixels = (np.hypot(*np.mgrid[-16:16, -16:16]) <= BOX / 4).sum() / BOX**2
    assert np.allclose(half, whole * pixels, rtol=0.03)


def noise_of(images: np.ndarray, *, premultiplied: bool = False, groups: int = 1) -> InitialNoise:
    """Return the first estimate of the noise of some images (400, n, n)."""
    settings = SimulationSettings(
        number=len(images), box_size=BOX, pixel_size=PIXEL_SIZE, groups=groups, seed=2
    )
    data = simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)
    optics = tuple(with_ctf_done(group, premultiplied) for group in data.particles.optics)
    particles = replace(data.particles, optics=optics)
    if premultiplied:
        images = multiplied_by_ctf(images, particles)
    resolved = resolve_settings(
        InitialModelSettings(mask_diameter=DIAMETER, threads=1), pixel_size=PIXEL_SIZE
    )
    executor = TileExecutor(choose_backend("cpu"), 1)
    try:
        source = InMemorySource(images, PIXEL_SIZE)
        return initial_noise(RunContext.of(source, particles, resolved, executor))
    finally:
        executor.close()


def with_ctf_done(group: OpticsGroup, premultiplied: bool) -> OpticsGroup:
    return replace(group, ctf_premultiplied=premultiplied)


def multiplied_by_ctf(images: np.ndarray, particles) -> np.ndarray:
    ky, kx = np.meshgrid(
        np.fft.fftfreq(BOX, PIXEL_SIZE), np.fft.rfftfreq(BOX, PIXEL_SIZE), indexing="ij"
    )
    ctf = compute_ctf(ctf_parameters(particles, 0), kx, ky)
    return np.fft.irfft2(np.fft.rfft2(images) * ctf, s=(BOX, BOX)).astype(np.float32)


def white(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((NUMBER, BOX, BOX)).astype(np.float32)


Y, X = np.mgrid[-16:16, -16:16]
BLOB = (10 * np.exp(-((X - 3) ** 2 + (Y + 2) ** 2) / 32)).astype(np.float32)


def add_blobs(images: np.ndarray, share: float) -> np.ndarray:
    """Return images of which some have a blob of ten times the spread of the noise."""
    out = images.copy()
    out[: round(share * len(out))] += BLOB
    return out


def allowance(share: float) -> np.ndarray:
    """Return what blobs may add to the noise of the shells from 1 to 15: up to the limit."""
    disk = frequency_disk(BOX, BOX // 2 - 1)
    power = np.abs(oracles.transform_at(BLOB, disk.kx, disk.ky)) ** 2
    ratio = BOX**2 * np.array([power[disk.shell == shell].mean() for shell in range(1, 16)])
    limit = excess_limits(BOX, DIAMETER / PIXEL_SIZE).shell[1:16]
    near = (ratio > 0.05) & (ratio < 10 * limit)  # a blob that is hardly brighter counts in part
    assert 1 <= near.sum() <= 3
    return np.where(near, share / (1 - share) * limit, 0)


@pytest.mark.parametrize(("share", "words"), [(0.0, ""), (0.3, "120 of 400 images")])
def test_bright_images_are_counted_in_the_log(caplog, share, words):
    caplog.set_level("INFO", "napari_ini3d")
    noise_of(add_blobs(white(np.random.default_rng(4)), share))
    assert words in caplog.text
    assert ("far stronger" in caplog.text) == (share > 0)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_first_noise_is_that_of_the_images_without_bright_contaminants(share):
    images = white(np.random.default_rng(4))
    found = noise_of(add_blobs(images, share))
    # white noise of variance 1 has 1 / n² in a component, half of it in its real part
    ratio = found.sigma2[0, 1:16] / (0.5 / BOX**2)
    assert (ratio > 0.88).all()
    assert (ratio < 1.12 + allowance(share)).all()
    assert np.median(ratio) == pytest.approx(1, abs=0.06)
    if share:
        mean = noise_of(add_blobs(images, 1.0)).sigma2[0]  # when it is typical, it counts
        assert mean[1] > 10 * found.sigma2[0, 1]


def test_the_typical_power_is_that_of_masked_images():
    found = noise_of(white(np.random.default_rng(5)))
    disk = frequency_disk(BOX, BOX // 2 - 1)
    whole = np.bincount(disk.shell, minlength=SHELLS) / BOX**2
    r, edge = np.hypot(*np.mgrid[-16:16, -16:16]), 14.0 / PIXEL_SIZE
    radius = DIAMETER / PIXEL_SIZE / 2
    mask = 0.5 + 0.5 * np.cos(np.pi * np.clip((r - radius) / edge, 0, 1))
    expected = whole * (mask**2).mean()
    assert np.allclose(found.typical_power[0, 2:16], expected[2:16], rtol=0.1)


def test_noise_that_was_multiplied_by_the_ctf_is_found_as_it_was_before():
    images = white(np.random.default_rng(6))
    raw, found = noise_of(images), noise_of(images, premultiplied=True)
    # the background is scaled to variance 1, of which the CTF has taken a part: one factor
    ratio = found.sigma2[0, 3:15] / raw.sigma2[0, 3:15]
    assert np.allclose(ratio, ratio.mean(), rtol=0.1)
    assert 1.2 < ratio.mean() < 4
    bright = noise_of(add_blobs(images, 0.3), premultiplied=True).sigma2[0, 1:15]
    ratio = bright / found.sigma2[0, 1:15]
    assert (ratio > 0.85).all()
    assert (ratio < 1.15 + allowance(0.3)[:14]).all()


def test_an_optics_group_is_compared_with_its_own_typical_power():
    images = white(np.random.default_rng(7))
    settings = SimulationSettings(
        number=NUMBER, box_size=BOX, pixel_size=PIXEL_SIZE, groups=2, seed=2
    )
    data = simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)
    second = data.particles.optics_index == 1
    images[second] += BLOB  # all images of the group: nothing unusual there
    found = noise_of(images, groups=2)
    plain = noise_of(white(np.random.default_rng(7)), groups=2)
    assert np.allclose(found.sigma2[0], plain.sigma2[0])
    assert found.typical_power[1, 1] > 10 * found.typical_power[0, 1]
    assert found.sigma2[1, 1] > 10 * found.sigma2[0, 1]
