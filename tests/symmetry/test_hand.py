from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.errors import MapError
from napari_ini3d.geometry.euler import euler_to_matrix
from napari_ini3d.geometry.poses import flip_angles
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.particles import project_phantom
from napari_ini3d.symmetry.hand import flip_hand

MIRROR = np.diag([1.0, 1.0, -1.0])
PHANTOM = make_phantom(diameter=70.0)


def random_angles(count=50):
    rng = np.random.default_rng(3)
    return rng.uniform([-180, 0, -180], [180, 180, 180], (count, 3))


def test_the_mirrored_map_is_seen_alike_under_the_flipped_angles():
    settings = SimulationSettings(number=8, box_size=32, pixel_size=4.0, offset_sigma=5.0)
    simulated = simulate_particles(PHANTOM, settings)
    truth, optics = simulated.truth, simulated.particles.optics[0]
    angles = np.stack([truth.rot, truth.tilt, truth.psi], axis=1)
    density = PHANTOM.density(32, 4.0)
    volume, flipped = flip_hand(density, angles)
    mirrored = replace(PHANTOM, positions=PHANTOM.positions @ MIRROR)
    np.testing.assert_allclose(volume[1:], mirrored.density(32, 4.0)[1:], atol=1e-5 * volume.max())
    rot, tilt, psi = flipped.T
    before = project_phantom(PHANTOM, optics, truth)
    after = project_phantom(mirrored, optics, replace(truth, rot=rot, tilt=tilt, psi=psi))
    np.testing.assert_allclose(after, before, atol=1e-4 * before.max())
    stale = project_phantom(mirrored, optics, truth)
    assert np.abs(stale - before).max() > 0.1 * before.max()


def test_the_flipped_matrix_is_the_mirrored_one():
    angles = random_angles()
    flipped = flip_angles(angles)
    expected = MIRROR @ euler_to_matrix(*angles.T) @ MIRROR
    np.testing.assert_allclose(euler_to_matrix(*flipped.T), expected, atol=1e-12)
    np.testing.assert_array_equal(flipped[:, 1], angles[:, 1])
    assert (flipped > -180).all()
    assert (flipped <= 180).all()


@pytest.mark.parametrize("size", [16, 17])
def test_flipping_twice_is_the_identity(size):
    volume = np.random.default_rng(1).normal(size=(size,) * 3).astype(np.float32)
    angles = np.concatenate([random_angles(), [[0, 0, 180], [180, 180, 0], [90, 90, -90]]])
    again = flip_hand(*flip_hand(volume, angles))
    np.testing.assert_array_equal(again[0], volume)
    np.testing.assert_allclose(again[1], angles, atol=1e-12)


def test_no_particles_are_flipped_to_no_particles():
    assert flip_angles(np.zeros((0, 3))).shape == (0, 3)


def test_a_map_that_is_no_cube_is_refused():
    with pytest.raises(MapError, match="expected a cube"):
        flip_hand(np.zeros((4, 4, 5)), random_angles())
