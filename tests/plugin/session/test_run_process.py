"""Processes of runs: their errors, signals and messages, and runs of other processes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fake_runs import make_record

from napari_ini3d.errors import DeviceError, RunFolderError, RunProcessError, StarError
from napari_ini3d.plugin.session import run_process
from napari_ini3d.plugin.session.log_buffer import LogTail
from napari_ini3d.plugin.session.run_process import (
    ChildProcess,
    ForeignProcess,
    describe_exit,
    last_error,
)
from napari_ini3d.plugin.session.worker import BackgroundRun
from napari_ini3d.runs import RunFolder, RunLock, RunRequests
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

RUN = ["--mask-diameter", "100", "--iterations", "400", "--starts", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    settings = SimulationSettings(number=60, box_size=32, pixel_size=4.0, snr=1.0)
    phantom = make_phantom(diameter=80.0)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


def scripted(monkeypatch, script):
    """A child that does what a script says, in place of the command."""
    process = ChildProcess(["run"])
    monkeypatch.setattr(process, "_command", [sys.executable, "-c", script])
    return process


def end_of(process):
    process.start()
    wait_until(lambda: process.poll() is not None)
    ending = process.poll()
    process.release()
    return ending.error


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def printed(name, message):
    line = json.dumps({"event": "error", "type": name, "message": message, "notes": []})
    return f"import sys; sys.stderr.write('warning\\n' + {line!r} + '\\n'); sys.exit(1)"


# -- a child of the window --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("StarError", StarError),
        ("DeviceError", DeviceError),
        ("RunFolderError", RunFolderError),
        ("OSError", OSError),
        ("PermissionError", OSError),
        ("MemoryError", MemoryError),
        ("ZeroDivisionError", RunProcessError),
        ("explain", RunProcessError),
    ],
)
def test_an_error_of_the_process_arrives_with_its_type_and_text(monkeypatch, name, kind):
    error = end_of(scripted(monkeypatch, printed(name, "a.star: no rlnImageName")))
    assert type(error) is kind
    assert kind is MemoryError or str(error) == "a.star: no rlnImageName"


@pytest.mark.parametrize("code", [0, 130, 143])
def test_a_run_that_has_finished_or_was_stopped_has_no_error(monkeypatch, code):
    assert end_of(scripted(monkeypatch, f"raise SystemExit({code})")) is None


def test_a_process_that_says_nothing_is_reported_with_its_exit_code(monkeypatch):
    error = end_of(scripted(monkeypatch, "raise SystemExit(3)"))
    assert "ended with exit code 3" in str(error)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_is_reported_with_the_last_messages(monkeypatch):
    error = end_of(scripted(monkeypatch, "import ctypes; ctypes.string_at(0)"))
    assert "has crashed (SIGSEGV)" in str(error)
    assert "Segmentation fault" in error.__notes__[0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "was killed (SIGKILL), as the system does when memory runs out"),
        (-11, "has crashed (SIGSEGV)"),
        (-15, "was ended from outside (SIGTERM)"),
        (-64, "has crashed (SIGRTMAX)"),
        (-99, "has crashed (signal 99)"),
        (1, "ended with exit code 1"),
        (0xC0000005, "exit code 0xC0000005"),
    ],
)
def test_the_end_of_a_process_is_described_in_words(code, words):
    assert words in describe_exit(code)


def test_messages_before_the_run_are_read_without_errors_in_json(monkeypatch):
    process = scripted(monkeypatch, printed("StarError", "bad"))
    process.start()
    wait_until(lambda: process.poll() is not None)
    messages = process.read_messages()
    process.release()
    assert messages in ([], ["warning"])  # [] if `poll` has read them to find the error
    assert all("event" not in text for text in messages)


def test_a_child_that_is_left_goes_on_in_a_session_of_its_own(monkeypatch, tmp_path):
    done = tmp_path / "done"
    script = (
        "import sys, time, pathlib; time.sleep(0.5); print('to nobody', flush=True); "
        f"sys.stderr.write('x'); pathlib.Path({str(done)!r}).touch()"
    )
    process = scripted(monkeypatch, script)
    process.start()
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    process.release()
    wait_until(done.exists)
    assert run_process._left.pop().wait(10) == 0


def test_a_run_is_killed_and_the_window_learns_why(star, tmp_path):
    """The whole way: a real process is followed, killed, and resumed by another one."""
    folder = tmp_path / "run"
    child = ChildProcess(["run", str(star), "--output", str(folder), *RUN])
    log = LogTail()
    run = BackgroundRun(child, folder, log)
    run._process.start()
    wait_until(lambda: run._look() or len(run.summaries) >= 2)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: run._look() or run.ended)
    child.release()
    assert f"the process of the run ({child.pid}) was killed (SIGKILL)" in str(run.error)
    assert run.latest.take()[0].summary.iteration == len(run.summaries)
    assert "mask diameter 100" in "\n".join(line.text for line in log.lines_after(0))
    command = RunFolder(folder).read_record().command
    assert command.startswith(f"ini3d run {star} --output {folder} --mask-diameter 100")
    assert "--json" not in command
    before = len(run.summaries)
    again = BackgroundRun(ChildProcess(["resume", str(folder)]), folder, LogTail())
    again._process.start()
    wait_until(lambda: again._look() or len(again.summaries) > before)
    again.stop()
    wait_until(lambda: again._look() or again.ended)
    again._process.release()
    assert again.error is None
    assert RunFolder(folder).outcome() == "ABORTED"


def test_a_run_that_is_stopped_before_it_starts_leaves_nothing(star, tmp_path):
    child = ChildProcess(["run", str(star), "--output", str(tmp_path / "run"), *RUN])
    run = BackgroundRun(child, tmp_path / "run", LogTail())
    run.stop()
    run()
    assert run.error is None
    assert run.ended
    assert child.pid is None
    assert not (tmp_path / "run").exists()


def test_a_process_that_swallows_an_interrupt_is_interrupted_again(monkeypatch, tmp_path):
    monkeypatch.setattr(run_process, "_INTERRUPT_SECONDS", 0.1)
    script = (
        "import pathlib, signal, time\n"
        # a background job of a shell inherits that interrupts are ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        f"    pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "    time.sleep(30)\n"
        "except BaseException:\n    pass\n"
        "time.sleep(30)"
    )
    run = BackgroundRun(scripted(monkeypatch, script), tmp_path / "run", LogTail())
    run._process.start()
    wait_until((tmp_path / "ready").exists)
    run.stop()
    wait_until(lambda: run._look() or run.ended)
    run._process.release()
    assert run.error is None
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_reported_as_by_the_checks_themselves(tmp_path):
    arguments = ["run", str(tmp_path / "none.star"), "--output", str(tmp_path / "run")]
    error = end_of(ChildProcess(arguments))
    assert type(error) is StarError
    assert str(error).startswith(str(tmp_path / "none.star"))


# -- a run that was started elsewhere ---------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from napari_ini3d.runs import IterationSummary, RunFolder, RunLock, RunRequests, write_newest_maps
from fake_runs import make_record, make_report, make_volume
folder = RunFolder.create(Path(sys.argv[1]))
lock = RunLock.acquire(folder.path)
folder.write_record(make_record())
folder.log_path.write_text("2026-11-22 10:00:00 INFO    started\\n")
requests, iteration = RunRequests(folder.path), 0
while not requests.stop_requested:
    if not requests.pause_requested:
        iteration += 1
        write_newest_maps(folder, iteration, make_volume(seed=iteration)[None], 4.0)
        report = make_report(iteration, 10**6)
        folder.append_progress(IterationSummary.from_report(report).to_json())
    time.sleep(0.02)
requests.clear()
folder.mark("ABORTED")
lock.release()
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A process that writes a run folder, and is not a child of the window."""
    helpers = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": helpers}
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], env=environment)
    wait_until((folder / "progress.jsonl").exists)
    yield folder, process
    process.kill()
    process.wait()


def test_a_folder_is_followed_while_another_process_writes_it(elsewhere):
    folder, process = elsewhere
    run = BackgroundRun(ForeignProcess(folder), folder, LogTail())
    for count in (1, 5):
        wait_until(lambda count=count: run._look() or len(run.summaries) >= count)
    assert run.latest.take()[0].volumes.shape == (1, 32, 32, 32)
    assert not run.is_own
    run.pause()
    run._look()
    time.sleep(0.2)
    run._look()
    done = len(run.summaries)
    time.sleep(0.2)
    run._look()
    assert (len(run.summaries), run.activity) == (done, "paused")
    RunRequests(folder).unpause()  # by someone else
    wait_until(lambda: run._look() or len(run.summaries) > done)
    assert run.activity == "running"
    run.stop()
    wait_until(lambda: run._look() or run.ended)
    assert run.error is None
    assert process.wait(10) == 0


def test_the_death_of_a_process_elsewhere_is_noticed(elsewhere, monkeypatch):
    monkeypatch.setattr(run_process, "_SURE_SECONDS", 0.1)
    folder, process = elsewhere
    run = BackgroundRun(ForeignProcess(folder), folder, LogTail())
    run._look()
    process.kill()
    process.wait()
    wait_until(lambda: run._look() or run.ended)
    assert f"its process {process.pid} on this machine" in str(run.error)
    assert "is gone: it was killed" in str(run.error)


@pytest.mark.parametrize("how", ["renamed", "emptied"])
def test_a_run_elsewhere_whose_folder_is_gone_is_not_said_to_be_killed(tmp_path, monkeypatch, how):
    monkeypatch.setattr(run_process, "_SURE_SECONDS", 0.0)
    folder = RunFolder.create(tmp_path / "run")
    lock = RunLock.acquire(folder.path)
    folder.write_record(make_record())
    process = ForeignProcess(folder.path)
    assert process.poll() is None
    lock.release()
    if how == "renamed":
        folder.path.rename(tmp_path / "elsewhere")
    else:
        folder.settings_path.unlink()
    process.poll()
    error = str(process.poll().error)
    assert "does not hold the run any more: it was moved, renamed or deleted; open it" in error
    assert "killed" not in error


def test_a_run_elsewhere_that_fails_is_reported_with_the_error_of_its_log(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    lock = RunLock.acquire(folder.path)
    folder.write_record(make_record())
    process = ForeignProcess(folder.path)
    assert process.poll() is None
    folder.log_path.write_text(
        "2026-11-22 10:00:00 ERROR   stack.mrcs: is missing\nTraceback\n"
        "2026-11-22 10:00:01 INFO    done\n"
    )
    folder.mark("FAILURE")
    lock.release()
    assert str(process.poll().error) == "stack.mrcs: is missing"
    folder.mark("SUCCESS")
    assert process.poll().error is None


def test_without_an_error_in_the_log_its_path_is_given(tmp_path):
    assert last_error(tmp_path / "log.txt") == f"see {tmp_path / 'log.txt'}"


def test_a_request_that_cannot_be_made_is_reported_and_the_run_goes_on(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    lock = RunLock.acquire(folder.path)
    (folder.path / "RELION_JOB_ABORT_NOW").symlink_to(tmp_path / "nowhere" / "x")
    run = BackgroundRun(ForeignProcess(folder.path), folder.path, LogTail())
    run.stop()
    run._look()
    assert "cannot write" in str(run.take_refusal())
    assert run.take_refusal() is None
    assert run.activity == "running"
    lock.release()
