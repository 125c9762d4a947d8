"""The worker of a run in a plain thread, without a window."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from fake_runs import use_fake_engine

from napari_ini3d.errors import InputError
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.plugin.session.worker import BackgroundRun
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=5, write_every=2, threads=1)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    use_fake_engine(monkeypatch)


def starting(star, folder, settings=SETTINGS):
    return BackgroundRun(lambda stop: start_run(star, folder, settings, stop=stop), folder)


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


def test_a_run_publishes_every_summary_and_the_newest_map(few_particles, tmp_path):
    run = starting(few_particles, tmp_path / "run")
    run()
    assert run.error is None
    assert [s.iteration for s in run.take_summaries()] == [1, 2, 3, 4, 5]
    progress, dropped = run.latest.take()
    assert (progress.summary.iteration, dropped) == (5, 4)
    written = read_map(RunFolder.open(tmp_path / "run").class_map_path(5, 0)).data
    np.testing.assert_array_equal(progress.volumes[0], written)


def test_an_error_is_stored(few_particles, tmp_path):
    def broken(stop):
        yield from ()
        raise RuntimeError("cudaErrorIllegalAddress")

    run = BackgroundRun(broken, tmp_path)
    run()
    assert isinstance(run.error, RuntimeError)


def test_an_error_of_the_checks_is_stored(tmp_path):
    run = starting(tmp_path / "nowhere.star", tmp_path / "run")
    run()
    assert isinstance(run.error, InputError)
    assert not (tmp_path / "run").exists()


def test_a_paused_run_does_nothing_until_it_is_continued(few_particles, tmp_path):
    run = starting(few_particles, tmp_path / "run")
    run.pause()
    with in_a_thread(run):
        folder = RunFolder(tmp_path / "run")
        wait_until(lambda: len(folder.read_progress()) == 1)
        time.sleep(0.2)
        assert len(folder.read_progress()) == 1
        run.unpause()
    assert RunFolder.open(tmp_path / "run").outcome() == "SUCCESS"


def test_a_paused_run_that_is_stopped_writes_its_results(few_particles, tmp_path):
    run = starting(few_particles, tmp_path / "run")
    run.pause()
    with in_a_thread(run):
        wait_until(lambda: (tmp_path / "run" / "progress.jsonl").exists())
        run.stop()
    assert run.error is None
    folder = RunFolder.open(tmp_path / "run")
    assert folder.outcome() == "ABORTED"
    assert folder.written_iterations() == [1]


def test_a_run_that_is_stopped_during_the_checks_ends_without_a_folder(few_particles, tmp_path):
    run = starting(few_particles, tmp_path / "run")
    run.stop()
    run()
    assert run.error is None
    assert run.take_summaries() == []
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_publishes_the_earlier_iterations(few_particles, tmp_path):
    run = starting(few_particles, tmp_path / "run")
    run.pause()
    with in_a_thread(run):
        wait_until(lambda: (tmp_path / "run" / "progress.jsonl").exists())
        run.stop()
    again = BackgroundRun(lambda stop: resume_run(tmp_path / "run", stop=stop), tmp_path / "run")
    again()
    assert [s.iteration for s in again.take_summaries()] == [1, 2, 3, 4, 5]


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
