import numpy as np
import oracles
import pytest

from napari_ini3d.fourier.transforms import (
    cube_radius,
    cube_to_map,
    frequency_disk,
    gridding_profile,
    images_to_disk,
    map_to_cube,
)
from napari_ini3d.kernels import cpu
from napari_ini3d.particles import Assignments, OpticsGroup
from napari_ini3d.simulation import make_phantom
from napari_ini3d.simulation.particles import project_phantom

BOX = 32
PIXEL_SIZE = 5.0


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def components(image: np.ndarray, radius: int = 10) -> np.ndarray:
    disk = frequency_disk(len(image), radius)
    return images_to_disk(image[None].astype(np.float32), disk)[0]


def test_the_components_of_an_image_lie_side_by_side(rng):
    images = rng.standard_normal((3, BOX, BOX)).astype(np.float32)
    found = images_to_disk(images, frequency_disk(BOX, 10))
    assert found.flags.c_contiguous
    assert found.dtype == np.complex64


def test_a_disk_holds_each_independent_component_once():
    disk = frequency_disk(BOX, 7)
    found = set(zip(disk.kx.tolist(), disk.ky.tolist(), strict=True))
    line = range(-7, 8)
    whole = {(x, y) for x in line for y in line if 0 < x * x + y * y <= 49}
    rest = whole - found
    # a component on kx = 0 with ky < 0 is the mate of one with ky > 0
    assert found <= whole
    assert rest == {(-x, -y) for x, y in found}
    assert len(found) == len(disk) == len(whole) // 2


def test_a_smaller_disk_is_a_prefix_of_a_larger_one():
    small, large = frequency_disk(BOX, 5), frequency_disk(BOX, 9)
    n = large.size_within(5)
    assert n == len(small)
    assert np.array_equal(large.kx[:n], small.kx)
    assert np.array_equal(large.ky[:n], small.ky)
    assert np.array_equal(large.shell, np.rint(np.hypot(large.kx, large.ky)))
    assert large.size_within(0.5) == 0
    assert large.size_within(100) == len(large)


def test_a_point_at_the_centre_has_a_flat_real_transform():
    image = np.zeros((BOX, BOX))
    image[BOX // 2, BOX // 2] = BOX**2
    assert np.allclose(components(image), 1, atol=1e-6)


def test_images_are_transformed_as_the_sum_over_their_pixels_says(rng):
    images = rng.standard_normal((3, BOX, BOX)).astype(np.float32)
    disk = frequency_disk(BOX, BOX // 2 - 1)
    found = images_to_disk(images, disk)
    assert found.dtype == np.complex64
    for image, transform in zip(images, found, strict=True):
        expected = oracles.transform_at(image.astype(float), disk.kx, disk.ky)
        assert np.allclose(transform, expected, atol=1e-6)


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (4, 5)])
def test_a_shift_of_an_image_multiplies_its_transform_by_a_phase_ramp(rng, shift):
    image = rng.standard_normal((BOX, BOX))
    moved = np.roll(image, shift[::-1], axis=(0, 1))
    disk = frequency_disk(BOX, 10)
    rotated = components(image) * oracles.shift_wave(disk.kx, disk.ky, np.array(shift), BOX)
    assert np.allclose(components(moved), rotated, atol=1e-6)


@pytest.mark.parametrize(("radius", "padding"), [(5, 1), (5, 2), (15, 1), (15, 2)])
def test_a_cube_holds_the_sums_over_the_voxels_of_a_map(rng, radius, padding):
    volume = rng.standard_normal((BOX, BOX, BOX)).astype(np.float32)
    cube = map_to_cube(volume, radius, padding)
    m = radius * padding + 1
    assert cube.shape == (2 * m + 1, 2 * m + 1, m + 2)
    assert cube.dtype == np.complex64
    read = cube_radius(m) <= radius * padding + 1  # all that slices within the radius touch
    read[:, :, m + 1] = False
    expected = oracles.map_to_cube(volume.astype(float), m, padding)
    assert np.allclose(cube[read], expected[read], atol=2e-5)


@pytest.mark.parametrize(("m", "padding"), [(6, 1), (11, 2), (15, 2)])
def test_a_map_has_the_components_of_its_cube_and_no_others(rng, m, padding):
    cube = oracles.random_cube(rng, m)
    cube[:, :, m + 1] = 0
    cube[m, m, 0] = cube[m, m, 0].real
    expected = oracles.cube_to_map(cube, 24, padding)
    found = cube_to_map(cube, 24, padding)
    assert found.shape == (24, 24, 24)
    assert found.dtype == np.float32
    # without the column m + 1, which both leave empty
    assert np.allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("padding", [1, 2])
def test_a_map_comes_back_from_its_cube_low_passed(rng, padding):
    volume = make_phantom(seed=2, diameter=100, domains=3).density(BOX, PIXEL_SIZE)
    cube = map_to_cube(volume, 10, padding)
    back = cube_to_map(
        np.where(cube_radius(10 * padding + 1) <= 10 * padding, cube, 0), BOX, padding
    )
    k = np.fft.fftfreq(BOX, 1 / BOX)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    expected = np.fft.ifftn(np.fft.fftn(volume) * (radius <= 10)).real
    error = np.linalg.norm(back - expected) / np.linalg.norm(expected)
    assert error < (1e-5 if padding == 1 else 0.06)  # a finer sphere has another edge


def test_a_whole_cube_gives_the_map_back():
    volume = make_phantom(seed=2, diameter=100, domains=3).density(BOX, PIXEL_SIZE)
    cube = map_to_cube(volume, BOX // 2 - 1, 1)
    back = cube_to_map(cube, BOX, 1)
    assert np.linalg.norm(back - volume) < 1e-5 * np.linalg.norm(volume)


def shell_correlations(first: np.ndarray, second: np.ndarray, shell: np.ndarray) -> np.ndarray:
    def total(values):
        return np.bincount(shell, values.sum(0))[1:]

    cross = total((first * second.conj()).real)
    return cross / np.sqrt(total(np.abs(first) ** 2) * total(np.abs(second) ** 2))


def phantom_slices(padding: int, radius: int, *, corrected: bool) -> tuple[np.ndarray, ...]:
    """Return slices of a phantom's map, and the transforms of its exact projections."""
    rng = np.random.default_rng(4)
    phantom = make_phantom(seed=3, diameter=100, domains=3)
    count = 30
    angles = rng.uniform([-180, 0, -180], [180, 180, 180], (count, 3)).T
    zero = np.zeros(count)
    poses = Assignments(zero, *angles, zero, zero, zero + 1, zero + 1, zero, zero, zero + 1)
    optics = OpticsGroup("one", 1, 300.0, 2.7, 0.1, PIXEL_SIZE, BOX)
    disk = frequency_disk(BOX, radius)
    exact = images_to_disk(project_phantom(phantom, optics, poses), disk) * PIXEL_SIZE**2
    volume = phantom.density(BOX, PIXEL_SIZE)
    if corrected:
        volume = volume / gridding_profile(BOX, padding)
    rot, tilt, psi = np.deg2rad(angles)
    matrices = relion_matrices(rot, tilt, psi).astype(np.float32)
    slices = np.empty(exact.shape, np.complex64)
    pad = np.float32(padding)
    cpu.project(
        map_to_cube(volume, radius, padding), matrices, disk.kx * pad, disk.ky * pad, slices
    )
    return slices, exact, disk.shell


def relion_matrices(rot: np.ndarray, tilt: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Return Rz(psi) Ry(tilt) Rz(rot) of coordinate axes, multiplied out."""

    def about(axis: int, angle: np.ndarray) -> np.ndarray:
        i, j = {2: (0, 1), 1: (2, 0)}[axis]
        rotation = np.zeros((len(angle), 3, 3))
        rotation[:, axis, axis] = 1
        rotation[:, i, i] = rotation[:, j, j] = np.cos(angle)
        rotation[:, i, j], rotation[:, j, i] = np.sin(angle), -np.sin(angle)
        return rotation

    return about(2, psi) @ about(1, tilt) @ about(2, rot)


def test_slices_of_a_map_are_the_transforms_of_its_projections():
    two_thirds = int(BOX / 2 * 2 / 3)
    plain, exact, shell = phantom_slices(1, two_thirds, corrected=True)
    padded, _, _ = phantom_slices(2, two_thirds, corrected=True)
    of_plain, of_padded = (shell_correlations(s, exact, shell) for s in (plain, padded))
    assert of_plain.min() > 0.97
    assert np.vdot(plain, exact).real > 0.99 * np.linalg.norm(plain) * np.linalg.norm(exact)
    assert of_padded.min() > 0.99
    assert (1 - of_padded).mean() < 0.5 * (1 - of_plain).mean()
    # one scale for both, in two and in three dimensions
    assert np.linalg.norm(padded) == pytest.approx(np.linalg.norm(exact), rel=0.02)


def test_the_gridding_correction_makes_slices_better():
    corrected, exact, _ = phantom_slices(1, 8, corrected=True)
    raw, _, _ = phantom_slices(1, 8, corrected=False)
    error = [np.linalg.norm(s - exact) for s in (corrected, raw)]
    assert error[0] < 0.7 * error[1]


@pytest.mark.parametrize("padding", [1, 2])
def test_the_gridding_profile_is_the_fading_of_trilinear_interpolation(padding):
    profile = gridding_profile(BOX, padding)
    assert profile.shape == (BOX, BOX, BOX)
    assert profile[BOX // 2, BOX // 2, BOX // 2] == 1
    # the transform of the triangle 1 - |k| at a place x is sinc²(x / size)
    k = np.linspace(-1, 1, 20001)
    for x in (3, 10, 16):
        wave = np.cos(2 * np.pi * k * x / (BOX * padding))
        expected = np.trapezoid((1 - np.abs(k)) * wave, k)
        assert profile[BOX // 2, BOX // 2 - x, BOX // 2] == pytest.approx(expected, rel=1e-4)
    corner = profile[BOX // 2, BOX // 2, 0] * profile[BOX // 2, 0, BOX // 2]
    assert profile[BOX // 2, 0, 0] == pytest.approx(corner, rel=1e-5)
