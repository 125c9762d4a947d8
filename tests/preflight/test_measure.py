import numpy as np
import pytest
import scipy.fft
from particle_images import ArraySource, discs

from napari_ini3d.preflight.measure import (
    describe_contrast,
    estimate_mask_diameter,
    measure_particles,
    must_invert,
)


@pytest.mark.parametrize(
    ("sign", "expected"), [(1, "white on black"), (-1, "black on white"), (0, "undecided")]
)
def test_contrast_is_detected_from_the_centre(sign, expected):
    source = ArraySource(discs(200, 10, sign=sign, noise=3.0))
    assert measure_particles(source, np.arange(200)).contrast == expected


@pytest.mark.parametrize("radius", [9, 13, 17])
def test_the_mask_is_larger_than_the_disc_by_less_than_30_angstrom(radius):
    source = ArraySource(discs(500, radius))
    diameter = estimate_mask_diameter(source, np.arange(500))
    assert 0 < diameter - 2 * radius * 3.0 < 30


def test_the_mask_is_limited_to_the_box():
    source = ArraySource(discs(200, 46, box=96))
    assert estimate_mask_diameter(source, np.arange(200)) == 96 * 3.0


def test_the_mask_does_not_depend_on_binning():
    images = discs(500, 12)
    ft = scipy.fft.fftshift(scipy.fft.fft2(images), axes=(1, 2))[:, 12:36, 12:36]
    binned = scipy.fft.ifft2(scipy.fft.ifftshift(ft, axes=(1, 2))).real / 4
    full = estimate_mask_diameter(ArraySource(images, 3.0), np.arange(500))
    assert estimate_mask_diameter(ArraySource(binned, 6.0), np.arange(500)) == pytest.approx(
        full, abs=12
    )


def test_pure_noise_gives_most_of_the_box(caplog):
    source = ArraySource(np.random.default_rng(0).normal(size=(300, 48, 48)))
    assert estimate_mask_diameter(source, np.arange(300)) == pytest.approx(0.8 * 48 * 3.0)
    assert "is visible in the noise; mask diameter set to 80% of the box" in caplog.text


def test_hollow_particles_and_their_neighbours_do_not_change_the_contrast():
    y, x = np.indices((64, 64)) - 32
    ring = lambda dx, dy: np.abs(np.hypot(x - dx, y - dy) - 14) < 4  # noqa: E731
    rng = np.random.default_rng(0)
    images = np.stack([ring(*rng.normal(0, 1, 2)) for _ in range(200)]).astype(float)
    for image, angle in zip(images[::2], rng.uniform(0, 2 * np.pi, 100), strict=True):
        image += ring(38 * np.cos(angle), 38 * np.sin(angle))
    images += rng.normal(0, 2, images.shape)
    for sign, expected in ((1, "white on black"), (-1, "black on white")):
        assert measure_particles(ArraySource(sign * images), np.arange(200)).contrast == expected
    assert estimate_mask_diameter(ArraySource(images), np.arange(200)) == pytest.approx(
        2 * 18 * 3.0 * 1.1, rel=0.15
    )


def test_particles_off_centre_do_not_widen_the_mask():
    rng = np.random.default_rng(1)
    images = discs(400, 10, noise=0.5)
    moved = [np.roll(im, rng.normal(0, 4, 2).round().astype(int), (0, 1)) for im in images]
    centred = estimate_mask_diameter(ArraySource(images), np.arange(400))
    assert estimate_mask_diameter(ArraySource(moved), np.arange(400)) == pytest.approx(
        centred, rel=0.15
    )


def test_bright_junk_changes_neither_contrast_nor_mask():
    rng = np.random.default_rng(2)
    images = discs(400, 10, sign=-1, noise=2.0)
    clean = estimate_mask_diameter(ArraySource(images), np.arange(400))
    y, x = np.indices((48, 48)) - 24
    for image in images[::8]:
        dx, dy = rng.uniform(-20, 20, 2)
        image += 30 * np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 20)
    source = ArraySource(images)
    assert measure_particles(source, np.arange(400)).contrast == "black on white"
    assert estimate_mask_diameter(source, np.arange(400)) == pytest.approx(clean, rel=0.1)


@pytest.mark.parametrize(
    ("contrast", "setting", "inverted", "words"),
    [
        ("black on white", "auto", True, "the images are inverted"),
        ("white on black", "auto", False, "the images are not inverted"),
        ("undecided", "auto", False, "cannot be measured; the images are not inverted"),
        ("black on white", "no", False, "with invert_contrast no the map will be inverted"),
        ("white on black", "yes", True, "with invert_contrast yes the map will be inverted"),
        ("black on white", "yes", True, "the images are inverted"),
    ],
)
def test_images_are_inverted_as_measured_or_as_set(contrast, setting, inverted, words):
    assert must_invert(contrast, setting) == inverted
    assert words in describe_contrast(contrast, setting)
