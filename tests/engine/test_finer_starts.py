"""Starts begin anew at a finer resolution where their map has no features."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.finer_starts import wants_finer_starts, with_finer_starts
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.initialisation import initial_state
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import first_radius
from napari_ini3d.engine.state import EngineState
from napari_ini3d.fourier import radius_grid
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE = 32, 5.0
SETTINGS = InitialModelSettings(mask_diameter=130.0, starts=2, threads=1)
SPHERE = np.exp(-((radius_grid(BOX, 3) - 8) ** 2) / 8).astype(np.float32)
PARTICLE = make_phantom("D2", seed=4, diameter=110.0).density(BOX, PIXEL_SIZE).astype(np.float32)


def simulate(symmetry: str) -> SimulatedParticles:
    settings = SimulationSettings(number=60, box_size=BOX, pixel_size=PIXEL_SIZE, snr=2.0, seed=2)
    return simulate_particles(make_phantom(symmetry, seed=4, diameter=118.0), settings)


@contextmanager
def state_with(
    volume: np.ndarray, settings: InitialModelSettings = SETTINGS, **changes: object
) -> Iterator[tuple[RunContext, EngineState]]:
    """Yield a run, and its state after the starts, which have found a map."""
    data = simulate("C1")
    resolved = resolve_settings(settings, pixel_size=PIXEL_SIZE)
    executor = TileExecutor(choose_backend("cpu"), 1)
    run = RunContext.of(InMemorySource.of(data), data.particles, resolved, executor)
    state = initial_state(run)
    best = replace(state.models[0], maps=volume[None])
    state = replace(state, iteration=25, phase="search", models=(best,))
    yield run, replace(state, **changes)
    executor.close()


def test_a_hollow_sphere_wants_finer_starts():
    with state_with(SPHERE) as (run, state):
        assert wants_finer_starts(run, state)


def test_a_particle_with_features_does_not():
    with state_with(PARTICLE) as (run, state):
        assert not wants_finer_starts(run, state)


@pytest.mark.parametrize("phase", ["starts", "refine", "final"])
def test_only_the_end_of_the_starts_decides(phase):
    with state_with(SPHERE, phase=phase) as (run, state):
        assert not wants_finer_starts(run, state)


@pytest.mark.parametrize(("iteration", "wants"), [(75, True), (100, False), (150, False)])
def test_a_run_whose_iterations_would_not_suffice_keeps_its_starts(iteration, wants):
    settings = SETTINGS.with_changes(iterations=200)
    with state_with(SPHERE, settings, iteration=iteration) as (run, state):
        assert wants_finer_starts(run, state) == wants


@pytest.mark.parametrize("iterations", [4, 10, 30])
def test_finer_starts_do_not_make_a_run_longer_than_its_iterations(iterations):
    data, settings = simulate("O"), SETTINGS.with_changes(iterations=iterations)
    reports = list(reconstruct(InMemorySource.of(data), data.particles, settings))
    assert len(reports) <= iterations


def test_starts_at_the_limit_of_the_run_are_kept():
    with state_with(SPHERE, SETTINGS.with_changes(max_resolution=40.0)) as (run, state):
        assert not wants_finer_starts(run, state)


def test_finer_starts_are_random_maps_with_finer_detail_and_the_noise_of_before():
    with state_with(SPHERE) as (run, state):
        finer = with_finer_starts(run, state)
        assert finer.phase == "starts"
        assert (finer.iteration, finer.step) == (25, 0)
        assert finer.start_radius > state.start_radius == first_radius(run.settings, run.geometry)
        assert len(finer.models) == 2 + 3  # beside those with a cubic group
        assert np.array_equal(finer.models[1].sigma2, state.models[0].sigma2)
        assert (finer.assignments.class_index == -1).all()
        maps = [model.maps[0] for model in finer.models]
        assert abs(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]) < 0.9


def radii_of(symmetry: str) -> tuple[list[int], list[str]]:
    """Return the radius of each iteration of the starts of a run, and the last messages."""
    data, radii, messages = simulate(symmetry), [], []
    for report in reconstruct(InMemorySource.of(data), data.particles, SETTINGS):
        if report.phase != "starts":
            break
        radii.append(report.current_size // 2)
        messages.append(report.message)
    return radii, messages


def test_a_run_of_a_nearly_spherical_particle_begins_anew_and_says_so():
    radii, messages = radii_of("O")
    assert radii[0] == 4
    assert sorted(set(radii)) == radii[::25]
    assert len(set(radii)) >= 2
    said = [message for message in messages if "no features" in message]
    assert len(said) == len(set(radii)) - 1
    assert said[0] == "the map has no features at 40.0 Å; new random starts at 32.0 Å"


def test_a_run_of_a_particle_with_features_has_the_starts_of_the_settings_only():
    radii, messages = radii_of("D2")
    assert radii == [4] * 25
    assert not any("no features" in message for message in messages)
