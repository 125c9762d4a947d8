"""Relaxation of a symmetry: particles come into their asymmetric unit."""

import numpy as np
import pytest
from pseudo_particles import pseudo_particles, share_in_place

from napari_ini3d.engine.relaxation.folds import FixedPoses
from napari_ini3d.engine.relaxation.relax import relax_symmetry
from napari_ini3d.geometry.point_groups import PointGroup, symmetry_operators
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import InMemorySource


def relax(given, group, **options):
    poses = FixedPoses(given.given.astype(np.float32), given.origins.astype(np.float32))
    settings = InitialModelSettings(
        mask_diameter=1.1 * given.symmetric.diameter, threads=1, device="cpu"
    )
    images = InMemorySource.of(given.simulated)
    particles = given.simulated.particles
    return relax_symmetry(images, particles, settings, poses, PointGroup.parse(group), **options)


def test_particles_find_the_unit_of_the_missing_subunit_from_random_ones():
    given = pseudo_particles("C4", {0: 0.0})
    found = relax(given, "C4", starts=2)
    operators = symmetry_operators("C4")
    before = share_in_place(given.truth, given.given, operators[:1])
    after = share_in_place(given.truth, given.given @ operators[found.operators], operators[:1])
    assert before < 0.4
    assert after > 0.95
    assert found.gain.mean() > 1
    assert found.weights.sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_the_map_that_follows_has_the_missing_subunit():
    given = pseudo_particles("C4", {0: 0.0})
    found = relax(given, "C4", starts=2)
    truth = given.phantom.density(32, 4.5, 12.0)
    whole = given.symmetric.density(32, 4.5, 12.0)
    missing = whole - truth
    lost = [
        float(np.vdot(found.volume, np.rot90(missing, k, axes=(1, 2)))) for k in range(4)
    ]  # about Z
    assert min(lost) < 0.5 * sorted(lost)[1]


def test_the_same_particles_give_the_same_units():
    given = pseudo_particles("C3", {0: 0.3}, number=60)
    first, second = relax(given, "C3", starts=1), relax(given, "C3", starts=1)
    np.testing.assert_array_equal(first.operators, second.operators)
    np.testing.assert_array_equal(first.volume, second.volume)


def test_most_particles_keep_their_pose():
    given = pseudo_particles("C3", {0: 0.0}, number=150)
    found = relax(given, "C3", starts=1)
    counts = np.bincount(found.operators, minlength=3)
    assert counts[0] == counts.max()


def test_units_of_a_truly_symmetric_structure_are_not_told_apart():
    found = relax(pseudo_particles("C4", {}), "C4", starts=1)
    deviation = found.gain.std() / np.sqrt(len(found.gain))
    assert found.gain.mean() < 3 * deviation


def test_a_relaxation_that_is_stopped_gives_nothing():
    given = pseudo_particles("C3", {0: 0.0}, number=60)
    assert relax(given, "C3", stop=lambda: True) is None
