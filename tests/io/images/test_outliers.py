import numpy as np
import pytest

from napari_ini3d.io.images.outliers import replace_outliers

BOX = 48


def noise(n=4, *, seed=0):
    return np.random.default_rng(seed).normal(100, 3, (n, BOX, BOX)).astype(np.float32)


@pytest.mark.parametrize("value", [1e4, 170.0, 0.0, 1e20, -2.5e38, np.nan, np.inf, -np.inf])
def test_single_outliers_become_like_their_neighbours_and_nothing_else_changes(value):
    images, clean = noise(), noise()
    pixels = [(0, 0), (20, 20), (47, 30)]
    for y, x in pixels:
        images[1, y, x] = value
    assert replace_outliers(images).tolist() == [0, 3, 0, 0]
    for y, x in pixels:
        assert abs(images[1, y, x] - 100) < 4
        images[1, y, x] = clean[1, y, x]
    assert np.array_equal(images, clean)


@pytest.mark.parametrize("block", [np.s_[10:13, 10:13], np.s_[:, 7], np.s_[6, :]])
def test_clusters_and_rows_of_hot_pixels_are_replaced(block):
    images = noise(1)
    images[0][block] = 5000
    assert replace_outliers(images)[0] == images[0][block].size
    assert abs(images[0] - 100).max() < 20


def test_an_image_with_many_bad_pixels_stays_as_it_is():
    images = noise(2)
    images[0, :, : BOX // 2] = np.nan
    images[1] = np.nan
    assert not replace_outliers(images).any()
    assert np.isnan(images[0, :, : BOX // 2]).all()


def test_a_stripe_without_data_is_filled():
    images = noise(1)
    images[0, :6] = np.nan
    assert replace_outliers(images)[0] == 6 * BOX
    assert np.isfinite(images).all()
    assert abs(images[0, :6] - 100).max() < 10


def test_a_constant_image_with_a_hot_pixel_becomes_constant():
    images = np.full((1, BOX, BOX), 7.0, np.float32)
    images[0, 3, 4] = 1e5
    assert replace_outliers(images)[0] == 1
    assert (images == 7).all()


def gaussian(sigma):
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    return np.exp(-(x**2 + y**2) / (2 * sigma**2))


@pytest.mark.parametrize("background", [0.0, 1e-6, 0.1])
@pytest.mark.parametrize("sigma", [1.5, 3.0, 8.0])
def test_strong_density_on_a_quiet_background_is_not_touched(sigma, background):
    rng = np.random.default_rng(1)
    image = gaussian(sigma) + background * rng.normal(size=(BOX, BOX))
    images = image[None].astype(np.float32)
    before = images.copy()
    assert replace_outliers(images)[0] == 0
    assert np.array_equal(images, before)


def test_edges_ice_crystals_and_counts_of_few_electrons_are_not_touched():
    rng = np.random.default_rng(2)
    edge = rng.normal(size=(BOX, BOX)) + 20 * (np.arange(BOX) > 30)
    ice = rng.normal(size=(BOX, BOX)) + 60 * gaussian(2.0)
    counts = rng.poisson(0.3, (BOX, BOX))
    images = np.stack([edge, ice, counts]).astype(np.float32)
    before = images.copy()
    assert not replace_outliers(images).any()
    assert np.array_equal(images, before)


def test_noise_is_not_touched():
    assert not replace_outliers(noise(500, seed=3)).any()


def test_images_are_treated_alike_alone_and_together():
    images = noise(300)
    rng = np.random.default_rng(4)
    images[rng.integers(0, 300, 400), rng.integers(0, BOX, 400), rng.integers(0, BOX, 400)] = 9e3
    alone = images.copy()
    together = replace_outliers(images)
    assert [int(replace_outliers(image[None])[0]) for image in alone] == together.tolist()
    assert np.array_equal(images, alone)
