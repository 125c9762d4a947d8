import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ini3d.cluster import StackRecipe, package_versions
from napari_ini3d.cluster.recipes import without_unused
from napari_ini3d.cluster.versions import describe_differences
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.io import read_particles
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

PIXEL_SIZE = 6.0


@pytest.fixture(scope="module")
def data():
    settings = SimulationSettings(number=40, box_size=24, pixel_size=PIXEL_SIZE, snr=2.0, seed=2)
    return simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)


def test_a_recipe_of_stacks_travels_without_images_and_opens_them_from_another_folder(
    data, tmp_path, monkeypatch
):
    star = write_dataset(tmp_path, data, make_phantom(seed=3, diameter=100, domains=3))
    particles, _ = read_particles(star)
    monkeypatch.chdir(tmp_path)
    here = tuple(Path(path).name for path in particles.stack_paths)
    recipe = StackRecipe(
        particles=replace(particles, stack_paths=tuple(map(Path, here))),
        box_size=24,
        pixel_size=PIXEL_SIZE,
    )
    sent = pickle.dumps(recipe.absolute)
    assert len(sent) < data.images.nbytes / 4
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    reader = pickle.loads(sent)(0)
    assert np.allclose(reader.read(np.arange(40)).images, data.images, atol=1e-3)
    reader.close()


def test_what_is_sent_of_a_state_is_its_maps_and_shifts_without_sums_and_poses(data):
    settings = InitialModelSettings(mask_diameter=115.0, iterations=3, starts=1, device="cpu")
    report = next(reconstruct(InMemorySource.of(data), data.particles, settings))
    sent = without_unused(report.state)
    assert np.array_equal(sent.models[0].maps, report.state.models[0].maps)
    assert np.array_equal(sent.assignments.origin_x, report.state.assignments.origin_x)
    arrays = sent.to_arrays()
    assert not sum(arrays[f"models.0.{name}"].size for name in ("numerator", "denominator"))
    assert not sum(arrays[f"assignments.{name}"].size for name in ("rot", "tilt", "psi"))


def test_another_version_is_named_and_the_same_are_not():
    here = package_versions()
    assert describe_differences(here, here) == ""
    assert describe_differences({"numpy": "1", "numba": "2"}, {"numpy": "3", "numba": "2"}) == (
        "numpy 3 instead of 1"
    )
    assert describe_differences({"numpy": "1"}, {}) == "numpy missing instead of 1"
