"""Kernels that prepare images, on the CPU and in CUDA, against slow and obvious versions."""

import numpy as np
import pytest

from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.kernels.cpu import preparation

BOX = 12
AREA = BOX * BOX


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def background(rng) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a mean over some pixels, and three planes that are orthonormal under them."""
    weight = (rng.random(AREA) < 0.6).astype(float)
    weight /= weight.sum()
    y, x = np.divmod(np.arange(AREA), BOX)
    columns = np.stack([np.ones(AREA), x / BOX, y / BOX], 1) * np.sqrt(weight)[:, None]
    planes = np.stack([np.ones(AREA), x / BOX, y / BOX]).T @ np.linalg.inv(
        np.linalg.cholesky(columns.T @ columns).T
    )
    return weight.astype(np.float32), planes.T.astype(np.float32)


def normalised(image, weight, planes, shift, sign) -> np.ndarray:
    flat = image.astype(float).ravel()
    for plane in planes.astype(float):
        flat = flat - (flat * weight * plane).sum() * plane
    flat *= sign / np.sqrt((flat**2 * weight).sum())
    return np.roll(flat.reshape(BOX, BOX), shift[::-1], (0, 1))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", [0.0, 3000.0])
def test_images_are_flattened_scaled_shifted_and_masked(kernels, rng, sign, level):
    weight, planes = background(rng)
    y, x = np.mgrid[:BOX, :BOX]
    images = 5 * rng.standard_normal((4, BOX, BOX)) + 0.3 * x - 0.7 * y + level
    images, mask = images.astype(np.float32), rng.random((BOX, BOX)).astype(np.float32)
    shift = np.array([[0, 0], [3, -2], [-13, 29], [0, 5]], np.int32)
    whole, masked = np.full((2, 4, BOX, BOX), np.nan, np.float32)
    kernels.normalise_images(images, weight, planes, mask, shift, sign, whole, masked)
    expected = [
        normalised(image, weight.astype(float), planes, by, sign)
        for image, by in zip(images, shift.tolist(), strict=True)
    ]
    assert np.allclose(whole, expected, atol=3e-3 if level else 2e-5)
    assert np.array_equal(masked, whole * mask)


def test_a_constant_image_becomes_zero_without_a_change_of_scale(kernels, rng):
    weight, planes = background(rng)
    images = np.full((1, BOX, BOX), 7, np.float32)
    no_shift, mask = np.zeros((1, 2), np.int32), np.ones((BOX, BOX), np.float32)
    whole, masked = np.full((2, 1, BOX, BOX), np.nan, np.float32)
    kernels.normalise_images(images, weight, planes, mask, no_shift, 1, whole, masked)
    assert np.abs(whole).max() < 1e-5
    assert np.abs(masked).max() < 1e-5


@pytest.mark.parametrize("radius", [2, 5])
def test_components_come_with_power_excess_and_weight_of_their_shells(kernels, rng, radius):
    disk, n_shells = frequency_disk(BOX, radius), BOX // 2 + 1
    shape = (3, BOX, BOX // 2 + 1)
    whole, masked = (
        (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
        for _ in range(2)
    )
    typical = rng.uniform(1e-4, 1e-3, n_shells).astype(np.float32)
    typical[1] = np.inf  # not known
    limits = rng.uniform(0.5, 2, (3 + n_shells, n_shells)).astype(np.float32)
    components = np.full((3, len(disk)), np.nan, np.complex64)
    excess, weight, power = np.full((3, 3, n_shells), np.nan, np.float32)
    arguments = (whole, masked, disk.place, disk.factor, disk.first, typical, limits)
    kernels.disk_components(*arguments, components, excess, weight, power)
    for b in range(3):
        of_shell = np.zeros((2, n_shells))
        for p, (kx, ky) in enumerate(zip(disk.kx.astype(int), disk.ky.astype(int), strict=True)):
            sign = 1 - 2 * ((kx + ky) % 2)  # moves the origin to the middle of the image
            values = [part[b, ky, kx] * sign / BOX**2 for part in (whole, masked)]
            assert components[b, p] == pytest.approx(values[1], rel=1e-5)
            of_shell[:, disk.shell[p]] += np.abs(values) ** 2
        assert np.allclose(power[b], of_shell[0], rtol=1e-5)
        assert np.allclose(excess[b], of_shell[1] / typical, rtol=1e-5)
        for shell in range(n_shells):
            ratios = [limits[1, shell] / max(excess[b, shell], 1e-30)]
            together = sum(excess[b, s] * limits[3 + s, shell] for s in range(n_shells))
            ratios.append(limits[2, shell] / max(together, 1e-30))
            assert weight[b, shell] == pytest.approx(min(1, *ratios) ** 4, rel=1e-4)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
def test_the_ctf_is_the_sine_of_its_phase(kernels, rng, ignored, flipped):
    kx, ky = (rng.integers(-9, 10, 40).astype(np.float32) for _ in range(2))
    terms = np.stack([rng.uniform(5e3, 3e4, 3), *rng.uniform(-500, 500, (2, 3)), [0.1, 1, 2]], 1)
    unit, wavelength, spherical = 1 / 200, 0.025, 650.0
    out = np.full((3, 40), np.nan, np.float32)
    kernels.ctf_values(terms, kx, ky, unit, wavelength, spherical, ignored, flipped, out)
    fx, fy = (k.astype(float) * unit for k in (kx, ky))
    for (a, b, c, constant), found in zip(terms, out, strict=True):
        for x, y, value in zip(fx, fy, found, strict=True):
            defocus = a * (x * x + y * y) + b * (x * x - y * y) + c * x * y
            phase = np.pi * wavelength * defocus - spherical * (x * x + y * y) ** 2 + constant
            expected = 1.0 if ignored and abs(phase) < np.pi / 2 else np.sin(phase)
            assert value == pytest.approx(abs(expected) if flipped else expected, abs=1e-6)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_images_are_weighted_by_ctf_noise_shell_and_scale(kernels, rng, premultiplied):
    components = (rng.standard_normal((3, 20)) + 1j).astype(np.complex64)
    ctf = rng.uniform(-1, 1, (3, 20)).astype(np.float32)
    shell = np.sort(rng.integers(0, 5, 20)).astype(np.int32)
    shell_weight, sigma2 = rng.random((3, 5), np.float32), rng.uniform(0.5, 2, 5).astype(np.float32)
    scale = np.array([1, 0.5, 2], np.float32)
    weighted, ctf2 = np.empty_like(components), np.empty_like(ctf)
    given = (components, ctf, shell, shell_weight, sigma2, scale, premultiplied)
    kernels.weigh_images(*given, weighted, ctf2)
    for b, p in np.ndindex(3, 20):
        weight = shell_weight[b, shell[p]] / sigma2[shell[p]]
        factor = weight * scale[b] * (1 if premultiplied else ctf[b, p])
        assert weighted[b, p] == pytest.approx(components[b, p] * factor, rel=1e-5)
        assert ctf2[b, p] == pytest.approx(weight * (scale[b] * ctf[b, p]) ** 2, rel=1e-5)


def test_a_shell_without_components_has_no_power():
    first = np.array([0, 0, 2, 2], np.int32)
    power = np.full((1, 3), np.nan, np.float32)
    preparation._sum_shells(np.array([[1, 2j]], np.complex64), first, power)
    assert power.tolist() == [[0, 5, 0]]
