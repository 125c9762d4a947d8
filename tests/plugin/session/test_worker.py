"""The worker that follows a run, in a plain thread, without a window."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from fake_runs import use_fake_engine
from threaded_runs import ThreadedRun, resume_in_thread, start_in_thread

from napari_ini3d.errors import InputError
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.jobs.run import start_run
from napari_ini3d.plugin.session.log_buffer import LogTail
from napari_ini3d.plugin.session.worker import BackgroundRun
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.requests import RunRequests
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=5, write_every=2, threads=1)
LONG = SETTINGS.with_changes(iterations=100, write_every=50)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    use_fake_engine(monkeypatch)


@pytest.fixture
def slow_engine(monkeypatch):
    use_fake_engine(monkeypatch, seconds=0.05)


def starting(star, folder, settings=SETTINGS):
    return BackgroundRun(start_in_thread(star, folder, settings), folder, LogTail())


@contextmanager
def in_a_thread(run):
    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def numbers(run):
    return [summary.iteration for summary in run.summaries]


def lines_done(folder):
    return len(RunFolder(folder).read_progress())


def test_a_run_gives_every_summary_and_the_newest_map_in_full(few_particles, tmp_path):
    run = starting(few_particles, tmp_path / "run")
    run()
    assert run.error is None
    assert numbers(run) == [1, 2, 3, 4, 5]
    progress, _ = run.latest.take()
    assert progress.summary.iteration == 5
    written = read_map(RunFolder.open(tmp_path / "run").class_map_path(5, 0)).data
    np.testing.assert_array_equal(progress.volumes[0], written)


def test_an_error_is_stored(tmp_path):
    def broken(stop):
        yield from ()
        raise RuntimeError("cudaErrorIllegalAddress")

    run = BackgroundRun(ThreadedRun(broken), tmp_path, LogTail())
    run()
    assert isinstance(run.error, RuntimeError)


def test_an_error_of_the_checks_is_stored(tmp_path):
    run = starting(tmp_path / "nowhere.star", tmp_path / "run")
    run()
    assert isinstance(run.error, InputError)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_refused_shows_nothing_of_the_run_in_it(few_particles, tmp_path):
    for _ in start_run(few_particles, tmp_path / "run", SETTINGS):
        pass
    run = starting(few_particles, tmp_path / "run")
    run()
    assert "already holds a run" in str(run.error)
    assert run.summaries == ()
    assert run.latest.take() == (None, 0)


def test_a_paused_run_does_nothing_until_it_is_continued(few_particles, tmp_path, slow_engine):
    run = starting(few_particles, tmp_path / "run", LONG.with_changes(iterations=8))
    run.pause()
    with in_a_thread(run):
        pause = RunRequests(tmp_path / "run").pause_path
        wait_until(pause.exists)
        time.sleep(0.3)  # the current iteration is finished first
        done = lines_done(tmp_path / "run")
        time.sleep(0.3)
        assert lines_done(tmp_path / "run") == done < 8
        run.unpause()
    assert RunFolder.open(tmp_path / "run").outcome() == "SUCCESS"
    assert not pause.exists()


def test_a_paused_run_that_is_stopped_writes_its_results(few_particles, tmp_path, slow_engine):
    run = starting(few_particles, tmp_path / "run", LONG)
    run.pause()
    with in_a_thread(run):
        wait_until(lambda: run.summaries)
        run.stop()
    assert run.error is None
    folder = RunFolder.open(tmp_path / "run")
    assert folder.outcome() == "ABORTED"
    assert folder.written_iterations() == [len(run.summaries)]
    assert not any(path.exists() for path in RunRequests(folder.path).paths())


def test_a_run_that_is_stopped_during_the_checks_ends_without_a_folder(few_particles, tmp_path):
    process = start_in_thread(few_particles, tmp_path / "run", SETTINGS)
    process.interrupt()
    run = BackgroundRun(process, tmp_path / "run", LogTail())
    run()
    assert run.error is None
    assert run.summaries == ()
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_left_goes_on(few_particles, tmp_path, slow_engine):
    run = starting(few_particles, tmp_path / "run", LONG.with_changes(iterations=10))
    with in_a_thread(run):
        wait_until(lambda: run.summaries)
        run.leave()
    assert RunFolder(tmp_path / "run").outcome() is None
    assert len(run.summaries) < 10
    wait_until(lambda: RunFolder(tmp_path / "run").outcome() == "SUCCESS")


def test_a_run_that_is_stopped_and_left_at_once_stops(few_particles, tmp_path, slow_engine):
    run = starting(few_particles, tmp_path / "run", LONG)
    with in_a_thread(run):
        wait_until(lambda: run.summaries)
        run.stop()
        run.leave()
    wait_until(lambda: RunFolder(tmp_path / "run").outcome() == "ABORTED")


def test_a_resumed_run_gives_the_earlier_iterations(few_particles, tmp_path, slow_engine):
    run = starting(few_particles, tmp_path / "run")
    with in_a_thread(run):
        wait_until(lambda: run.summaries)
        run.stop()
    assert len(run.summaries) < 5
    again = BackgroundRun(resume_in_thread(tmp_path / "run"), tmp_path / "run", LogTail())
    again()
    assert numbers(again) == [1, 2, 3, 4, 5]


def test_the_log_is_that_of_the_file(few_particles, tmp_path):
    log = LogTail()
    folder = tmp_path / "run"
    BackgroundRun(start_in_thread(few_particles, folder, SETTINGS), folder, log)()
    texts = [line.text for line in log.lines_after(0)]
    assert "\n".join(texts) + "\n" == (folder / "log.txt").read_text()


def test_a_run_of_the_window_writes_the_same_files_as_one_of_the_command_line(
    few_particles, tmp_path
):
    starting(few_particles, tmp_path / "window")()
    for _ in start_run(few_particles, tmp_path / "command", SETTINGS):
        pass
    names = [
        {str(path.relative_to(tmp_path / run)) for path in (tmp_path / run).rglob("*")}
        for run in ("window", "command")
    ]
    assert names[0] == names[1]
    assert "history/it003.npz" in names[0]
    assert "newest_maps.npz" not in names[0]
