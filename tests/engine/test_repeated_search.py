"""Repeated search: another seed leads to the same map, or the run is told that it does not."""

import numpy as np
import pytest

from napari_ini3d.engine import repeated_search
from napari_ini3d.engine.repeated_search import can_repeat_search, repeat_search
from napari_ini3d.fourier import mirror_map
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, DIAMETER = 32, 5.0, 115.0
PHANTOM = make_phantom(seed=3, diameter=100, domains=3)
SETTINGS = InitialModelSettings(
    mask_diameter=DIAMETER, iterations=40, starts=2, max_resolution=16.0, threads=1
)


@pytest.fixture(scope="module")
def particles() -> SimulatedParticles:
    settings = SimulationSettings(
        number=150, box_size=BOX, pixel_size=PIXEL_SIZE, snr=4.0, offset_sigma=3.0, seed=2
    )
    return simulate_particles(PHANTOM, settings)


def agreement(data: SimulatedParticles, volume: np.ndarray, **options: object) -> float | None:
    source = InMemorySource.of(data)
    return repeat_search(source, data.particles, SETTINGS, volume, **options)


def test_a_repeated_search_agrees_with_the_true_map_of_either_hand_and_not_with_another(particles):
    truth = PHANTOM.density(BOX, PIXEL_SIZE)
    found = [agreement(particles, volume) for volume in (truth, mirror_map(truth))]
    other = make_phantom(seed=11, diameter=100, domains=3).density(BOX, PIXEL_SIZE)
    assert agreement(particles, other) < 0.9 < min(found)


def test_a_repeated_search_begins_from_other_random_numbers_and_ends_before_the_refinement(
    particles, caplog, monkeypatch
):
    seeds, phases = [], []

    def recorded(source, particles, settings, **options):
        seeds.append(settings.seed)
        for report in reconstruct(source, particles, settings, **options):
            phases.append(report.phase)
            yield report

    reconstruct = repeated_search.reconstruct
    monkeypatch.setattr(repeated_search, "reconstruct", recorded)
    agreement(particles, PHANTOM.density(BOX, PIXEL_SIZE))
    assert seeds == [SETTINGS.seed + 1]
    assert set(phases) == {"starts", "search"}


def test_a_repeated_search_that_is_stopped_has_no_result(particles):
    assert agreement(particles, PHANTOM.density(BOX, PIXEL_SIZE), stop=lambda: True) is None


@pytest.mark.parametrize(
    ("changes", "expected"), [({}, True), ({"classes": 2}, False), ({"iterations": 2}, False)]
)
def test_runs_of_one_class_with_a_search_can_be_repeated(changes, expected):
    assert can_repeat_search(SETTINGS.with_changes(**changes)) is expected
