import numpy as np
import pytest
from fake_runs import make_report, make_volume

from napari_ini3d.errors import MapError, RunFolderError
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.runs.classes import choose_class
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.summary import IterationSummary


def write_iteration(folder, iteration, shares, resolution):
    report = make_report(
        iteration,
        classes=len(shares),
        class_shares=np.array(shares),
        resolution=np.array(resolution, np.float32),
    )
    for k in range(len(shares)):
        write_map(folder.class_map_path(iteration, k), make_volume(seed=k), 4.0)
    folder.append_progress(IterationSummary.from_report(report).to_json())
    folder.iteration_path(iteration, "data.star").touch()


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    write_iteration(folder, 5, [0.8, 0.1, 0.1], [9.0, 30.0, 30.0])
    write_iteration(folder, 10, [0.3, 0.5, 0.2], [np.nan, 20.0, 12.0])
    return folder


def no_symmetry(_):
    raise AssertionError("the symmetry was scored")


@pytest.mark.parametrize(("choice", "index"), [("largest", 1), ("best-resolved", 2)])
def test_a_class_is_chosen_by_the_last_written_iteration(folder, choice, index):
    found = choose_class(folder, choice, no_symmetry)
    assert found.class_index == index
    assert found.map_path == folder.path / f"run_it010_class00{index + 1}.mrc"
    assert found.particles_path == folder.path / "run_it010_data.star"


def test_the_most_symmetric_class_has_the_highest_score(folder):
    def score(map_):
        return np.array_equal(map_.data, make_volume(seed=2)), map_.voxel_size

    assert choose_class(folder, "most-symmetric", score).class_index == 2


def test_the_first_of_equal_classes_is_chosen(folder):
    assert choose_class(folder, "most-symmetric", lambda _: 1.0).class_index == 0


def test_an_empty_class_is_not_the_most_symmetric(folder):
    write_map(folder.class_map_path(10, 2), np.zeros((32, 32, 32), np.float32), 4.0)
    assert choose_class(folder, "most-symmetric", lambda m: m.data.sum() < 100).class_index < 2
    for k in range(2):
        write_map(folder.class_map_path(10, k), np.zeros((32, 32, 32), np.float32), 4.0)
    with pytest.raises(MapError, match="the maps of all classes are empty"):
        choose_class(folder, "most-symmetric", no_symmetry)


def test_iterations_without_maps_are_skipped(folder):
    report = make_report(11, classes=3)
    folder.append_progress(IterationSummary.from_report(report).to_json())
    assert choose_class(folder, "largest", no_symmetry).map_path.name == "run_it010_class002.mrc"


def test_a_run_without_written_iterations_is_refused(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    with pytest.raises(RunFolderError, match="no written iteration yet"):
        choose_class(folder, "largest", no_symmetry)


def test_files_of_an_iteration_that_a_resumed_run_has_not_reached_again_are_not_chosen(folder):
    write_map(folder.class_map_path(15, 0), make_volume(), 4.0)
    folder.iteration_path(15, "data.star").touch()  # without a line of progress
    found = choose_class(folder, "largest", no_symmetry)
    assert found.map_path == folder.path / "run_it010_class002.mrc"
