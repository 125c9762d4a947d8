"""Slices of maps, perpendicular and parallel to an axis."""

import numpy as np

from napari_ini3d.plugin.compare.slices import central_slices

ALONG = np.array([1.0, 2.0, 2.0]) / 3


def test_a_slice_perpendicular_to_z_shows_x_and_y():
    n = 24
    volume = np.zeros((n, n, n))
    volume[:, n // 2 + 5, n // 2] = 1  # a rod along z, 5 voxels up y
    across, _, along = central_slices(volume, (0, 0, 1))
    assert np.argwhere(across > 0.5).tolist() == [[n // 2 + 5, n // 2]]
    assert (along[:, n // 2 + 5] > 0.5).all()


def test_slices_parallel_to_a_tilted_axis_have_it_upright():
    n = 32
    z, y, x = np.mgrid[:n, :n, :n] - n // 2
    points = np.stack([x, y, z], axis=-1)
    rod = np.exp(-(np.linalg.norm(np.cross(points, ALONG), axis=-1) ** 2) / 4)
    across, first, second = central_slices(rod, ALONG)
    weight = across / across.sum()
    line = np.arange(n) - n // 2
    assert abs((weight.sum(0) * line).sum()) < 0.1
    assert abs((weight.sum(1) * line).sum()) < 0.1
    for upright in (first, second):
        middle = upright[6:-6]
        np.testing.assert_allclose(middle.argmax(axis=1), n // 2)
