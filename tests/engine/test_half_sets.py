"""Independent half-sets: of disjoint particles, and evidence beyond the resolution of the start."""

from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.engine import half_sets
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.half_sets import HalfSetMaps, SourceSubset, refine_half_sets
from napari_ini3d.engine.initialisation import initial_state
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import first_radius
from napari_ini3d.engine.state import Alternative, EngineState
from napari_ini3d.fourier import compute_fsc
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.particles import ImageBatch
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
    mask_diameter=DIAMETER, iterations=25, starts=1, max_resolution=16.0, threads=1
)


class RecordingSource(InMemorySource):
    """A source that remembers which images were read."""

    def batches(self, indices):
        for batch in super().batches(indices):
            self.read.append(batch.index)
            yield batch


@pytest.fixture(scope="module")
def particles() -> SimulatedParticles:
    settings = SimulationSettings(
        number=120, box_size=BOX, pixel_size=PIXEL_SIZE, snr=8.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(PHANTOM, settings)


def end_of_run(images: np.ndarray, data: SimulatedParticles) -> tuple[EngineState, int]:
    """Return the state of a run that has found the phantom, and the radius of its starts."""
    resolved = resolve_settings(SETTINGS, pixel_size=PIXEL_SIZE)
    executor = TileExecutor(choose_backend("cpu"), 1)
    run = RunContext.of(InMemorySource(images, PIXEL_SIZE), data.particles, resolved, executor)
    state = initial_state(run)
    executor.close()
    # the scale of the simulated signal is near that of the random map
    density = PHANTOM.density(BOX, PIXEL_SIZE)[None]
    model = state.models[0]
    maps = density * (model.maps.std() / density.std())
    state = replace(state, iteration=25, phase="final", step=1, models=(replace(model, maps=maps),))
    return state, first_radius(resolved, run.geometry)


def refine(images, data, **options) -> tuple[HalfSetMaps | None, int, RecordingSource]:
    state, radius = end_of_run(images, data)
    source = RecordingSource(images, PIXEL_SIZE)
    source.read = []
    return refine_half_sets(source, data.particles, SETTINGS, state, **options), radius, source


@pytest.fixture(scope="module")
def good(particles):
    return refine(particles.images, particles)


def fsc_beyond(found: HalfSetMaps, start: int) -> np.ndarray:
    """Return the FSC of the two half-sets in the shells beyond the resolution of the start."""
    assert found.radius > start
    return compute_fsc(found.maps[0, 0], found.maps[1, 0])[start + 1 : found.radius + 1]


def test_half_sets_of_particles_agree_beyond_the_resolution_of_their_start(good):
    found, start, _ = good
    assert found.maps.shape == (2, 1, BOX, BOX, BOX)
    assert np.isfinite(found.maps).all()
    assert fsc_beyond(found, start)[:4].min() > 0.5
    assert not np.array_equal(found.maps[0], found.maps[1])


def test_half_sets_of_noise_do_not_agree_beyond_the_resolution_of_their_start(particles):
    noise = np.random.default_rng(4).standard_normal(particles.images.shape).astype(np.float32)
    found, start, _ = refine(noise, particles)
    beyond = fsc_beyond(found, start)
    assert np.abs(beyond).mean() < 0.3
    assert beyond.max() < 0.5


def test_the_half_sets_read_disjoint_particles_one_after_the_other(good):
    _, _, source = good
    odd = [set((index % 2).tolist()) for index in source.read]
    assert all(len(of_batch) == 1 for of_batch in odd)
    order = [of_batch.pop() for of_batch in odd]
    assert order == sorted(order)
    assert set(np.concatenate(source.read).tolist()) == set(range(120))


def test_a_subset_reads_its_own_images_and_numbers_them_anew():
    images = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    subset = SourceSubset(InMemorySource(images, 3.0), np.array([1, 3, 5]))
    assert (subset.box_size, subset.pixel_size) == (4, 3.0)
    batches = list(subset.batches([np.array([0, 2]), np.array([1])]))
    assert all(isinstance(batch, ImageBatch) for batch in batches)
    assert [batch.index.tolist() for batch in batches] == [[0, 2], [1]]
    assert [batch.images[:, 0, 0].tolist() for batch in batches] == [[1, 5], [3]]


class FaultySource(InMemorySource):
    """A source that excludes image 3, and yields the others one by one."""

    def batches(self, indices):
        for batch in super().batches(indices):
            for index, image in zip(batch.index, batch.images, strict=True):
                if index != 3:
                    yield ImageBatch(np.array([index]), image[None])


def test_a_subset_follows_a_source_that_excludes_images_and_splits_batches():
    images = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    subset = SourceSubset(FaultySource(images, 3.0), np.array([1, 3, 5]))
    batches = list(subset.batches([np.array([2, 1, 0])]))
    assert [batch.index.tolist() for batch in batches] == [[2], [0]]
    assert [batch.images[:, 0, 0].tolist() for batch in batches] == [[5], [1]]


@pytest.mark.parametrize("after", [1, 2])
def test_stopping_returns_nothing(particles, after, monkeypatch):
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) >= after

    found, _, source = refine(particles.images, particles, stop=stop)
    assert found is None
    assert len(calls) == after + 1  # after each iteration, and before the other half-set
    assert not (np.concatenate(source.read) % 2).any()  # the second half-set was not begun


def test_the_start_has_no_detail_beyond_the_resolution_of_the_random_starts(particles):
    state, radius = end_of_run(particles.images, particles)
    filtered = half_sets._filtered(state.models[0].maps[0], radius)
    k = np.fft.fftfreq(BOX, 1 / BOX)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    power = np.abs(np.fft.fftn(filtered))
    assert power[length > radius + 0.5].max() < 1e-5 * power.max()
    assert power[(length > radius - 1) & (length <= radius)].max() > 1e-2 * power.max()


def test_a_start_with_a_group_that_the_run_had_no_time_for_does_not_enter_the_half_sets(particles):
    state, _ = end_of_run(particles.images, particles)
    waiting = replace(state, alternative=Alternative(state.models[0]))
    assert half_sets._filtered_start(waiting).alternative is None
