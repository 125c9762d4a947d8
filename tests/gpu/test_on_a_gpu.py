"""Tests that need an NVIDIA GPU and CuPy; run with `pytest -m gpu`."""

import numpy as np
import oracles
import pytest

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.normalisation import background_planes
from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.kernels import cpu
from napari_ini3d.kernels.backend import choose_backend, list_gpus
from napari_ini3d.kernels.types import Backend
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

PIXEL_SIZE, DIAMETER = 5.0, 115.0


@pytest.fixture
def gpu() -> Backend:
    if not list_gpus():
        pytest.skip("no NVIDIA GPU, or no CuPy")
    return choose_backend("gpu:0")


@pytest.fixture(scope="module")
def particles() -> SimulatedParticles:
    settings = SimulationSettings(
        number=300, box_size=32, pixel_size=PIXEL_SIZE, snr=2.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)


def run(data: SimulatedParticles, device: str, **changes: object):
    settings = InitialModelSettings(
        mask_diameter=DIAMETER, iterations=20, starts=2, offset_range=10.0, device=device
    )
    source = InMemorySource.of(data)
    return list(reconstruct(source, data.particles, settings.with_changes(**changes)))[-1]


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    parts = rng.standard_normal((2, *shape))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def slicing_arguments(rng):
    disk, m = frequency_disk(48, 20), 21
    cube, matrices = oracles.random_cube(rng, m), oracles.random_matrices(rng, 300)
    values = noise(rng, 300, len(disk))
    weight = rng.uniform(0.5, 2, values.shape).astype(np.float32)
    return {
        "project": (cube, matrices, disk.kx, disk.ky, np.empty_like(values)),
        "backproject": (
            values,
            weight,
            matrices,
            disk.kx,
            disk.ky,
            np.zeros_like(cube),
            np.zeros(cube.shape, np.float32),
        ),
        "symmetrise": (
            cube,
            np.abs(cube),
            symmetry_operators("O").astype(np.float32),
            np.zeros_like(cube),
            np.zeros(cube.shape, np.float32),
        ),
    }


def comparing_arguments(rng):
    scores = (3 * rng.standard_normal((7, 9, 2 * 576))).astype(np.float32)
    weights = rng.random((7, 9, 1000)).astype(np.float32) ** 9
    rows = tuple(rng.integers(0, n, 500).astype(np.int32) for n in (40, 7, 9))
    first = np.array([0, 1, 40, 41, 300], np.int64)
    found = [np.full((7, 64), -1, np.int32), np.full((7, 64), -1, np.int32), np.empty(7, np.int32)]
    return {
        "dense_posterior": (
            scores,
            rng.random((7, 2 * 576)).astype(np.float32),
            rng.standard_normal((7, 9, 2)).astype(np.float32),
            np.empty((7, 4)),
        ),
        "significant_rotations": (weights, 1e-3, 64, *found),
        "conjugate_products": (
            noise(rng, 40, 700),
            *rows,
            noise(rng, 7, 700),
            noise(rng, 9, 700),
            rng.random((7, 700)).astype(np.float32),
            np.empty((500, 700), np.complex64),
            np.empty(500, np.float32),
        ),
        "fine_posterior": (
            (5 * rng.standard_normal((300, 13))).astype(np.float32),
            first,
            1e-3,
            np.empty(300, np.float32),
            np.empty((4, 5)),
        ),
        "bincount_sum": (np.sort(rng.integers(0, 9, 5000)).astype(np.int32), rng.random(5000),
                       np.empty(9)),
        "matmul": (
            rng.standard_normal((300, 200)).astype(np.float32),
            rng.standard_normal((200, 500)).astype(np.float32),
            np.empty((300, 500), np.float32),
        ),
    }  # fmt: skip


def preparing_arguments(rng):
    disk, n_shells = frequency_disk(48, 20), 25
    images = rng.standard_normal((3, 48, 48)).astype(np.float32)
    weight, planes = background_planes(48, 15.0)
    transforms = np.fft.rfft2(images).astype(np.complex64)
    components, shape = noise(rng, 3, len(disk)), (3, len(disk))
    terms = np.stack([rng.uniform(5e3, 3e4, 3), *rng.uniform(-9, 9, (3, 3))], 1)
    return {
        "normalise_images": (
            images, weight, planes, rng.random((48, 48), np.float32),
            rng.integers(-60, 60, (3, 2)).astype(np.int32), -1, *np.empty((2, *images.shape), "f4"),
        ),
        "disk_components": (
            transforms, transforms[::-1].copy(), disk.place, disk.factor, disk.first,
            rng.random(n_shells, np.float32), rng.random((3 + n_shells, n_shells), np.float32),
            np.empty_like(components), *np.empty((3, 3, n_shells), np.float32),
        ),
        "ctf_values": (
            terms, disk.kx, disk.ky, 1 / 200, 0.025, 650.0, True, False, np.empty(shape, "f4"),
        ),
        "weigh_images": (
            components, rng.random(shape, np.float32), disk.shell,
            rng.random((3, n_shells), np.float32), rng.random(n_shells, np.float32),
            rng.random(3, np.float32), False, np.empty_like(components), np.empty(shape, "f4"),
        ),
    }  # fmt: skip


KERNELS = (
    *preparing_arguments(np.random.default_rng(1)),
    *slicing_arguments(np.random.default_rng(1)),
    *comparing_arguments(np.random.default_rng(1)),
)


@pytest.mark.gpu
@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_has_the_same_result_as_on_the_cpu(gpu, name, deterministic):
    rng = np.random.default_rng(2)
    every = preparing_arguments(rng) | slicing_arguments(rng) | comparing_arguments(rng)
    arguments = every[name]
    backend = choose_backend("gpu:0", deterministic=deterministic)
    with backend.device.enter():
        there = [backend.to_device(a) if isinstance(a, np.ndarray) else a for a in arguments]
        getattr(backend.kernels, name)(*there)
        found = [backend.to_host(a) for a in there if not isinstance(a, (int, float))]
    getattr(cpu, name)(*arguments)
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    for on_gpu, on_cpu in zip(found, arrays, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=2e-4, atol=2e-5 * np.abs(on_cpu).max())


CASES = {
    "default": {},
    "two classes": {"classes": 2, "anneal_classes": False},
    "padded, D2": {"padding_factor": 2, "symmetry": "D2", "symmetry_during_run": True},
    "without CTF, not deterministic": {"ctf": False, "deterministic": False},
    "small tiles": {"tile_size": 7},
}


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_a_run_on_the_gpu_has_the_map_of_the_cpu(gpu, particles, case):
    on_cpu, on_gpu = (run(particles, device, **CASES[case]) for device in ("cpu", "gpu:0"))
    found = compare_maps(
        on_cpu.volumes[0], on_gpu.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER
    )
    shells = slice(1, int(32 * PIXEL_SIZE / on_cpu.resolution[0]) + 1)
    assert found.fsc[shells].min() > 0.99


@pytest.mark.gpu
def test_a_run_on_the_gpu_has_the_same_bits_twice(gpu, particles):
    first, again = (run(particles, "gpu:0").state.to_arrays() for _ in range(2))
    for name, values in first.items():
        assert values.tobytes() == again[name].tobytes(), name


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["tf32", "fp16", "bf16"])
def test_products_of_low_precision_are_close_to_those_of_float32(gpu, precision):
    a = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    backend = choose_backend("gpu:0", precision=precision)
    there = backend.to_device(a)
    found = backend.to_host(backend.kernels.matmul(there, there))
    error = np.abs(found - a @ a).max() / np.abs(a @ a).max()
    assert error < {"tf32": 2e-3, "fp16": 2e-3, "bf16": 2e-2}[precision]


@pytest.mark.gpu
def test_images_uploaded_during_a_computation_arrive_complete(gpu):
    rng = np.random.default_rng(0)
    for count in (100, 20, 300, 1, 50):
        images = rng.standard_normal((count, 64, 64)).astype(np.float32)
        upload = gpu.device.upload(images)
        with gpu.device.enter(), upload as there:
            assert np.array_equal(gpu.to_host(there * 2), images * 2)


@pytest.mark.gpu
def test_the_gpu_reports_its_memory(gpu):
    assert 0 < gpu.device.free_bytes() <= list_gpus()[0].total_bytes
    gpu.device.release()
    gpu.device.synchronise()
