"""Stopping and pausing of a run by files in its folder, whoever started it."""

import subprocess
import sys
import threading
import time

import pytest
from fake_runs import use_fake_engine

from napari_ini3d.jobs import run as run_module
from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.lock import check_unlocked
from napari_ini3d.runs.removal import delete_run
from napari_ini3d.runs.requests import RunRequests
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=5, write_every=10, threads=1)


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
def requests(tmp_path):
    return RunRequests(tmp_path / "run")


def test_a_request_stops_a_run_after_its_iteration_with_its_results(star, requests):
    done = []
    for report in start_run(star, requests.folder, SETTINGS):
        done.append(report.iteration)
        if len(done) == 2:
            requests.stop_path.touch()
    folder = RunFolder(requests.folder)
    assert done == [1, 2]
    assert (folder.outcome(), folder.written_iterations()) == ("ABORTED", [2])
    assert not requests.stop_requested, "it would stop the run that is resumed"
    assert [report.iteration for report in resume_run(folder.path)] == [3, 4, 5]


def test_another_process_can_make_the_request(star, requests):
    reports = start_run(star, requests.folder, SETTINGS)
    next(reports)
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).touch()"
    subprocess.run([sys.executable, "-c", script, requests.stop_path], check=True)
    assert list(reports) == []
    assert RunFolder(requests.folder).outcome() == "ABORTED"


def test_a_paused_run_waits_until_its_request_is_withdrawn(star, requests, caplog):
    reports = start_run(star, requests.folder, SETTINGS)
    next(reports)
    requests.pause()
    done = []
    thread = threading.Thread(target=lambda: done.extend(r.iteration for r in reports))
    thread.start()
    time.sleep(0.4)
    assert done == []
    assert f"paused; it continues when {requests.pause_path} is deleted" in caplog.text
    requests.unpause()
    thread.join(20)
    assert done == [2, 3, 4, 5]
    assert RunFolder(requests.folder).outcome() == "SUCCESS"


def test_a_paused_run_can_be_stopped(star, requests):
    reports = start_run(star, requests.folder, SETTINGS)
    next(reports)
    requests.pause()
    requests.stop()
    assert list(reports) == []
    assert RunFolder(requests.folder).outcome() == "ABORTED"


def test_requests_to_a_run_that_was_killed_do_not_reach_the_next_one(star, requests):
    reports = start_run(star, requests.folder, SETTINGS)
    next(reports)
    reports.close()
    requests.stop()
    requests.pause()
    assert [report.iteration for report in resume_run(requests.folder)] == [2, 3, 4, 5]


def test_the_newest_maps_are_there_with_each_report_and_gone_at_the_end(star, requests):
    path = requests.folder / "newest_maps.npz"
    for _ in start_run(star, requests.folder, SETTINGS):
        assert path.is_file()
    assert not path.exists()
    check_unlocked(requests.folder)


def test_the_requests_are_deleted_with_the_run(star, requests):
    for _ in start_run(star, requests.folder, SETTINGS):
        pass
    requests.pause()
    delete_run(RunFolder(requests.folder))
    assert not requests.folder.exists()


def test_a_run_can_be_paused_while_it_is_validated(star, requests, caplog, monkeypatch):
    steps = []

    def validate(folder, *options, stop, chunks, on_step):
        for number in range(4):
            steps.append(number)
            if number == 1:
                requests.pause()
            if stop():
                return False
        return True

    monkeypatch.setattr(run_module, "validate_run", validate)
    monkeypatch.setattr(run_module, "_needs_validation", lambda job: True)
    run = start_run(star, requests.folder, SETTINGS)
    thread = threading.Thread(target=lambda: list(run), daemon=True)
    thread.start()
    while "paused; it continues" not in caplog.text and thread.is_alive():
        time.sleep(0.02)
    time.sleep(0.3)
    assert steps == [0, 1]
    assert RunFolder(requests.folder).outcome() is None
    requests.unpause()
    thread.join(20)
    assert steps == [0, 1, 2, 3]
    assert RunFolder(requests.folder).outcome() == "SUCCESS"
