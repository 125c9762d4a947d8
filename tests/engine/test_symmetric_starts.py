"""Starts with a cubic point group, where the particle looks like a ball."""

from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.state import NO_GROUP, Alternative, EngineState
from napari_ini3d.engine.symmetric_starts import (
    best_symmetric_start,
    wants_choice,
    wants_symmetric_search,
    with_better_model,
    with_symmetric_search,
)
from napari_ini3d.geometry import symmetry_operators
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

SETTINGS = InitialModelSettings(
    mask_diameter=130.0, starts=2, max_starts=2, threads=1, max_resolution=16.0
)


@pytest.fixture(scope="module")
def data():
    settings = SimulationSettings(number=150, box_size=32, pixel_size=5.0, snr=0.5, seed=2)
    return simulate_particles(make_phantom("O", seed=4, diameter=118.0), settings)


@pytest.fixture(scope="module")
def reports(data):
    """The iterations of a run of particles that look like balls."""
    return list(reconstruct(InMemorySource.of(data), data.particles, SETTINGS))


def first_of(reports, phase, after=0):
    return next(r for r in reports[after:] if r.phase == phase)


def second_search(reports) -> int:
    """Return the position of the first iteration of the second search."""
    phases = [r.phase for r in reports]
    return next(i for i in range(1, len(phases)) if phases[i - 1 : i + 1] == ["refine", "search"])


def groups_of(state: EngineState) -> list[str]:
    return [model.point_group for model in state.models]


def with_evidence(model, value):
    return replace(model, evidence=np.full(6, value), fsc_sum=np.zeros(6))


def quarter_turn_error(volume: np.ndarray) -> float:
    """Return how far a map is from itself after a quarter turn about z, relative."""
    inner = volume[1:, 1:, 1:]  # about voxel n // 2
    return float(np.linalg.norm(np.rot90(inner, axes=(1, 2)) - inner) / np.linalg.norm(volume))


def test_finer_starts_have_one_of_each_cubic_group_beside_them(reports):
    finer = next(r.state for r in reports if len(r.state.models) > 2)
    assert groups_of(finer) == [NO_GROUP, NO_GROUP, "T", "O", "I"]
    assert groups_of(reports[0].state) == [NO_GROUP, NO_GROUP]


@pytest.mark.parametrize(
    "changes", [{"symmetry": "D2", "symmetry_during_run": True}, {"classes": 2}]
)
def test_a_run_with_a_group_of_its_own_or_with_classes_tries_none(data, changes):
    run = reconstruct(InMemorySource.of(data), data.particles, SETTINGS.with_changes(**changes))
    for report in run:
        assert set(groups_of(report.state)) == {NO_GROUP}
        if report.phase != "starts":
            break


def test_the_group_is_imposed_on_its_start_and_on_no_other(reports):
    models = next(r.state for r in reports if len(r.state.models) > 2 and r.state.step == 5).models
    errors = {m.point_group: quarter_turn_error(m.maps[0]) for m in models}
    assert errors["O"] < 0.05 < 0.2 < errors[NO_GROUP]


def test_the_run_searches_twice_and_says_so(reports):
    phases = [r.phase for r in reports]
    changes = [p for i, p in enumerate(phases) if i == 0 or phases[i - 1] != p]
    assert changes[:5] == ["starts", "search", "refine", "search", "refine"]
    turn = second_search(reports)
    assert "a second search begins from a start with the symmetry" in reports[turn - 1].message
    assert reports[turn].message.split(" with the symmetry ")[1] in ("T", "O", "I")
    assert len(reports) <= SETTINGS.iterations
    assert reports[-1].converged


def test_a_state_knows_whether_a_second_search_follows(reports):
    turn = second_search(reports)
    known = [r.state.searches_to_come for r in reports]
    assert reports[0].state.searches_to_come == 0  # before the map is known to look like a ball
    finer = next(i for i, r in enumerate(reports) if len(r.state.models) > 2)
    assert set(known[finer : turn - 1]) == {1}
    assert set(known[turn - 1 :]) == {0}


def test_the_second_refinement_imposes_no_group(reports):
    """The maps of the last iterations differ from their quarter turns by their noise."""
    assert quarter_turn_error(reports[-1].volumes[0]) > 0.01


def refined(reports, own: float, other: float) -> EngineState:
    """Return a state after both refinements, of maps with some evidence."""
    state = reports[-1].state
    model = with_evidence(state.models[0], own)
    aside = with_evidence(replace(state.models[0], maps=state.models[0].maps + 1), other)
    return replace(
        state, phase="final", step=1, models=(model,), alternative=Alternative(aside, fsc_radius=6)
    )


def test_the_map_that_was_kept_comes_back_where_its_likelihood_is_higher(reports):
    state = refined(reports, 40.0, 41.0)
    assert wants_choice(state)
    chosen = with_better_model(state)
    assert chosen.models == (state.alternative.model,)
    assert (chosen.fsc_radius, chosen.phase, chosen.step) == (6, "final", 0)
    assert not chosen.finished
    assert chosen.alternative is None


def test_the_map_that_was_kept_is_dropped_where_its_likelihood_is_lower(reports):
    state = refined(reports, 41.0, 40.0)
    chosen = with_better_model(state)
    assert chosen.models == state.models
    assert chosen.finished
    assert chosen.alternative is None


def test_the_best_of_the_starts_with_a_group_waits(reports):
    models = next(r.state for r in reports if len(r.state.models) > 2).models
    free, t, o, i = models[0], *models[2:]
    given = [with_evidence(m, v) for m, v in ((free, 9.0), (t, 2.0), (o, 3.0), (i, 1.0))]
    found = best_symmetric_start(given)
    assert found.model.point_group == "O"
    assert not found.is_refined
    assert best_symmetric_start([free]) is None


@pytest.mark.parametrize(("iteration", "wants"), [(197, True), (224, False)])
def test_no_second_search_begins_that_the_iterations_do_not_suffice_for(reports, iteration, wants):
    searching = first_of(reports, "search").state
    state = replace(searching, phase="final", step=0, iteration=iteration)

    class Run:
        settings = SETTINGS

    assert state.alternative is not None
    assert wants_symmetric_search(Run, state) == wants
    assert not wants_symmetric_search(Run, searching)


def test_a_state_with_a_map_kept_survives_a_file(reports, data, tmp_path):
    state = with_symmetric_search(first_of(reports, "search").state, data.particles, SETTINGS)
    np.savez(tmp_path / "state.npz", **state.to_arrays())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        again = EngineState.from_arrays(dict(arrays))
    assert again.alternative.fsc_radius == state.alternative.fsc_radius
    assert again.alternative.model.maps.tobytes() == state.alternative.model.maps.tobytes()
    assert groups_of(again) == groups_of(state)


def test_a_run_continues_bit_for_bit_in_the_second_search(reports, data):
    turn = second_search(reports)
    state = EngineState.from_arrays(reports[turn - 1].state.to_arrays())
    again = next(reconstruct(InMemorySource.of(data), data.particles, SETTINGS, state=state))
    np.testing.assert_array_equal(again.volumes, reports[turn].volumes)


def test_the_operators_of_o_contain_the_quarter_turn_that_is_tested():
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    found = symmetry_operators("O")
    assert min(np.abs(operator - quarter).max() for operator in found) < 1e-6
