"""Images of no particle among those of a particle: told apart by a map, and in a whole run."""

from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.expectation.step import expectation
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.initialisation import initial_state
from napari_ini3d.engine.local_chunks import LocalChunks
from napari_ini3d.engine.noise import update_noise
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import ScheduleInput, plan_iteration
from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.optics.ctf import compute_ctf, ctf_parameters
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)
from napari_ini3d.simulation.particles import project_phantom

BOX, PIXEL_SIZE, DIAMETER = 32, 5.0, 115.0
PRIOR = 0.1  # probability that an image is junk, before it was seen
PHANTOM = make_phantom(seed=3, diameter=100, domains=3)
SETTINGS = InitialModelSettings(
    mask_diameter=DIAMETER, iterations=25, starts=2, offset_range=10.0, threads=1
)


def simulate(number: int) -> SimulatedParticles:
    settings = SimulationSettings(
        number=number, box_size=BOX, pixel_size=PIXEL_SIZE, snr=1.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(PHANTOM, settings)


def background(images: np.ndarray) -> float:
    r = np.hypot(*np.mgrid[-16:16, -16:16])
    return float(images[:, r > DIAMETER / PIXEL_SIZE / 2].std())


def noise_like(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return background(images) * rng.standard_normal(images.shape)


def blobs(number: int, rng: np.random.Generator) -> np.ndarray:
    """Return bright round blobs of several sizes at several places, in spreads of the noise."""
    y, x = np.mgrid[-16:16, -16:16]
    at, width = rng.uniform(-6, 6, (2, number, 1, 1)), rng.uniform(2, 5, (number, 1, 1))
    height = rng.uniform(15, 40, (number, 1, 1))
    return height * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2 / width**2)


def density_scale(data: SimulatedParticles) -> float:
    """Return what the sums of the density along z are divided by in the normalised images."""
    optics = data.particles.optics[0]
    ky, kx = np.meshgrid(
        np.fft.fftfreq(BOX, PIXEL_SIZE), np.fft.rfftfreq(BOX, PIXEL_SIZE), indexing="ij"
    )
    clean = np.fft.rfft2(project_phantom(PHANTOM, optics, data.truth))
    clean *= compute_ctf(ctf_parameters(data.particles, 0), kx, ky)
    signal = np.fft.irfft2(clean, s=(BOX, BOX))  # (N, n, n)
    fit = (signal * data.images).sum() / (signal**2).sum()
    return PIXEL_SIZE**2 * background(data.images) / float(fit)  # a projection is per area


def kinds_of(
    number: int, rng: np.random.Generator, share: float, *, empty: float = 0
) -> np.ndarray:
    """Return 0 for a particle, 1 for noise alone, 2 for noise and a blob."""
    kind = np.zeros(number, int)
    kind[: round(share * number)] = 2
    kind[len(kind) - round(empty * number) :] = 1
    return rng.permutation(kind)


def contaminated(data: SimulatedParticles, kind: np.ndarray, rng: np.random.Generator):
    images = data.images.copy()
    spread = background(images)
    images[kind > 0] = noise_like(images[kind > 0], rng)
    images[kind == 2] += spread * blobs(int((kind == 2).sum()), rng)
    return images.astype(np.float32)


@pytest.fixture(scope="module")
def judged() -> tuple[np.ndarray, np.ndarray]:
    """Return the kind of each image, and its probability of junk given the true map."""
    rng = np.random.default_rng(8)
    data, kind = simulate(200), kinds_of(200, rng, 0.15, empty=0.15)
    images = contaminated(data, kind, rng)
    resolved = resolve_settings(SETTINGS, pixel_size=PIXEL_SIZE)
    executor = TileExecutor(choose_backend("cpu"), 1)
    run = RunContext.of(InMemorySource(images, PIXEL_SIZE), data.particles, resolved, executor)
    state = replace(initial_state(run), phase="search")
    truth = PHANTOM.density(BOX, PIXEL_SIZE)[None] / density_scale(data)
    model = replace(state.models[0], maps=truth.astype(np.float32))
    state = replace(state, models=(model,))
    inputs = ScheduleInput(
        phase="search",
        step=9,
        climbed=9,
        start_radius=4,
        fsc_radius=16,
        visited=0.0,
        sigma_offset=10.0,
    )
    plan = plan_iteration(inputs, resolved, run.geometry)
    for _ in range(3):  # the first estimate of the noise counts the particles as noise
        references = LocalChunks().prepare_references(run, state, plan)
        (sums,) = expectation(run, references, np.arange(200)).sums
        sigma2 = update_noise(model.sigma2, sums, frequency_disk(BOX, plan.radius))
        model = replace(model, sigma2=sigma2)
        state = replace(state, models=(model,))
    executor.close()
    junk = np.empty(200)
    for poses in sums.poses:
        junk[poses.index] = poses.junk_probability
    return kind, junk


def test_projections_of_the_map_are_not_junk(judged):
    kind, junk = judged
    assert np.median(junk[kind == 0]) < 0.01
    assert (junk[kind == 0] < PRIOR).mean() > 0.95


def test_images_of_noise_alone_are_more_likely_junk_than_before_they_were_seen(judged):
    kind, junk = judged
    assert (junk[kind == 1] > PRIOR).mean() > 0.9
    assert np.median(junk[kind == 1]) > 0.5


def test_bright_blobs_are_junk(judged):
    kind, junk = judged
    assert (junk[kind == 2] > 0.9).mean() > 0.95


def test_a_run_with_bright_blobs_in_every_seventh_image_finds_the_map_and_the_blobs():
    rng = np.random.default_rng(9)
    data, kind = simulate(300), kinds_of(300, rng, 0.15)
    source = InMemorySource(contaminated(data, kind, rng), PIXEL_SIZE)
    last = list(reconstruct(source, data.particles, SETTINGS))[-1]
    truth = PHANTOM.density(BOX, PIXEL_SIZE)
    found = compare_maps(truth, last.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER)
    assert found.mean_fsc(20.0) > 0.85
    junk = last.assignments.junk_probability
    assert (junk[kind == 2] > 0.5).mean() > 0.95
    assert (junk[kind == 0] < 0.5).mean() > 0.95
    assert junk.mean() == pytest.approx(0.15, abs=0.06)
