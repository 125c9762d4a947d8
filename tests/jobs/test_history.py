"""Small maps of every iteration are part of every run, whoever starts it."""

import numpy as np
import pytest
from fake_runs import use_fake_engine

from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.preflight.resources import estimate_resources
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import HISTORY_SIZE, history_iterations, read_history, write_history
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=5, write_every=2, threads=1)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    use_fake_engine(monkeypatch)


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    phantom = make_phantom(diameter=80.0)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture
def folder(star, tmp_path):
    """A finished run of five iterations."""
    for _ in start_run(star, tmp_path / "run", SETTINGS):
        pass
    return RunFolder.open(tmp_path / "run")


def small_maps(folder):
    return sorted(path.name for path in (folder.path / "history").iterdir())


def test_every_iteration_has_a_small_map(folder):
    assert history_iterations(folder) == [1, 2, 3, 4, 5]
    assert small_maps(folder) == [f"it{i:03d}.npz" for i in range(1, 6)]
    small, voxel_size = read_history(folder, 5, 0)
    written = read_map(folder.class_map_path(5, 0))
    np.testing.assert_allclose(small, written.data, atol=1e-3 * written.data.max())
    assert voxel_size == written.voxel_size


def test_the_small_map_is_written_before_its_iteration_is_reported(star, tmp_path):
    for report in start_run(star, tmp_path / "run", SETTINGS):
        assert history_iterations(RunFolder(tmp_path / "run"))[-1] == report.iteration


def test_a_run_that_goes_back_forgets_the_maps_after(folder):
    reports = resume_run(folder.path, from_iteration=2)
    assert small_maps(folder) == ["it001.npz", "it002.npz"]
    next(reports)
    assert small_maps(folder) == ["it001.npz", "it002.npz", "it003.npz"]
    reports.close()


def test_a_new_run_forgets_the_maps_of_one_that_left_nothing_else(star, tmp_path):
    left_over = RunFolder(tmp_path / "run")
    left_over.path.mkdir()
    write_history(left_over, 7, np.ones((1, 8, 8, 8), np.float32), 4.0)
    for _ in start_run(star, left_over.path, SETTINGS):
        pass
    assert history_iterations(left_over) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("box_size", "side"), [(64, 64), (256, 128)])
def test_the_estimated_disk_includes_the_small_maps(box_size, side):
    fewer = InitialModelSettings(iterations=100, write_every=1000)
    fewer_bytes, more_bytes = (
        estimate_resources(1000, box_size, settings).disk_bytes
        for settings in (fewer, fewer.with_changes(iterations=200))
    )
    assert more_bytes - fewer_bytes == 100 * 2 * side**3
    assert side == min(box_size, HISTORY_SIZE)


def test_a_history_that_cannot_be_written_or_cleared_does_not_stop_a_run(folder, caplog):
    (folder.path / "history" / "it004.npz").unlink()
    (folder.path / "history" / "it004.npz").mkdir()  # neither a file to delete nor to replace
    reports = list(resume_run(folder.path, from_iteration=2))
    assert [report.iteration for report in reports] == [3, 4, 5]
    assert "an outdated map of the history is not deleted" in caplog.text
    assert "iteration 4 cannot be replayed" in caplog.text
    assert folder.outcome() == "SUCCESS"
