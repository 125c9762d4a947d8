import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.comparison import Registration
from napari_ini3d.engine import convergence
from napari_ini3d.engine.class_alignment import align_classes, aligned_poses
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.initialisation import empty_assignments
from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.engine.state import ModelState
from napari_ini3d.fourier import compute_fsc, mirror_map, rotate_map
from napari_ini3d.geometry import RigidTransform, euler_to_matrix, random_rotation
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, RADIUS = 24, 5.0, 8
MAP = make_phantom(seed=5, diameter=80, domains=3).density(BOX, PIXEL_SIZE, 14.0)
TURN = random_rotation(np.random.default_rng(3))
RUN = SimpleNamespace(
    settings=SimpleNamespace(threads=1), geometry=SimpleNamespace(pixel_size=PIXEL_SIZE)
)


@pytest.fixture(scope="module")
def assignments():
    settings = SimulationSettings(number=60, box_size=BOX, pixel_size=PIXEL_SIZE, snr=1.0)
    simulated = simulate_particles(make_phantom(seed=5, diameter=80, domains=3), settings)
    rng = np.random.default_rng(1)
    angles = rng.uniform(0, 170, (3, 60)).astype(np.float32)
    found = empty_assignments(simulated.particles)
    rot, tilt, psi = angles
    given = {"class_index": np.arange(60, dtype=np.int32) % 2, "rot": rot, "tilt": tilt, "psi": psi}
    return dataclasses.replace(found, **given)


def outcome_of(*maps):
    sums = np.ones((len(maps), 2, 5, 5, 4), np.complex64)
    model = make_model(np.stack(maps), sums)
    return IterationOutcome(
        plan=SimpleNamespace(radius=RADIUS),
        start=0,
        update=Update(model=model, half_sets=(), map_change=np.zeros(len(maps))),
        sums=SimpleNamespace(class_weight=np.array([60.0, 40.0])),
        fsc_radius=RADIUS,
    )


def make_model(maps, sums):
    return ModelState(
        maps=maps,
        numerator=sums,
        denominator=np.ones(sums.shape, np.float32),
        blended_numerator=sums,
        blended_denominator=np.ones(sums.shape, np.float32),
        sigma2=np.ones((1, BOX // 2 + 1)),
        class_shares=np.full(len(maps), 1 / len(maps)),
        sigma_offset=np.array(10.0),
        evidence=np.zeros(0),
        fsc_sum=np.zeros(0),
    )


def matrices(found):
    return euler_to_matrix(found.rot, found.tilt, found.psi)


def test_a_rotated_class_comes_to_lie_on_the_largest_with_its_particles(assignments):
    rotated = rotate_map(MAP, TURN)
    found, poses = align_classes(RUN, outcome_of(MAP, rotated), assignments)
    maps = found.update.model.maps
    np.testing.assert_array_equal(maps[0], MAP)
    assert compute_fsc(MAP, rotated)[1 : RADIUS + 1].mean() < 0.7
    assert compute_fsc(MAP, maps[1])[1 : RADIUS + 1].mean() > 0.98
    first = assignments.class_index == 0
    np.testing.assert_allclose(matrices(poses)[first], matrices(assignments)[first], atol=1e-5)
    # the slice of the rotated map at M is that of the map at M R
    expected = matrices(assignments)[~first] @ TURN
    off = Rotation.from_matrix(matrices(poses)[~first] @ expected.transpose(0, 2, 1)).magnitude()
    assert np.rad2deg(off).max() < 2


def test_a_class_of_the_other_hand_is_mirrored_with_its_particles(assignments):
    mirrored = rotate_map(mirror_map(MAP), TURN)
    found, poses = align_classes(RUN, outcome_of(MAP, mirrored), assignments)
    after = found.update.model.maps[1]
    assert compute_fsc(MAP, after)[1 : RADIUS + 1].mean() > 0.98
    second = np.flatnonzero(assignments.class_index == 1)[:5]
    for i in second:  # the same projection from the map before and after
        before = rotate_map(mirrored, matrices(assignments)[i]).sum(0)
        now = rotate_map(after, matrices(poses)[i]).sum(0)
        assert np.corrcoef(before.ravel(), now.ravel())[0, 1] > 0.99


def test_sums_in_the_old_orientation_are_dropped(assignments):
    found, _ = align_classes(RUN, outcome_of(MAP, rotate_map(MAP, TURN)), assignments)
    model = found.update.model
    assert not model.numerator.any()
    assert not model.denominator.any()
    assert not model.blended_numerator.size


@pytest.mark.parametrize("other", [MAP * 0.8, np.zeros_like(MAP)], ids=["aligned", "empty"])
def test_a_class_that_is_aligned_or_empty_stays_as_it_is(assignments, other):
    given = outcome_of(MAP, other)
    found, poses = align_classes(RUN, given, assignments)
    assert found is given
    assert poses is assignments


def test_poses_follow_a_shift_of_their_map(assignments):
    shift = RigidTransform(np.eye(3), np.array([1.0, 2.0, 3.0]))
    found = aligned_poses(
        assignments, {1: Registration(shift, mirrored=False, score=1)}, PIXEL_SIZE
    )
    second = assignments.class_index == 1
    moved = np.stack([found.origin_x - assignments.origin_x, found.origin_y - assignments.origin_y])
    expected = -(matrices(assignments)[:, :2] @ shift.shift) * PIXEL_SIZE
    np.testing.assert_allclose(moved.T[second], expected[second], atol=1e-3)
    assert not moved.T[~second].any()


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"classes": 2}, 1),
        ({"classes": 1}, 0),
        ({"classes": 2, "symmetry": "C2", "symmetry_during_run": True}, 0),
    ],
    ids=["two classes", "one class", "axes of a group"],
)
def test_classes_are_aligned_once_at_the_end_of_the_search(monkeypatch, changes, times):
    calls = []

    def align(run, outcome, assignments):
        found = align_classes(run, outcome, assignments)
        calls.append(found[0].update.model.maps)
        return found

    monkeypatch.setattr(convergence, "align_classes", align)
    settings = SimulationSettings(number=100, box_size=BOX, pixel_size=PIXEL_SIZE, snr=1.0, seed=2)
    simulated = simulate_particles(make_phantom(seed=5, diameter=80, domains=3), settings)
    run = InitialModelSettings(
        mask_diameter=95, anneal_classes=False, starts=1, iterations=12, threads=1
    ).with_changes(**changes)
    reports = list(reconstruct(InMemorySource.of(simulated), simulated.particles, run))
    assert len(calls) == times
    last_search = [report for report in reports if report.phase == "search"][-1]
    for maps in calls:
        np.testing.assert_array_equal(last_search.volumes, maps)
