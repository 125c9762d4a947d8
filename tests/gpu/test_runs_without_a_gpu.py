"""Whole runs on emulated GPUs: a stand-in for CuPy, and the real kernels compiled for the CPU."""

import fake_cupy
import pytest

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.engine import chunks, references
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.errors import DeviceError
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, DIAMETER = 24, 6.0, 115.0
SETTINGS = InitialModelSettings(
    mask_diameter=DIAMETER, iterations=7, starts=2, offset_range=10.0, threads=1
)


@pytest.fixture(scope="module")
def particles() -> SimulatedParticles:
    phantom = make_phantom(seed=3, diameter=100, domains=3)
    settings = SimulationSettings(
        number=60, box_size=BOX, pixel_size=PIXEL_SIZE, snr=3.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(phantom, settings)


def run(data: SimulatedParticles, device: str, **changes: object):
    settings = SETTINGS.with_changes(device=device, **changes)
    return list(reconstruct(InMemorySource.of(data), data.particles, settings))


def assert_same_maps(one, other) -> None:
    found = compare_maps(
        one.volumes[0],
        other.volumes[0],
        voxel_size=PIXEL_SIZE,
        mask_diameter=DIAMETER,
        align=False,
    )
    shells = slice(1, int(BOX * PIXEL_SIZE / other.resolution[0]) + 1)
    assert found.fsc[shells].min() > 0.99


CASES = {
    "default": {},
    "two classes": {"classes": 2, "anneal_classes": False, "starts": 1},
    "padded, D2": {"padding_factor": 2, "symmetry": "D2", "symmetry_during_run": True, "starts": 1},
    "without CTF, not deterministic": {"ctf": False, "deterministic": False, "starts": 1},
}


def assert_same_bits(report, expected) -> None:
    for name, values in expected.state.to_arrays().items():
        assert values.tobytes() == report.state.to_arrays()[name].tobytes(), name


@pytest.mark.parametrize("case", CASES)
def test_a_run_on_a_gpu_has_the_map_of_the_cpu(machine, particles, case):
    on_cpu, on_gpu = (run(particles, device, **CASES[case]) for device in ("cpu", "gpu"))
    assert len(on_gpu) == len(on_cpu)
    assert {name for _, name in machine.launched} >= {
        "project",
        "dense_posterior",
        "conjugate_products",
    }
    assert_same_maps(on_gpu[-1], on_cpu[-1])


def test_a_run_on_a_gpu_has_the_same_bits_twice(machine, particles):
    first, again = (run(particles, "gpu", starts=1)[-1] for _ in range(2))
    assert_same_bits(again, first)


def test_two_gpus_share_the_images_and_give_the_map_of_one(machine, particles):
    machine.devices = 2
    small = {"starts": 1, "tile_size": 8}
    alone = run(particles, "gpu:1", **small)
    assert {gpu for gpu, _ in machine.launched} == {1}
    machine.launched.clear()
    together = run(particles, "gpu", **small)
    tiles = [gpu for gpu, name in machine.launched if name == "dense_posterior"]
    assert abs(tiles.count(0) - tiles.count(1)) <= len(together)  # at most one more each iteration
    assert_same_bits(together[-1], alone[-1])


def test_two_gpus_share_chunks_of_several_tiles_and_give_the_bits_of_one(
    machine, particles, monkeypatch
):
    monkeypatch.setattr(chunks, "MOST_CHUNKS", 4)
    machine.devices = 2
    small = {"starts": 1, "tile_size": 5}
    alone, together = (run(particles, device, **small) for device in ("gpu:0", "gpu"))
    assert {gpu for gpu, _ in machine.launched} == {0, 1}
    assert_same_bits(together[-1], alone[-1])


def test_each_of_two_gpus_has_several_tiles_per_iteration(machine, particles):
    machine.devices = 2
    reports = run(particles, "gpu", starts=1, iterations=2)
    tiles = [gpu for gpu, name in machine.launched if name == "dense_posterior"]
    for gpu in (0, 1):
        assert tiles.count(gpu) >= 4 * len(reports)


def test_each_image_is_uploaded_once_per_visit_and_little_is_downloaded(machine, particles):
    settings = SETTINGS.with_changes(device="gpu", starts=2, tile_size=10)
    source, backend = InMemorySource.of(particles), choose_backend("gpu")
    first = next(reconstruct(source, particles.particles, settings, backend=backend))
    machine.traffic.clear()
    report = next(
        reconstruct(source, particles.particles, settings, backend=backend, state=first.state)
    )
    assert report.subset_size == 60
    image_bytes = 60 * BOX**2 * 4
    assert sum(size for kind, size in machine.traffic if kind == "images") == image_bytes
    # besides the images: references once for each start, a few numbers for each image
    others = [size for kind, size in machine.traffic if kind == "up"]
    assert len(others) < 50
    assert max(others) < image_bytes
    down = [size for kind, size in machine.traffic if kind == "down"]
    assert len(down) == 2 * 6  # five sums and the records of the poses, for each start


_NO_LAUNCH = {"empty", "empty_like", "reshape", "view", "ravel", "transpose"}


@pytest.mark.parametrize(("phase", "most"), [("starts", 48), ("search", 65), ("refine", 65)])
def test_few_kernels_and_copies_are_launched_for_each_tile(machine, particles, phase, most):
    counts = {}
    for tile_size in (10, 30):  # six tiles, and two
        before, counts[tile_size] = machine.launches(_NO_LAUNCH), 0
        settings = SETTINGS.with_changes(device="gpu", starts=1, tile_size=tile_size)
        for report in reconstruct(InMemorySource.of(particles), particles.particles, settings):
            after = machine.launches(_NO_LAUNCH)
            if report.phase == phase and report.subset_size == 60:
                counts[tile_size] = after - before
            before = after
    assert 0 < counts[10] - counts[30] <= 4 * most


@pytest.mark.parametrize(
    "failure",
    [
        fake_cupy.OutOfMemoryError("Out of memory"),
        fake_cupy.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_tile_that_does_not_fit_is_halved(machine, particles, caplog, failure):
    plain = run(particles, "gpu", starts=1)
    machine.failure = failure
    machine.fail_in, machine.most_blocks = "dense_posterior", 10  # a block for each image
    halved = run(particles, "gpu", starts=1)
    assert "out of memory with 30 images at once; continuing with 15" in caplog.text
    assert "out of memory with 15 images at once; continuing with 7" in caplog.text
    assert_same_maps(halved[-1], plain[-1])


def test_a_table_of_fine_slices_that_does_not_fit_is_not_used(
    machine, particles, caplog, monkeypatch
):
    plain = run(particles, "gpu", starts=1)
    slices, slicers = references._Slicer.slices, []

    def coarse_only(slicer, *arguments):
        if slicer in slicers:  # the second time is for the table
            raise fake_cupy.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        slicers.append(slicer)
        return slices(slicer, *arguments)

    monkeypatch.setattr(references._Slicer, "slices", coarse_only)
    found = run(particles, "gpu", starts=1)
    assert "no table of fine slices" in caplog.text
    assert_same_maps(found[-1], plain[-1])


def test_no_memory_for_one_image_is_an_error_that_says_what_to_lower(machine, particles):
    machine.fail_in = "dense_posterior"
    with pytest.raises(DeviceError, match="not enough memory for a single image"):
        run(particles, "gpu")


def test_an_error_of_cuda_in_a_tile_ends_the_run_with_a_device_error(machine, particles):
    machine.fail_in, machine.failure = "dense_posterior", fake_cupy.CUDARuntimeError("cudaError: x")
    with pytest.raises(DeviceError, match=r"gpu:0 failed \(CUDARuntimeError: cudaError: x\)"):
        run(particles, "gpu")
