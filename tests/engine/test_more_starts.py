"""More random starts are tried where no other start agrees with the best."""

import dataclasses

import numpy as np
import pytest

from napari_ini3d.engine.agreement import AlignedMaps
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

SETTINGS = InitialModelSettings(
    mask_diameter=110.0, starts=3, max_starts=7, iterations=200, threads=1
)


@pytest.fixture(scope="module")
def data():
    settings = SimulationSettings(number=60, box_size=24, pixel_size=6.0, snr=2.0, seed=2)
    return simulate_particles(make_phantom("D2", seed=4, diameter=100.0), settings)


def starts_of(data, settings, monkeypatch, *agreements):
    """Return the reports of the starts of a run whose rounds end with some agreements."""
    rounds = iter(agreements)
    monkeypatch.setattr(
        AlignedMaps,
        "agreement",
        property(lambda found: [next(rounds)] * (len(found.maps) - 1)),
    )
    reports = []
    for report in reconstruct(InMemorySource.of(data), data.particles, settings):
        if report.phase != "starts":
            return reports
        reports.append(report)
    raise AssertionError("the starts have not ended")


def test_starts_that_agree_are_the_only_ones(data, monkeypatch):
    reports = starts_of(data, SETTINGS, monkeypatch, 0.8)
    assert len(reports) == 25
    assert reports[-1].state.starts_tried == 3


def test_more_starts_are_tried_beside_the_best_until_one_agrees(data, monkeypatch):
    reports = starts_of(data, SETTINGS, monkeypatch, 0.5, 0.9)
    assert len(reports) == 50
    before, after = reports[24].state, reports[-1].state
    assert (before.phase, before.step, before.starts_tried) == ("starts", 0, 5)
    best = reports[24]
    np.testing.assert_array_equal(before.models[0].maps, best.volumes)
    assert len(before.models) == 3
    assert best.message == (
        f"no start agrees with start {best.start + 1} of 3, which has the highest likelihood; "
        "2 more random starts beside it"
    )
    assert after.start_agreement.tolist() == [0.9, 0.9]


def test_the_maximum_number_of_starts_is_not_exceeded(data, monkeypatch):
    reports = starts_of(data, SETTINGS, monkeypatch, 0.5, 0.5, 0.5)
    assert len(reports) == 75
    assert reports[-1].state.starts_tried == 7


def test_new_starts_have_random_maps_of_their_own(data, monkeypatch):
    reports = starts_of(data, SETTINGS, monkeypatch, 0.5, 0.5, 0.5)
    rounds = [reports[i].state.models[1:] for i in (24, 49)]
    maps = [model.maps[0].ravel() for models in rounds for model in models]
    alike = np.corrcoef(maps) - np.eye(4)
    assert alike.max() < 0.99


@pytest.mark.parametrize(
    "changes", [{"max_starts": 1}, {"max_starts": 4}, {"starts": 1}, {"iterations": 60}]
)
def test_a_run_that_cannot_try_more_keeps_its_starts(data, monkeypatch, changes):
    settings = SETTINGS.with_changes(**changes)
    reports = starts_of(data, settings, monkeypatch, 0.5)
    assert {len(report.state.models) for report in reports[:-1]} == {settings.starts}
    assert reports[-1].state.phase == "search"


def test_a_run_continues_bit_for_bit_between_the_rounds(data, monkeypatch):
    reports = starts_of(data, SETTINGS, monkeypatch, 0.5, 0.9)
    state = type(reports[24].state).from_arrays(reports[24].state.to_arrays())
    assert dataclasses.asdict(state)["starts_tried"] == 5
    again = next(reconstruct(InMemorySource.of(data), data.particles, SETTINGS, state=state))
    np.testing.assert_array_equal(again.volumes, reports[25].volumes)
