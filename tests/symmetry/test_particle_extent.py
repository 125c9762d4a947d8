import numpy as np
import pytest
from symmetry_phantoms import known_map

from napari_ini3d.symmetry.particle_extent import find_particle_extent


def ball(box_size, centre, radius):
    line = np.arange(box_size) - box_size // 2
    x, y, z = (line - c for c in centre)
    distance = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    return (distance < radius).astype(np.float32)


def test_a_ball_is_found_where_it_lies_and_as_large_as_it_is():
    extent = find_particle_extent(ball(48, (3.0, -2.0, 5.0), 11.0))
    np.testing.assert_allclose(extent.centre, (3, -2, 5), atol=0.05)
    assert extent.radius == pytest.approx(11.0, abs=1.0)
    assert extent.warnings == ()


def test_specks_away_from_the_particle_do_not_count():
    volume = ball(48, (0, 0, 0), 9.0) + ball(48, (18.0, 18.0, 18.0), 2.5)
    extent = find_particle_extent(volume)
    np.testing.assert_allclose(extent.centre, 0, atol=0.05)
    assert extent.radius < 10


def test_noise_hardly_moves_the_centre():
    clean, noisy = (find_particle_extent(known_map("D2", noise=n).volume) for n in (0.0, 1.0))
    assert np.linalg.norm(clean.centre - noisy.centre) < 0.5


def test_a_particle_at_the_border_gives_a_warning():
    (warning,) = find_particle_extent(ball(48, (17.0, 0, 0), 8.0)).warnings
    assert "border of the box" in warning


def test_density_that_the_border_cuts_off_is_left_out_and_said():
    whole = ball(48, (0, 0, 0), 11.0)
    extent = find_particle_extent(whole + ball(48, (2.0, 27.0, 0), 11.0))
    np.testing.assert_allclose(extent.centre, 0, atol=0.1)
    assert extent.radius == pytest.approx(find_particle_extent(whole).radius, abs=0.5)
    (warning,) = extent.warnings
    assert "lies apart from the particle" in warning


def test_a_particle_that_the_border_cuts_off_itself_is_kept():
    extent = find_particle_extent(ball(48, (20.0, 0, 0), 8.0) + 0.5 * ball(48, (-12.0, 0, 0), 5.0))
    assert extent.centre[0] > 5
    assert extent.apart == 0


@pytest.mark.parametrize("factor", [2.0**-80, 2.0**80])
def test_densities_whose_squares_are_no_floats_have_the_same_extent(factor):
    volume = ball(24, (2.0, 0.0, -1.0), 5.0)
    expected, found = (find_particle_extent(volume * np.float32(f)) for f in (1.0, factor))
    assert found.radius == expected.radius
    np.testing.assert_allclose(found.centre, expected.centre, atol=1e-6)
