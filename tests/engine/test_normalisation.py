import numpy as np
import pytest

from napari_ini3d.engine.normalisation import background_planes, normalise
from napari_ini3d.fourier.masks import radius_grid

BOX = 32


def test_normalised_images_have_a_background_of_mean_zero_and_variance_one():
    rng = np.random.default_rng(1)
    images = rng.normal(5, 3, (4, BOX, BOX)).astype(np.float32)
    images[:, 12:20, 12:20] += 100
    found = normalise(images, 10.0)
    background = found[:, radius_grid(BOX, 2) > 10]
    assert np.allclose(background.mean(1), 0, atol=1e-5)
    assert np.allclose(background.std(1), 1, atol=1e-5)
    assert found[:, 12:20, 12:20].min() > 20
    assert np.allclose(normalise(7 * images - 30, 10.0), found, atol=1e-4)


def test_a_mask_wider_than_the_box_leaves_its_corners_as_background():
    rng = np.random.default_rng(1)
    found = normalise(rng.normal(5, 3, (2, BOX, BOX)).astype(np.float32), 1000.0)
    assert np.isfinite(found).all()
    corners = found[:, radius_grid(BOX, 2) > 0.47 * BOX]
    assert np.allclose(corners.std(1), 1, atol=1e-5)


def test_images_whose_background_is_constant_are_only_moved_to_zero():
    image = np.full((1, BOX, BOX), 4.0, np.float32)
    image[:, 16, 16] += 3
    found = normalise(image, 10.0)
    assert np.isclose(found[0, 16, 16], 3, atol=1e-5)
    found[:, 16, 16] = 0
    assert np.allclose(found, 0, atol=1e-6)


def test_a_mean_far_above_the_spread_does_not_show():
    rng = np.random.default_rng(2)
    images = rng.integers(-20, 20, (3, BOX, BOX)).astype(np.float32)
    assert np.allclose(normalise(images + 30_000, 10.0), normalise(images, 10.0), atol=1e-3)


def test_a_slope_of_the_background_is_subtracted_from_the_whole_image():
    rng = np.random.default_rng(4)
    flat = rng.normal(0, 1, (3, BOX, BOX)).astype(np.float32)
    flat[:, 12:20, 12:20] += 5
    y, x = np.mgrid[:BOX, :BOX].astype(np.float32)
    sloped = flat + 0.4 * x - 0.9 * y + 70
    assert np.allclose(normalise(sloped, 10.0), normalise(flat, 10.0), atol=1e-3)
    background = radius_grid(BOX, 2) > 10
    for image in normalise(sloped, 10.0):
        slopes = np.polyfit(x[background], image[background], 1)[0]
        assert abs(slopes) < 1e-3


@pytest.mark.parametrize("radius", [5.0, 12.0, 1000.0])
def test_the_planes_are_orthonormal_under_the_background(radius):
    weight, planes = background_planes(BOX, radius)
    assert weight.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose((planes * weight) @ planes.T, np.eye(3), atol=1e-5)
