"""Marks of axes, spheres and slices: geometry without a window."""

from collections import Counter

import numpy as np
import pytest
from fake_symmetry import make_self_rotation
from scipy.spatial.transform import Rotation

from napari_ini3d.plugin.compare.slices import central_slices
from napari_ini3d.plugin.viewer.meshes import (
    axis_mark,
    join_meshes,
    polygon_corners,
    sphere_mesh,
)
from napari_ini3d.symmetry.records import FoundAxis

ALONG = np.array([1.0, 2.0, 2.0]) / 3


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6, 7])
def test_the_mark_of_an_axis_has_its_symmetry_and_no_higher(order):
    corners = polygon_corners(order)

    def fits(turn):
        moved = corners @ Rotation.from_euler("z", turn, degrees=True).as_matrix()[:2, :2].T
        return all(np.linalg.norm(corners - corner, axis=1).min() < 1e-9 for corner in moved)

    assert fits(360 / order)
    assert not fits(360 / (2 * order))


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6, 12])
def test_a_mark_is_a_closed_surface_across_its_axis(order):
    vertices, faces, shade = axis_mark(order, ALONG, np.array([1.0, 2.0, 3.0]), 2.0)
    _, same = np.unique(np.round(vertices, 4), axis=0, return_inverse=True)
    corners = same.ravel()[faces]
    edges = Counter(
        frozenset((int(a), int(b)))
        for face in corners
        for a, b in zip(face, np.roll(face, 1), strict=True)
    )
    assert set(edges.values()) == {2}
    heights = (vertices[:, ::-1] - [1, 2, 3]) @ ALONG
    np.testing.assert_allclose(np.abs(heights), 0.45, atol=1e-5)
    np.testing.assert_allclose(vertices.mean(axis=0), [3, 2, 1], atol=1e-5)
    assert len(shade) == len(vertices)


def test_meshes_are_joined_without_mixing_their_corners():
    parts = [axis_mark(n, ALONG, np.full(3, float(n)), 1.0)[:2] for n in (2, 3)]
    vertices, faces = join_meshes(parts)
    assert len(vertices) == sum(len(v) for v, _ in parts)
    np.testing.assert_array_equal(vertices[faces[-1]], parts[1][0][parts[1][1][-1]])


def test_the_sphere_is_whole_and_an_axis_shows_at_both_its_ends():
    found = make_self_rotation([FoundAxis(2, tuple(ALONG.tolist()), 1.0)])
    corners, faces, source = sphere_mesh(found.directions)
    assert len(corners) - 3 * len(faces) / 2 + len(faces) == 2  # Euler's formula
    values = found.values[0][source]
    for end in (ALONG, -ALONG):
        assert values[(corners @ end).argmax()] > 0.9
    away = np.abs(corners @ ALONG) < 0.5
    assert values[away].max() < 0.2


def test_slices_across_an_axis_show_what_lies_there():
    n = 24
    volume = np.zeros((n, n, n))
    volume[:, n // 2 + 5, n // 2] = 1  # a rod along z, 5 voxels up y
    across, _, along = central_slices(volume, (0, 0, 1))
    assert np.argwhere(across > 0.5).tolist() == [[n // 2 + 5, n // 2]]
    assert (along[:, n // 2 + 5] > 0.5).all()


def test_slices_along_a_tilted_axis_have_it_upright():
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
