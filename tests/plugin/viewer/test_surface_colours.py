import numpy as np
import pytest

from napari_ini3d.plugin.viewer.map_surface import MapSurface, find_surface
from napari_ini3d.plugin.viewer.surface_colours import vertex_colours
from napari_ini3d.symmetry import Subunit

N = 24


@pytest.fixture(scope="module")
def surface() -> MapSurface:
    z, y, x = np.mgrid[:N, :N, :N] - N // 2
    rod = np.exp(-(x**2 / 6 + y**2 / 6 + z**2 / 40)).astype(np.float32)
    return find_surface(rod, 0.3)


def hue(colours: np.ndarray, surface: MapSurface) -> np.ndarray:
    return colours[:, :3] / surface.brightness[:, None]


def test_heights_run_from_blue_to_red(surface):
    colours = hue(vertex_colours(surface, "height", N), surface)
    z = surface.vertices[:, 0]
    low, high = colours[z < z.min() + 1].mean(0), colours[z > z.max() - 1].mean(0)
    assert low[2] > low[0]
    assert high[0] > high[2]
    level = np.isclose(z, N // 2, atol=0.01)
    assert level.sum() > 4
    assert np.ptp(colours[level], axis=0).max() < 0.05


def test_the_distance_from_the_centre_is_the_same_at_both_ends(surface):
    colours = hue(vertex_colours(surface, "radius", N), surface)
    z = surface.vertices[:, 0] - N // 2
    ends = [colours[z > z.max() - 1].mean(0), colours[z < z.min() + 1].mean(0)]
    assert np.allclose(*ends, atol=0.05)
    assert ends[0][0] > ends[0][2]
    waist = colours[np.abs(z) < 1].mean(0)
    assert waist[2] > waist[0]


def test_colours_are_darker_where_the_surface_faces_away_from_the_light(surface):
    colours = vertex_colours(surface, "radius", N)
    dark, bright = (surface.brightness < 0.3, surface.brightness > 0.8)
    assert colours[dark, :3].max(1).mean() < 0.5 * colours[bright, :3].max(1).mean()
    assert (colours[:, 3] == 1).all()


def test_one_colour_and_an_empty_surface_have_no_colours_of_vertices(surface):
    assert vertex_colours(surface, "plain", N) is None
    assert vertex_colours(MapSurface.nowhere(0), "height", N) is None


def test_agreement_runs_from_red_to_blue_on_a_scale_that_does_not_depend_on_the_map(surface):
    z = np.mgrid[:N, :N, :N][0]
    agreement = np.where(z > N // 2, 1.0, 0.0).astype(np.float32)
    colours = hue(vertex_colours(surface, "agreement", N, agreement=agreement), surface)
    z = surface.vertices[:, 0]
    good, bad = colours[z > N // 2 + 1].mean(0), colours[z < N // 2 - 1].mean(0)
    assert good[2] > good[0]
    assert bad[0] > bad[2]
    everywhere = np.ones((N, N, N), np.float32)
    even = hue(vertex_colours(surface, "agreement", N, agreement=everywhere), surface)
    np.testing.assert_allclose(even.mean(0), good, atol=0.02)


def test_without_halves_there_are_no_colours(surface):
    assert vertex_colours(surface, "agreement", N) is None


def test_copies_are_coloured_by_their_density_each_to_its_border(surface):
    places = [(0.0, 0.0, 5.0), (0.0, 0.0, -5.0)]  # (x, y, z), voxels
    subunits = tuple(map(Subunit, places, (-0.3, 0.1)))
    colours = hue(vertex_colours(surface, "copies", N, subunits=subunits), surface)
    z = surface.vertices[:, 0] - N // 2
    less, more = colours[z > 0.1], colours[z < -0.1]
    assert np.ptp(less, axis=0).max() < 1e-5
    assert np.ptp(more, axis=0).max() < 1e-5
    assert less[0, 0] > less[0, 2]  # orange
    assert more[0, 2] > more[0, 0]  # light blue


def test_without_a_pseudo_symmetry_there_are_no_colours_of_copies(surface):
    assert vertex_colours(surface, "copies", N) is None
