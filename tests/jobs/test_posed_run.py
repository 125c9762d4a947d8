"""Particles of a run that are compared with its map again are read as the run read them."""

import numpy as np
import pytest
from fake_runs import use_fake_engine

from napari_ini3d.errors import SymmetryError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.io import convert_to_cryosparc
from napari_ini3d.io.cryosparc.dataset import read_dataset, write_dataset as write_fields
from napari_ini3d.jobs import start_run
from napari_ini3d.jobs.posed_run import PosedRun
from napari_ini3d.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

N = 24
SETTINGS = InitialModelSettings(
    mask_diameter=100.0, iterations=2, independent_half_sets=False, threads=1
)


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """A run of a dataset whose first 23 particles are dark."""
    use_fake_engine(monkeypatch)
    phantom = make_phantom(diameter=80.0)
    settings = SimulationSettings(number=N, box_size=32, pixel_size=4.0)
    star = write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)
    path = star.with_suffix(".cs")
    convert_to_cryosparc(star, path)
    fields = read_dataset(path)
    fields["blob/sign"] = np.where(np.arange(N) < N - 1, -1, 1).astype(np.float32)
    write_fields(path, fields)
    for _ in start_run(path, tmp_path / "run", SETTINGS):
        pass
    return RunFolder(tmp_path / "run"), path


def read(run, tmp_path):
    source, target = run.iteration_path(2, "data.star"), tmp_path / "aligned.star"
    return PosedRun.read(run, source, 0, RigidTransform(np.eye(3), np.zeros(3)), target)


def test_dark_particles_of_a_mixed_dataset_are_inverted_also_in_a_part_of_them(mixed, tmp_path):
    run, _ = mixed
    posed = read(run, tmp_path)
    dark = posed.particles.row < N - 1
    np.testing.assert_array_equal(posed.particles.to_invert, dark)
    part = posed.thinned(20).particles
    np.testing.assert_array_equal(part.to_invert, part.row < N - 1)
    only_dark = posed.particles.take(dark)
    assert only_dark.to_invert.all()


def test_without_the_dataset_the_contrast_cannot_be_told(mixed, tmp_path):
    run, path = mixed
    path.unlink()
    with pytest.raises(SymmetryError, match="does not say which images are dark"):
        read(run, tmp_path)
