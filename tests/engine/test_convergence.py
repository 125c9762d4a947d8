"""How the phases of a run follow each other, on runs of a few small images."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from napari_ini3d.engine import drift, transitions
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.schedule import Phases
from napari_ini3d.geometry import pixel_directions
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE = 16, 10.0
SETTINGS = InitialModelSettings(
    mask_diameter=115.0, iterations=22, starts=1, offset_range=10.0, threads=1
)
PHASES = Phases.of(SETTINGS.iterations)


@pytest.fixture(scope="module")
def particles() -> SimulatedParticles:
    settings = SimulationSettings(number=20, box_size=BOX, pixel_size=PIXEL_SIZE, snr=3.0, seed=2)
    return simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)


def run(data: SimulatedParticles, **changes: object) -> list[IterationReport]:
    settings = SETTINGS.with_changes(**changes)
    return list(reconstruct(InMemorySource.of(data), data.particles, settings))


def count(reports: list[IterationReport], phase: str) -> int:
    return sum(report.phase == phase for report in reports)


@pytest.fixture
def measured(monkeypatch):
    """Return a function that sets what every measurement of the drift finds."""

    def measure(*ratios: float) -> None:
        values = iter(ratios)
        last = ratios[-1]
        monkeypatch.setattr(drift, "drift_ratio", lambda *_: next(values, last))

    return measure


def test_a_search_that_settles_ends_when_it_has_climbed(particles, measured):
    measured(0.5)
    reports = run(particles)
    assert count(reports, "search") == PHASES.search
    assert reports[PHASES.starts + PHASES.search - 1].state.climbed == PHASES.search


def test_a_search_that_does_not_settle_ends_after_its_longest_time(particles, measured):
    measured(100.0)
    reports = run(particles)
    assert count(reports, "search") == PHASES.longest_search > PHASES.search
    assert len(reports) == SETTINGS.iterations
    assert [r.phase for r in reports].count("final") == 1
    assert reports[-1].phase == "final"
    assert reports[-1].state.finished


def test_the_resolution_of_the_search_waits_while_the_map_drifts(particles, measured):
    measured(100.0)
    search = [r for r in run(particles) if r.phase == "search"]
    climbed = [r.state.climbed for r in search]
    assert climbed[:4] == [1, 2, 3, 4]  # until the first measurement, nothing is known
    assert climbed[4:] == [4] * len(climbed[4:])


def test_a_search_whose_map_comes_to_rest_late_goes_on_from_where_it_waited(particles, measured):
    measured(100.0, 0.5)
    search = [r for r in run(particles, iterations=40) if r.phase == "search"]
    climbed = [r.state.climbed for r in search]
    assert climbed[3:10] == [4, 4, 4, 4, 4, 4, 5]
    wanted = Phases.of(40).search
    assert climbed[-1] == min(wanted, Phases.of(40).longest_search - 5)


def test_the_last_measurement_holds_until_the_next(particles, measured):
    measured(2.0, 100.0, 2.0)
    search = [r for r in run(particles, iterations=60) if r.phase == "search"]
    rises = np.diff([r.state.climbed for r in search])
    assert rises[:8].tolist() == [1] * 8  # 2 is settled enough to climb
    assert rises[8:13].tolist() == [0] * 5
    assert rises[13] == 1


@pytest.mark.parametrize("ratio", [0.0, 2.0, 100.0, np.inf])
@pytest.mark.parametrize("iterations", [2, 3, 7, 12])
def test_every_phase_and_the_final_pass_fit_into_the_iterations(
    particles, measured, iterations, ratio
):
    measured(ratio)
    reports = run(particles, iterations=iterations)
    assert len(reports) <= iterations
    assert reports[-1].state.finished
    assert (reports[-1].assignments.class_index >= 0).all()
    order = ["starts", "search", "refine", "final"]
    phases = [report.phase for report in reports]
    assert phases == sorted(phases, key=order.index)


@pytest.fixture
def nothing_gained(monkeypatch):
    """Let no iteration count as a gain: of 20 particles, evidence and FSC scatter."""
    monkeypatch.setattr(transitions, "_CONVERGED_GAIN", np.inf)
    monkeypatch.setattr(transitions, "_RISING_SHELLS", np.inf)


@pytest.mark.usefixtures("nothing_gained")
def test_a_refinement_whose_map_drifts_is_not_called_converged(particles, measured):
    measured(0.1, 100.0)  # once in the search
    moving = run(particles)
    assert not moving[-1].converged
    assert count(moving, "refine") == PHASES.refine
    measured(0.1)
    resting = run(particles)
    assert resting[-1].converged
    assert count(resting, "refine") < count(moving, "refine")


@pytest.mark.usefixtures("nothing_gained")
def test_a_refinement_that_drifts_ends_when_it_has_long_gained_nothing(
    particles, measured, monkeypatch
):
    monkeypatch.setattr(transitions, "_PATIENCE", 5)
    measured(0.1, 0.1, 0.1, 100.0)  # three times in the search
    reports = run(particles, iterations=40)
    assert reports[-1].converged
    assert 5 < count(reports, "refine") < Phases.of(40).refine
    assert reports[-2].state.drift.ratio == 100.0


@pytest.mark.parametrize(
    ("step", "gains", "expected"),
    [
        (1, (0.0, 0.0), False),  # too few iterations
        (2, (0.0, 0.0), True),
        (9, (0.1, 0.003, -0.2), True),
        (9, (0.0, 0.005, 0.0), False),
        (9, (0.0, 0.0, 0.005), False),
    ],
)
def test_nothing_is_gained_if_no_late_iteration_raises_the_evidence(step, gains, expected):
    evidence = 100 * np.cumprod(1 + np.array((0.1, 0.1, *gains)))
    model = SimpleNamespace(evidence=evidence)
    assert transitions.gains_nothing(model, SimpleNamespace(step=step)) == expected


@pytest.mark.parametrize(
    ("step", "sums", "classes", "expected"),
    [
        (2, (8.0, 8.0, 8.0), 1, True),  # too few iterations to tell
        (3, (7.9, 8.0, 8.0, 7.95), 1, False),
        (3, (7.9, 7.93, 7.98, 8.02), 1, True),
        (3, (7.9, 7.93, 7.98, 8.02), 2, False),  # the same in two classes
        (9, (2.0, 7.9, 8.0, 8.0, 7.7), 1, False),
    ],
)
def test_shells_rise_if_the_half_sets_agree_better_than_three_iterations_ago(
    step, sums, classes, expected
):
    model = SimpleNamespace(fsc_sum=np.array(sums), maps=[None] * classes)
    assert transitions.shells_rise(model, SimpleNamespace(step=step)) == expected


def test_the_sum_of_the_fsc_is_that_of_every_iteration_after_the_starts(particles):
    reports = run(particles)
    after = [r for r in reports if r.phase != "starts"]
    found = reports[-1].state.models[0].fsc_sum
    assert np.allclose(found, [r.fsc.sum() for r in after], atol=1e-4)


def test_a_refinement_whose_shells_rise_is_not_called_converged(particles, measured, monkeypatch):
    measured(0.1)
    monkeypatch.setattr(transitions, "_CONVERGED_GAIN", np.inf)
    resting = run(particles, iterations=40)
    monkeypatch.setattr(transitions, "shells_rise", lambda model, plan: plan.step < 5)
    rising = run(particles, iterations=40)
    assert resting[-1].converged
    assert rising[-1].converged
    assert count(resting, "refine") < 6 == count(rising, "refine")


def test_the_drift_is_measured_anew_in_every_phase(particles):
    reports = run(particles)
    for before, after in pairwise(reports):
        if before.state.phase != before.phase:
            assert np.isinf(before.state.drift.ratio)
            assert int(before.state.drift.age) == 0
            assert np.array_equal(before.state.drift.maps, before.state.models[0].maps)
            if after.phase != "final":
                assert int(after.state.drift.age) == 1


def test_with_a_symmetry_every_equivalent_direction_has_its_part_of_the_particles(particles):
    report = run(particles, symmetry="C2", symmetry_during_run=True)[-1]
    (counts,) = report.view_counts
    centres = pixel_directions(8)
    # C2 about z maps the centres of pixels onto each other
    opposite = np.argmax(centres @ (centres * [-1, -1, 1]).T, axis=1)
    assert counts.sum() == pytest.approx(20)
    assert np.allclose(counts, counts[opposite])
    assert set(np.unique(counts % 0.5)) == {0}
