"""Following of a run folder that something else writes, piece by piece."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from fake_runs import make_record, make_report, make_volume

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import write_map
from napari_ini3d.runs import file_tail, follower as follower_module, lock as lock_module
from napari_ini3d.runs.file_tail import FileTail
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.follower import RunFollower
from napari_ini3d.runs.history import write_history
from napari_ini3d.runs.lock import RunLock
from napari_ini3d.runs.newest_maps import remove_newest_maps, write_newest_maps
from napari_ini3d.runs.progress_file import format_progress
from napari_ini3d.runs.summary import IterationSummary

VOXEL = 4.0


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run")


def line_of(iteration):
    return format_progress(IterationSummary.from_report(make_report(iteration)).to_json())


def write_iteration(folder, iteration, classes=1):
    """Write what a run writes for an iteration, in its order; return the maps."""
    volumes = np.stack([make_volume(seed=iteration + k) for k in range(classes)])
    write_history(folder, iteration, volumes, VOXEL)
    write_newest_maps(folder, iteration, volumes, VOXEL)
    report = make_report(iteration, classes=classes)
    folder.append_progress(IterationSummary.from_report(report).to_json())
    return volumes


def numbers(follower):
    return [summary.iteration for summary in follower.summaries]


# -- iterations -------------------------------------------------------------------------------


def test_iterations_are_read_as_they_are_written(folder):
    follower = RunFollower(folder.path)
    assert not follower.read_progress()
    for iteration in (1, 2, 3):
        write_iteration(folder, iteration)
        assert follower.read_progress()
        assert numbers(follower) == list(range(1, iteration + 1))
    assert not follower.read_progress()


def test_a_folder_that_does_not_exist_yet_can_be_followed(tmp_path):
    follower = RunFollower(tmp_path / "run")
    assert not follower.read_progress()
    assert follower.read_maps() is None
    write_iteration(RunFolder.create(tmp_path / "run"), 1)
    assert follower.read_progress()
    assert follower.read_maps().iteration == 1


def test_a_line_that_is_half_written_is_read_when_it_is_complete(folder):
    follower = RunFollower(folder.path)
    first, second = line_of(1), line_of(2)
    with folder.progress_path.open("w") as file:
        for part in (first[:40], first[40:] + second[:1], second[1:-1]):
            file.write(part)
            file.flush()
            follower.read_progress()
        assert numbers(follower) == [1]
        file.write("\n")
    assert follower.read_progress()
    assert numbers(follower) == [1, 2]


def test_a_damaged_line_is_ignored(folder, caplog):
    folder.progress_path.write_text(line_of(1) + '{"iter\n' + line_of(2))
    follower = RunFollower(folder.path)
    follower.read_progress()
    assert numbers(follower) == [1, 2]
    assert "is damaged" in caplog.text


def test_lines_of_another_version_are_refused(folder):
    folder.progress_path.write_text(json.dumps({"version": 99, "iteration": 1}) + "\n")
    with pytest.raises(RunFolderError, match="version 99"):
        RunFollower(folder.path).read_progress()


def test_a_run_that_goes_back_is_read_again(folder):
    follower = RunFollower(folder.path)
    for iteration in (1, 2, 3):
        write_iteration(folder, iteration)
    follower.read_progress()
    folder.forget_after(1)  # as `resume --from-iteration`, which replaces the file
    assert follower.read_progress()
    assert numbers(follower) == [1]
    write_iteration(folder, 2)
    follower.read_progress()
    assert numbers(follower) == [1, 2]


def test_a_file_that_is_shortened_in_place_is_read_again(folder):
    follower = RunFollower(folder.path)
    folder.progress_path.write_text(line_of(1) + line_of(2))
    follower.read_progress()
    folder.progress_path.write_text(line_of(5))
    follower.read_progress()
    assert numbers(follower) == [5]


def test_zero_bytes_of_a_file_server_are_read_when_they_have_become_text(tmp_path):
    """A client sees the new size of a file before its content has arrived."""
    path = tmp_path / "lines.txt"
    path.write_bytes(b"one\n" + b"\0" * 4)
    tail = FileTail(path)
    assert tail.read().lines == ["one"]
    assert tail.read().lines == []
    path.write_bytes(b"one\ntwo\n")
    assert tail.read() == (["two"], False)


def test_zero_bytes_that_stay_do_not_hide_what_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(file_tail, "_PATIENCE", 3)
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\0\0\ntwo\n")
    tail = FileTail(path)
    assert [tail.read().lines for _ in range(3)] == [[], [], ["\0\0", "two"]]


def test_a_folder_that_vanishes_is_no_error(folder):
    follower = RunFollower(folder.path)
    write_iteration(folder, 1)
    follower.read_progress()
    shutil.rmtree(folder.path)
    assert not follower.read_progress()
    assert follower.read_log() == ([], False)
    assert follower.read_maps() is None
    assert not follower.is_going_on
    assert numbers(follower) == [1]


def test_the_log_is_read_from_where_it_was(folder):
    follower = RunFollower(folder.path)
    folder.log_path.write_text("one\ntwo\nthr")
    assert follower.read_log().lines == ["one", "two"]
    with folder.log_path.open("a") as file:
        file.write("ee\n")
    assert follower.read_log().lines == ["three"]


# -- maps -------------------------------------------------------------------------------------


def test_the_newest_maps_are_those_of_the_run_bit_for_bit(folder):
    follower = RunFollower(folder.path)
    volumes = write_iteration(folder, 1, classes=2)
    follower.read_progress()
    found = follower.read_maps()
    np.testing.assert_array_equal(found.volumes, volumes)
    assert (found.iteration, found.voxel_size) == (1, VOXEL)


def test_maps_of_an_iteration_that_is_not_recorded_yet_wait_for_it(folder):
    follower = RunFollower(folder.path)
    write_iteration(folder, 1)
    follower.read_progress()
    write_newest_maps(folder, 2, make_volume()[None], VOXEL)
    assert follower.read_maps() is None
    folder.append_progress(IterationSummary.from_report(make_report(2)).to_json())
    follower.read_progress()
    assert follower.read_maps().iteration == 2


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_newest_maps_that_are_cut_off_are_not_shown(folder, kept):
    follower = RunFollower(folder.path)
    write_iteration(folder, 1)
    shutil.rmtree(folder.path / "history")
    follower.read_progress()
    path = folder.path / "newest_maps.npz"
    path.write_bytes(path.read_bytes()[:kept])
    assert follower.read_maps() is None


def test_a_run_that_has_ended_shows_its_written_maps(folder):
    follower = RunFollower(folder.path)
    volumes = write_iteration(folder, 1)
    remove_newest_maps(folder)
    write_map(folder.class_map_path(1, 0), volumes[0], VOXEL)
    follower.read_progress()
    np.testing.assert_array_equal(follower.read_maps().volumes, volumes)


def test_a_run_that_was_killed_shows_the_maps_of_its_history(folder):
    follower = RunFollower(folder.path)
    volumes = write_iteration(folder, 1)
    follower.read_progress()
    (folder.path / "newest_maps.npz").unlink()
    found = follower.read_maps()
    np.testing.assert_allclose(found.volumes, volumes, atol=1e-3 * volumes.max())


def test_the_newest_maps_are_outputs_until_they_are_removed(folder):
    write_iteration(folder, 1)
    path = folder.path / "newest_maps.npz"
    assert path in folder.outputs()
    remove_newest_maps(folder)
    assert not path.exists()
    assert path not in folder.outputs()


def test_maps_that_cannot_be_written_do_not_stop_the_run(folder, caplog):
    (folder.path / "newest_maps.npz").mkdir()
    (folder.path / "outputs.txt").write_text("newest_maps.npz\n")
    write_newest_maps(folder, 1, make_volume()[None], VOXEL)
    assert "the maps of iteration 1 cannot be followed" in caplog.text


def test_the_number_of_classes_is_that_of_the_whole_run(folder):
    follower = RunFollower(folder.path)
    assert follower.n_classes() == 1
    folder.write_record(make_record(settings=make_record().settings.with_changes(classes=3)))
    assert follower.n_classes() == 3


# -- whether it goes on -----------------------------------------------------------------------


def test_a_run_goes_on_while_its_folder_is_locked(folder):
    follower = RunFollower(folder.path)
    assert not follower.is_going_on
    lock = RunLock.acquire(folder.path)
    assert follower.is_going_on
    lock.release()
    assert not follower.is_going_on


def test_a_run_whose_process_is_gone_has_ended(folder):
    lock = RunLock.acquire(folder.path)
    follower = RunFollower(folder.path)
    values = json.loads((folder.path / "run.lock").read_text())
    (folder.path / "run.lock").write_text(json.dumps(values | {"started": 1.0}))
    assert not follower.is_going_on
    lock.release()


def test_a_run_on_another_machine_goes_on_while_its_heart_beats(folder, monkeypatch):
    monkeypatch.setattr(follower_module, "_LOCK_SECONDS", 0.0)
    lock = RunLock.acquire(folder.path)
    path = folder.path / "run.lock"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"machine": "elsewhere"}))
    follower = RunFollower(folder.path)
    assert follower.is_going_on
    old = time.time() - lock_module.STALE_SECONDS - 5
    os.utime(path, (old, old))
    assert not follower.is_going_on
    lock.release()


def test_the_lock_of_another_machine_is_not_looked_at_all_the_time(folder, monkeypatch):
    """Each look writes to the shared disk."""
    lock = RunLock.acquire(folder.path)
    path = folder.path / "run.lock"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"machine": "elsewhere"}))
    looks = []
    monkeypatch.setattr(follower_module, "is_locked", lambda _: looks.append(1) or True)
    follower = RunFollower(folder.path)
    assert all(follower.is_going_on for _ in range(5))
    assert len(looks) == 1
    lock.release()
