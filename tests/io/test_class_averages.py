"""Class averages that are read as particles."""

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_ini3d.errors import InputError, SettingsError, StackError
from napari_ini3d.io import ParticleFiles, StackReader, read_particles


def write(path, images, pixel_size=3.5):
    with mrcfile.new(path) as file:
        file.set_data(np.asarray(images, dtype=np.float32))
        file.set_image_stack()
        file.voxel_size = pixel_size
    return ParticleFiles(path, class_averages=True)


@pytest.fixture
def averages():
    images = np.random.default_rng(0).normal(size=(5, 16, 16))
    images[[1, 4]] = 0
    return images


@pytest.mark.parametrize("name", ["run_it025_classes.mrcs", "J5_templates.mrc"])
def test_each_class_with_particles_is_one_image(tmp_path, averages, name):
    particles, table = read_particles(write(tmp_path / name, averages))
    assert table.class_averages
    np.testing.assert_array_equal(particles.image_index, [0, 2, 3])
    (group,) = particles.optics
    assert (group.pixel_size, group.box_size) == (3.5, 16)
    images = StackReader(particles).read(np.arange(3)).images
    np.testing.assert_allclose(images, averages[[0, 2, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "pixel_size", "reason"),
    [
        (np.zeros((3, 16, 16)), 3.5, "all 3 images are empty"),
        (np.eye(16)[None], 0.0, "no pixel size"),
        (np.zeros((2, 16, 18)), 3.5, "16 pixels"),
    ],
)
def test_a_stack_that_cannot_be_used_is_refused(tmp_path, images, pixel_size, reason):
    with pytest.raises(StackError, match=reason):
        read_particles(write(tmp_path / "classes.mrcs", images, pixel_size))


def test_without_the_option_an_image_stack_is_refused_with_the_ways_to_use_it(tmp_path, averages):
    path = write(tmp_path / "classes.mrcs", averages).path
    with pytest.raises(InputError, match=r"an image stack.*STAR file.*--from-class-averages"):
        read_particles(path)


@pytest.mark.parametrize("option", [{"passthrough": (Path("a.cs"),)}, {"project": Path()}])
def test_options_of_particle_files_are_refused_with_class_averages(tmp_path, averages, option):
    files = replace(write(tmp_path / "J5_templates.mrc", averages), **option)
    with pytest.raises(SettingsError, match="expected the stack alone"):
        read_particles(files)
