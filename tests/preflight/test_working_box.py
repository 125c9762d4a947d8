import numpy as np
import pytest
from mrc_files import particle_rows, star_text, write_stack

from napari_ini3d.engine.resolved_settings import finest_resolution
from napari_ini3d.engine.schedule import ImageGeometry
from napari_ini3d.errors import StackError
from napari_ini3d.io.images.reader import StackReader
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.preflight.working_box import PixelGrid, choose_working_grid, particle_grid
from napari_ini3d.settings import InitialModelSettings

GRIDS = [
    PixelGrid(box, pixel) for box in (128, 256, 360, 512) for pixel in (0.5, 0.83, 1.06, 1.31, 2.0)
]
DIAMETERS = [None, 60.0, 150.0, 320.0]


def _settings(diameter=None, limit=None):
    return InitialModelSettings(mask_diameter=diameter, max_resolution=limit)


def _radius(grid, settings):
    diameter = settings.mask_diameter or 0.0
    finest = finest_resolution(settings, pixel_size=grid.pixel_size, mask_diameter=diameter)
    return ImageGeometry(grid.box_size, grid.pixel_size, diameter, 1).radius_of(finest)


@pytest.mark.parametrize("limit", [None, 4.0, 6.1, 12.0, 25.0])
@pytest.mark.parametrize("diameter", DIAMETERS)
def test_a_run_can_reach_the_same_resolution_as_in_the_box_of_the_particles(diameter, limit):
    settings = _settings(diameter, limit)
    for own in GRIDS:
        grid = choose_working_grid(own, settings)
        assert grid.width == pytest.approx(own.width, rel=1e-12)
        assert grid.box_size % 2 == 0
        assert _radius(grid, settings) == _radius(own, settings)


def test_the_highest_resolution_stays_away_from_nyquist():
    for own in GRIDS:
        grid = choose_working_grid(own, _settings(150.0))
        if grid != own:
            assert grid.box_size >= 2.5 * _radius(grid, _settings(150.0))
            assert (
                grid.box_size < 3 * _radius(grid, _settings(150.0)) + 4
            )  # but not larger than needed


def test_particles_are_not_downsampled_if_the_map_keeps_more_than_half_of_its_voxels():
    assert choose_working_grid(PixelGrid(64, 3.4), _settings(130.0)) == PixelGrid(64, 3.4)
    assert choose_working_grid(PixelGrid(100, 2.6), _settings(130.0)) == PixelGrid(100, 2.6)
    for own in GRIDS:
        grid = choose_working_grid(own, _settings(150.0))
        assert grid == own or grid.box_size**3 <= own.box_size**3 / 2


@pytest.mark.parametrize("diameter", DIAMETERS[1:])
def test_without_a_mask_diameter_the_grid_is_not_coarser(diameter):
    for own in GRIDS:
        assert (
            choose_working_grid(own, _settings()).box_size
            >= choose_working_grid(own, _settings(diameter)).box_size
        )


def test_a_box_of_512_at_1_angstrom_is_processed_in_160_of_3_2():
    grid = choose_working_grid(PixelGrid(512, 1.0), _settings(150.0))
    assert grid == PixelGrid(160, 3.2)
    assert str(grid) == "160 pixels of 3.2 Å"


def test_a_reader_resamples_to_the_working_grid(tmp_path):
    write_stack(tmp_path / "stack.mrcs", np.random.default_rng(0).normal(size=(2, 144, 144)))
    text = star_text(particle_rows(2), optics=["1 a 300 2.7 0.1 1.31 144 2"])
    (tmp_path / "p.star").write_text(text)
    particles, _ = read_particles(tmp_path / "p.star")
    grid = choose_working_grid(particle_grid(particles), _settings(100.0))
    assert grid.box_size < 100
    reader = StackReader(particles, pixel_size=grid.pixel_size)
    assert PixelGrid(reader.box_size, reader.pixel_size) == grid


def test_different_optics_groups_have_the_grid_of_the_reader(tmp_path):
    write_stack(tmp_path / "a.mrcs", np.zeros((1, 32, 32)))
    write_stack(tmp_path / "b.mrcs", np.zeros((1, 48, 48)))
    optics = ["1 a 300 2.7 0.1 2.0 32 2", "2 b 300 2.7 0.1 1.5 48 2"]
    rows = [*particle_rows(1, "a.mrcs"), *particle_rows(1, "b.mrcs", group=2)]
    (tmp_path / "p.star").write_text(star_text(rows, optics=optics))
    particles, _ = read_particles(tmp_path / "p.star")
    reader = StackReader(particles)
    assert (
        particle_grid(particles)
        == PixelGrid(reader.box_size, reader.pixel_size)
        == PixelGrid(36, 2.0)
    )
    with pytest.raises(StackError, match="no particles"):
        particle_grid(particles.take(np.array([], dtype=int)))


@pytest.mark.parametrize(("box_size", "pixel_size"), [(64, 3.0), (32, 6.0), (16, 8.0), (100, 1.0)])
@pytest.mark.parametrize("finest", [None, 40.0, 120.0])
def test_the_working_box_is_never_smaller_than_maps_may_be(box_size, pixel_size, finest):
    settings = InitialModelSettings(
        mask_diameter=90.0, max_resolution=finest, initial_resolution=finest or 40.0
    )
    assert choose_working_grid(PixelGrid(box_size, pixel_size), settings).box_size >= 16
