"""Whole runs on cards that are emulated: CuPy's rules, the real kernels, a CPU beneath."""

import pytest

from napari_ini3d.comparison import compare_maps
from napari_ini3d.engine.initial_model import reconstruct
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
        one.volumes[0], other.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER
    )
    shells = slice(1, int(BOX * PIXEL_SIZE / other.resolution[0]) + 1)
    assert found.fsc[shells].min() > 0.99


CASES = {
    "as usual": {},
    "two classes": {"classes": 2, "anneal_classes": False, "starts": 1},
    "padded, D2": {"padding_factor": 2, "symmetry": "D2", "symmetry_during_run": True, "starts": 1},
    "without CTF, floats added": {"ctf": False, "deterministic": False, "starts": 1},
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_on_a_card_gives_the_map_of_the_cpu(machine, particles, case):
    on_cpu, on_gpu = (run(particles, device, **CASES[case]) for device in ("cpu", "gpu"))
    assert len(on_gpu) == len(on_cpu)
    assert {name for _, name in machine.launched} >= {"project", "dense_posterior", "fine_products"}
    assert_same_maps(on_gpu[-1], on_cpu[-1])
