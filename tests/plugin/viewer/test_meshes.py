"""Meshes of axis symbols and spheres, without a window."""

from collections import Counter

import numpy as np
import pytest
from fake_symmetry import make_self_rotation
from scipy.spatial.transform import Rotation

from napari_ini3d.plugin.viewer.meshes import (
    axis_mark,
    join_meshes,
    polygon_corners,
    sphere_mesh,
)
from napari_ini3d.symmetry.records import FoundAxis

ALONG = np.array([1.0, 2.0, 2.0]) / 3


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6, 7])
def test_the_symbol_of_an_axis_has_its_symmetry_and_no_higher(order):
    corners = polygon_corners(order)

    def fits(angle):
        moved = corners @ Rotation.from_euler("z", angle, degrees=True).as_matrix()[:2, :2].T
        return all(np.linalg.norm(corners - corner, axis=1).min() < 1e-9 for corner in moved)

    assert fits(360 / order)
    assert not fits(360 / (2 * order))


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6, 12])
def test_a_symbol_is_a_closed_surface_perpendicular_to_its_axis(order):
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
