import dataclasses

import numpy as np
import pytest

from napari_ini3d.particles import Assignments, OpticsGroup
from napari_ini3d.simulation import MapMolecule, make_phantom
from napari_ini3d.simulation.particles import project_phantom

PHANTOM = make_phantom("C1", diameter=90, domains=2)
OPTICS = OpticsGroup("one", 1, 300.0, 2.7, 0.1, 3.5, 48)
MAP = MapMolecule(PHANTOM.density(48, 3.5, 12.0), 3.5)


def random_poses(count: int) -> Assignments:
    rng = np.random.default_rng(3)
    turns = rng.uniform(0, 180, (3, count))
    origins = rng.normal(0, 7, (2, count))
    ones = np.ones(count)
    return Assignments(ones * 0, *turns, *origins, ones, ones, ones, ones * 0, ones)


def correlations(one: np.ndarray, other: np.ndarray) -> list[float]:
    return [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]


def test_projections_of_the_map_of_a_phantom_are_those_of_the_phantom():
    expected = project_phantom(PHANTOM, OPTICS, random_poses(6), 12.0)
    found = project_phantom(MAP, OPTICS, random_poses(6))
    assert min(correlations(expected, found)) > 0.999
    assert np.allclose(found.sum((1, 2)), expected.sum((1, 2)), rtol=1e-3)
    assert found.std() == pytest.approx(expected.std(), rel=0.01)


def test_a_map_is_projected_with_another_box_and_pixel_size():
    optics = dataclasses.replace(OPTICS, pixel_size=5.0, box_size=32)
    expected = project_phantom(PHANTOM, optics, random_poses(6), 12.0)
    found = project_phantom(MAP, optics, random_poses(6))
    assert min(correlations(expected, found)) > 0.998
    assert np.allclose(found.sum((1, 2)), expected.sum((1, 2)), rtol=1e-2)


def test_images_of_a_negative_class_are_empty():
    poses = random_poses(3)
    poses.class_index[1] = -1
    images = project_phantom(MAP, OPTICS, poses)
    assert images.any(axis=(1, 2)).tolist() == [True, False, True]


def test_a_map_in_its_own_box_is_unchanged():
    assert np.array_equal(MAP.density(48, 3.5), MAP.data)


def test_a_map_in_a_larger_box_keeps_its_origin():
    density = MAP.density(64, 3.5)
    assert np.array_equal(density[8:56, 8:56, 8:56], MAP.data)
    assert np.array_equal(MapMolecule(density, 3.5).density(48, 3.5), MAP.data)


def test_the_diameter_of_a_map_is_that_of_the_molecule():
    assert MAP.diameter == pytest.approx(PHANTOM.diameter, rel=0.15)


def test_a_micelle_is_a_belt_around_z_that_is_wider_than_the_molecule():
    micelle = MapMolecule.with_micelle(PHANTOM, 64, 3.5)
    extra = micelle.data - PHANTOM.density(64, 3.5)
    assert extra.min() >= 0
    z, y, x = (np.abs(extra).sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1)))
    width = [np.sqrt((p * (np.arange(64) - 32) ** 2).sum() / p.sum()) for p in (z, y, x)]
    assert width[0] < 0.75 * width[1]
    assert width[1] == pytest.approx(width[2], rel=0.1)
    assert extra.max() < 0.45 * micelle.data.max()
