import dataclasses

import numpy as np
import pytest

from napari_ini3d.engine.centring import centred_model, centred_poses, distance_from_centre
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.initialisation import empty_assignments
from napari_ini3d.engine.state import NO_SUMS, ModelState
from napari_ini3d.fourier import map_to_cube, radius_grid
from napari_ini3d.geometry import euler_to_matrix, symmetry_operators
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, RADIUS = 24, 5.0, 8
PHANTOM = make_phantom(seed=5, diameter=70, domains=3)
# a sphere that stays within the box when it is moved
DENSITY = PHANTOM.density(BOX, PIXEL_SIZE, 16.0) * (radius_grid(BOX, 3) < 8)
OFF = np.array([3, -2, 1])  # x, y, z
ALONE = np.eye(3, dtype=np.float32)[None]


def moved(volume: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.roll(volume, by[::-1], (0, 1, 2))


def model(maps: np.ndarray, padding: int) -> ModelState:
    cubes = np.stack([map_to_cube(volume, RADIUS, padding) for volume in maps])  # (K, cube)
    sums = np.stack([cubes, 2 * cubes], 1)  # (K, 2, cube)
    return ModelState(
        maps=maps,
        numerator=sums,
        denominator=np.ones(sums.shape, np.float32),
        blended_numerator=3 * sums,
        blended_denominator=np.ones(sums.shape, np.float32),
        sigma2=np.ones((1, BOX // 2 + 1)),
        class_shares=np.full(len(maps), 1 / len(maps)),
        sigma_offset=np.array(10.0),
        evidence=np.zeros(0),
        fsc_sum=np.zeros(0),
    )


def test_the_centre_of_mass_is_found_in_whole_voxels():
    at = distance_from_centre(DENSITY, ALONE)
    assert (distance_from_centre(moved(DENSITY, OFF), ALONE) == at + OFF).all()


def test_negative_density_and_an_empty_map_move_nothing():
    hole = np.zeros((BOX, BOX, BOX), np.float32)
    assert (distance_from_centre(hole, ALONE) == 0).all()
    hole[3, 3, 3] = -5
    assert (distance_from_centre(hole, ALONE) == 0).all()


@pytest.mark.parametrize(("group", "left"), [("C4", [0, 0, 1]), ("D2", [0, 0, 0]), ("C1", OFF)])
def test_a_centre_stays_on_the_axes_of_the_group(group, left):
    point = np.zeros((BOX, BOX, BOX), np.float32)
    point[tuple(BOX // 2 + OFF[::-1])] = 1
    operators = symmetry_operators(group).astype(np.float32)
    assert distance_from_centre(point, operators).tolist() == list(left)


@pytest.mark.parametrize("padding", [1, 2])
def test_maps_and_sums_of_each_class_move_by_its_own_shift(padding):
    shifts = np.array([OFF, [0, 1, 3]])
    maps = np.stack([moved(DENSITY, shift) for shift in shifts]).astype(np.float32)
    found = centred_model(model(maps, padding), shifts, padding)
    assert np.allclose(found.maps, DENSITY)
    expected = map_to_cube(DENSITY, RADIUS, padding)
    limit = 1e-5 * np.abs(expected).max()
    for number, half in np.ndindex(2, 2):
        for name, factor in (("numerator", 1), ("blended_numerator", 3)):
            cube = getattr(found, name)[number, half] / (factor * (half + 1))
            assert np.abs(cube - expected).max() < limit


def test_a_model_without_momentum_still_has_none():
    start = dataclasses.replace(
        model(DENSITY[None], 1), blended_numerator=NO_SUMS[0], blended_denominator=NO_SUMS[1]
    )
    found = centred_model(start, OFF[None], 1)
    assert not found.blended_numerator.size


def test_particles_show_the_moved_map_where_they_showed_it_before():
    rng = np.random.default_rng(2)
    data = simulate_particles(
        PHANTOM, SimulationSettings(number=6, box_size=BOX, pixel_size=PIXEL_SIZE, snr=5, seed=1)
    )
    before = dataclasses.replace(
        empty_assignments(data.particles),
        class_index=np.array([0, 1, 0, 1, 0, -1], np.int32),
        **{
            name: rng.uniform(-90, 90, 6).astype(np.float32)
            for name in ("rot", "tilt", "psi", "origin_x", "origin_y")
        },
    )
    shifts = np.array([OFF, [0, 1, 3]])
    after = centred_poses(before, shifts, PIXEL_SIZE)
    matrices = euler_to_matrix(before.rot, before.tilt, before.psi)  # (6, 3, 3)
    points = rng.uniform(-40, 40, (4, 3))  # Å
    for i, number in enumerate(before.class_index):
        move = shifts[number] * PIXEL_SIZE if number >= 0 else np.zeros(3)
        seen = (points @ matrices[i].T)[:, :2] - [before.origin_x[i], before.origin_y[i]]
        now = ((points - move) @ matrices[i].T)[:, :2] - [after.origin_x[i], after.origin_y[i]]
        assert np.allclose(seen, now, atol=1e-4)
    assert after.rot is before.rot


def test_a_run_on_particles_that_are_all_off_centre_ends_with_a_centred_map():
    settings = SimulationSettings(number=150, box_size=BOX, pixel_size=PIXEL_SIZE, snr=2, seed=2)
    data = simulate_particles(PHANTOM, settings)
    source = InMemorySource(np.roll(data.images, 3, axis=2), PIXEL_SIZE)  # 15 Å in x
    run = InitialModelSettings(mask_diameter=100, iterations=30, starts=1, seed=1, threads=1)
    *_, last = reconstruct(source, data.particles, run)
    assert np.abs(distance_from_centre(last.volumes[0], ALONE)).max() <= 1


def test_particles_that_centring_has_moved_beyond_the_allowed_shift_are_compared_within_it():
    settings = SimulationSettings(number=40, box_size=BOX, pixel_size=PIXEL_SIZE, snr=2, seed=2)
    data = simulate_particles(PHANTOM, settings)
    run = InitialModelSettings(
        mask_diameter=100, iterations=6, starts=1, offset_range=10, seed=1, threads=1
    )
    source = InMemorySource.of(data)
    reports = reconstruct(source, data.particles, run)
    state = next(report.state for report in reports if report.state.phase == "search")
    far = state.assignments.origin_x + np.float32(300)  # Å: no shift near it is allowed
    moved_away = dataclasses.replace(
        state, assignments=dataclasses.replace(state.assignments, origin_x=far)
    )
    found = next(reconstruct(source, data.particles, run, state=moved_away))
    plain = next(reconstruct(source, data.particles, run, state=state))
    evidence = [report.state.models[0].evidence[-1] for report in (found, plain)]
    assert evidence[0] > -1e3  # it was -1e6, for each of them
    assert evidence[0] == pytest.approx(evidence[1], rel=0.5)
    off = found.assignments.origin_x - data.particles.origin_x
    assert np.abs(off).max() < 60
