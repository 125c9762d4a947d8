import numpy as np
import pytest

from napari_ini3d.geometry.healpix import count_directions, pixel_directions


@pytest.mark.parametrize("nside", [1, 2, 4, 8])
def test_directions_are_distinct_unit_vectors(nside):
    found = pixel_directions(nside)
    assert found.shape == (12 * nside**2, 3)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    cosine = found @ found.T - 2 * np.eye(len(found))
    # pixels have the area of a square of side 58.6° / nside
    assert np.rad2deg(np.arccos(cosine.max(axis=1))).min() > 0.6 * 58.6 / nside


@pytest.mark.parametrize("nside", [1, 2, 4, 8])
def test_first_and_second_moments_are_those_of_the_sphere(nside):
    found = pixel_directions(nside)
    assert np.allclose(found.mean(axis=0), 0, atol=1e-12)
    moments = found.T @ found / len(found)
    assert np.allclose(moments, np.eye(3) / 3, atol=0.06 / nside**2)
    assert np.allclose(moments, np.diag(np.diagonal(moments)), atol=1e-12)


@pytest.mark.parametrize("nside", [2, 4, 8])
def test_every_patch_of_the_sphere_has_its_share_of_pixels(nside):
    z = pixel_directions(nside)[:, 2]
    # the polar caps |z| > 2/3 hold a third of the sphere; pixels on their border count half
    inside = (z > 2 / 3 + 1e-9).sum() + (np.abs(z - 2 / 3) < 1e-9).sum() / 2
    assert inside == len(z) / 6


def test_the_coarsest_pixels_are_three_rings_of_four():
    found = pixel_directions(1)
    assert np.allclose(np.sort(found[:, 2]), np.repeat([-2 / 3, 0, 2 / 3], 4))
    longitude = np.rad2deg(np.arctan2(found[:, 1], found[:, 0])) % 360
    expected = [45, 135, 225, 315, 0, 90, 180, 270, 45, 135, 225, 315]
    assert np.allclose(longitude, expected)


@pytest.mark.parametrize("nside", [1, 2, 4])
def test_the_four_children_surround_their_parent(nside):
    parents, children = pixel_directions(nside), pixel_directions(2 * nside).reshape(-1, 4, 3)
    centre = children.mean(axis=1)
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    off = np.rad2deg(np.arccos(np.clip((centre * parents).sum(1), -1, 1)))
    assert off.max() < 9 / nside**1.5
    nearest = (children.reshape(-1, 3) @ parents.T).argmax(axis=1)
    assert (nearest == np.repeat(np.arange(len(parents)), 4)).mean() > 0.9


@pytest.mark.parametrize("nside", [0, 3, 6, -2])
def test_other_numbers_than_powers_of_two_are_refused(nside):
    with pytest.raises(ValueError, match=f"nside is {nside}; it must be a power of two"):
        pixel_directions(nside)


def test_directions_are_counted_at_the_nearest_pixel():
    centres = pixel_directions(4)
    near = centres[[3, 3, 50]] + 0.01
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    expected = np.zeros(len(centres), int)
    expected[[3, 50]] = 2, 1
    assert np.array_equal(count_directions(near, 4), expected)
    assert not count_directions(np.zeros((0, 3)), 4).any()
