import numpy as np
import pytest

from napari_ini3d.fourier.masks import radius_grid, soft_mask


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("box", [16, 17])
def test_radii_are_distances_from_the_centre(box, ndim):
    found = radius_grid(box, ndim)
    index = np.indices((box,) * ndim) - box // 2
    assert found.shape == (box,) * ndim
    assert found.dtype == np.float32
    assert np.allclose(found, np.sqrt((index**2).sum(axis=0)))
    assert found[(box // 2,) * ndim] == 0


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_mask_is_one_inside_zero_outside_and_half_in_the_middle_of_its_edge(ndim):
    mask, r = soft_mask(32, 8.0, 4.0, ndim), radius_grid(32, ndim)
    assert mask.dtype == np.float32
    assert (mask[r <= 8] == 1).all()
    assert (mask[r >= 12] < 1e-7).all()
    edge = (r > 8) & (r < 12)
    assert ((mask[edge] > 0) & (mask[edge] < 1)).all()
    assert mask[(16,) * (ndim - 1) + (26,)] == pytest.approx(0.5)


def test_a_mask_falls_with_the_radius():
    mask, r = soft_mask(32, 6.0, 5.0, 2).ravel(), radius_grid(32, 2).ravel()
    assert (np.diff(mask[np.argsort(r)]) <= 0).all()


def test_a_mask_without_an_edge_is_hard():
    mask, r = soft_mask(32, 8.5, 0.0, 2), radius_grid(32, 2)
    assert np.array_equal(mask, (r <= 8.5).astype(np.float32))


def test_a_mask_wider_than_the_box_keeps_everything():
    assert (soft_mask(16, 40.0, 3.0, 3) == 1).all()
