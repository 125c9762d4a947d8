"""The mesh of a map lies on its level, and encloses the voxels above it."""

import numpy as np
import pytest

from napari_ini3d.plugin.viewer.map_surface import enclosed_mass, find_surface, surface_step

N = 32


def ball(radius, centre=(0.0, 0.0, 0.0), box_size=N):
    """Density 1 - r / (2 radius): 0.5 at the radius."""
    grid = np.mgrid[:box_size, :box_size, :box_size] - box_size // 2
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
    return np.maximum(1 - distance / (2 * radius), 0).astype(np.float32)


def test_vertices_lie_where_the_density_is_the_level():
    surface = find_surface(ball(8.0), 0.5)
    radii = np.linalg.norm(surface.vertices - N // 2, axis=1)
    np.testing.assert_allclose(radii, 8.0, atol=0.1)


def test_a_surface_is_bright_towards_the_light_and_dim_but_not_black_on_the_other_side():
    surface = find_surface(ball(8.0), 0.5)
    towards = (surface.vertices - N // 2) @ [0.6, 0.65, 0.466] / 8  # (V,), -1 to 1
    assert surface.brightness[towards > 0.95].min() > 0.9
    assert 0.15 < surface.brightness[towards < -0.95].max() < 0.3
    assert surface.brightness.min() >= 0.19
    hollow = find_surface(1 - ball(8.0), 0.6)  # a cavity: its wall is seen from within
    assert hollow.brightness.shape == (len(hollow.vertices),)


def test_the_surface_of_a_map_that_may_not_be_written_is_found():
    volume = ball(8.0)
    volume.flags.writeable = False
    assert len(find_surface(volume, 0.5).faces) == len(find_surface(ball(8.0), 0.5).faces)


def test_normals_point_outwards():
    """Napari turns faces around with the axes; in (z, y, x) they must wind as of a left hand."""
    surface = find_surface(ball(8.0), 0.5)
    a, b, c = (surface.vertices[surface.faces[:, k]] - N // 2 for k in range(3))
    outwards = (np.cross(b - a, c - a) * (a + b + c)).sum(axis=1)
    assert (outwards > 0).all() or (outwards < 0).all()


def test_the_enclosed_volume_is_that_of_the_ball():
    surface = find_surface(ball(8.0), 0.5)
    assert surface.enclosed == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.02)


def test_121_cubic_angstrom_are_100_dalton():
    assert enclosed_mass(121.0) == pytest.approx(0.1)


def test_dust_is_left_out_and_not_counted():
    clean, dust = ball(6.0), ball(1.5, centre=(11, 0, 0))
    both = np.maximum(clean, dust)
    plain = find_surface(clean, 0.5)
    assert find_surface(both, 0.5).enclosed > plain.enclosed
    swept = find_surface(both, 0.5, smallest=100)
    assert swept.enclosed == plain.enclosed
    assert swept.vertices[:, 0].max() < N // 2 + 7
    assert find_surface(both, 0.5, smallest=10_000).enclosed == 0


@pytest.mark.parametrize("level", [-1.0, 2.0, float("nan")])
def test_a_level_that_no_density_reaches_gives_no_mesh(level):
    surface = find_surface(ball(6.0), level)
    assert len(surface.faces) == 0
    assert len(surface.vertices) == 0


def test_a_map_with_nan_gives_no_mesh():
    broken = ball(6.0)
    broken[0, 0, 0] = np.nan
    assert len(find_surface(broken, 0.5).faces) == 0


def test_large_boxes_are_sampled_more_coarsely():
    assert [surface_step(n) for n in (64, 128, 160, 256, 400)] == [1, 1, 1, 2, 3]
    fine = find_surface(ball(40.0, box_size=160), 0.5)
    coarse = find_surface(ball(40.0, box_size=164), 0.5)
    assert len(coarse.faces) < 0.4 * len(fine.faces)
    radii = np.linalg.norm(coarse.vertices - 82, axis=1)
    np.testing.assert_allclose(radii, 40.0, atol=0.2)
