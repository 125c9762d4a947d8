"""Poses that a run finds: rotations, shifts, and how far off-centre the particles are."""

from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.comparison.register import Registration
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.state import FIRST_SIGMA_OFFSET
from napari_ini3d.geometry import euler_to_matrix, matrix_to_euler
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
SETTINGS = InitialModelSettings(
    mask_diameter=DIAMETER, iterations=25, starts=2, offset_range=10.0, threads=1
)
PHANTOM = make_phantom(seed=3, diameter=100, domains=3)


def simulate(offset_sigma: float) -> SimulatedParticles:
    settings = SimulationSettings(
        number=300, box_size=BOX, pixel_size=PIXEL_SIZE, snr=2.0, offset_sigma=offset_sigma, seed=2
    )
    return simulate_particles(PHANTOM, settings)


def run_all(data: SimulatedParticles, settings: InitialModelSettings) -> list[IterationReport]:
    return list(reconstruct(InMemorySource.of(data), data.particles, settings))


def origin_errors(
    last: IterationReport, particles: SimulatedParticles, fit: Registration
) -> np.ndarray:
    """Return how far (Å) the origins are from the true ones, given the map's fit to the phantom."""
    found, truth = last.assignments, particles.truth
    hand = np.diag([1, 1, -1 if fit.mirrored else 1])
    in_map = euler_to_matrix(found.rot, found.tilt, found.psi)[:, :2] @ hand
    origins = np.stack([found.origin_x, found.origin_y], -1)
    expected = np.stack([truth.origin_x, truth.origin_y], -1)
    # the map is off the truth's centre
    expected = expected + PIXEL_SIZE * in_map @ fit.transform.shift
    return np.hypot(*(origins - expected).T)


def projections(axes: np.ndarray, particles: SimulatedParticles) -> np.ndarray:
    """Return projections of the phantom at 20 Å, (N, n²), of images with x and y axes (N, 2, 3)."""
    matrices = np.concatenate([axes, np.cross(axes[:, 0], axes[:, 1])[:, None]], 1)
    rot, tilt, psi = matrix_to_euler(matrices).T
    zero = np.zeros_like(rot)
    poses = replace(particles.truth, rot=rot, tilt=tilt, psi=psi, origin_x=zero, origin_y=zero)
    return project_phantom(PHANTOM, particles.particles.optics[0], poses, 20.0).reshape(
        len(rot), -1
    )


def test_particles_are_assigned_their_true_shifts_and_many_their_true_rotations():
    particles = simulate(offset_sigma=4.0)
    run = run_all(particles, SETTINGS)
    found, truth = run[-1].assignments, particles.truth
    assert (found.class_index == 0).all()
    assert run[-1].subset_size == len(particles.particles)
    density, volume = PHANTOM.density(BOX, PIXEL_SIZE), run[-1].volumes[0]
    fit = compare_maps(density, volume, voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER).registration
    hand = np.diag([1, 1, -1 if fit.mirrored else 1])
    # the x and y axes of each image, in the coordinates of the map and of the truth: (N, 2, 3)
    in_map = euler_to_matrix(found.rot, found.tilt, found.psi)[:, :2] @ hand
    in_truth = euler_to_matrix(truth.rot, truth.tilt, truth.psi)[:, :2]
    error = origin_errors(run[-1], particles, fit)
    assert np.median(error) < 2.0  # about 1.1 Å; 5.3 Å if all shifts were zero
    # at this resolution some views of three domains look alike when rotated by 180 degrees
    in_fit = in_map @ fit.transform.rotation.T
    chord = np.linalg.norm(in_fit - in_truth, axis=(1, 2))
    assert (chord < np.deg2rad(20)).mean() > 0.2  # 1 in 400 if they were random
    seen, true = (projections(axes, particles) for axes in (in_fit, in_truth))
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(seen, true, strict=True)]) > 0.9
    by_chance = [np.corrcoef(a, b)[0, 1] for a, b in zip(seen, true[::-1], strict=True)]
    assert np.median(by_chance) < 0.8


def test_a_set_that_is_off_centre_is_found_and_its_spread_of_shifts_learned():
    data, settings = simulate(offset_sigma=18.0), SETTINGS.with_changes(offset_range=14.0)
    found = run_all(data, settings)
    last, truth = found[-1], data.truth
    density = PHANTOM.density(BOX, PIXEL_SIZE)
    like = compare_maps(density, last.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER)
    assert like.mean_fsc(20.0) > 0.9
    assert last.sigma_offset == pytest.approx(18.0, rel=0.2)
    assert found[0].sigma_offset == FIRST_SIGMA_OFFSET  # the starts
    off = np.hypot(truth.origin_x, truth.origin_y)
    far = (off > settings.offset_range + 5) & (off < 2.5 * settings.offset_range)
    assert far.mean() > 0.2
    assert np.median(origin_errors(last, data, like.registration)[far]) < 5.0
