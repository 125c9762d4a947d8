"""One owner per run folder: locks, locks that were left, and those of other machines."""

import json
import os
import re
import subprocess
import sys
import time

import psutil
import pytest

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import files, process_start
from napari_ini3d.runs import lock as lock_module
from napari_ini3d.runs.lock import RunLock, check_unlocked


def change(folder, **values):
    path = folder / "run.lock"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def left(tmp_path):
    """A folder with the lock of a process that was killed."""
    script = (
        "import os, sys; from pathlib import Path; from napari_ini3d.runs.lock import RunLock; "
        "lock = RunLock.acquire(Path(sys.argv[1])); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / "run.lock").is_file()
    return tmp_path


def test_a_locked_folder_is_refused_until_it_is_released(tmp_path):
    lock = RunLock.acquire(tmp_path)
    with pytest.raises(RunFolderError, match=f"process {os.getpid()} on this machine"):
        RunLock.acquire(tmp_path)
    lock.release()
    check_unlocked(tmp_path)
    RunLock.acquire(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_nobody_refers_to_is_released(tmp_path):
    lock = RunLock.acquire(tmp_path)
    assert lock.owner.pid == os.getpid()
    del lock
    assert not (tmp_path / "run.lock").exists()


def test_a_running_process_holds_its_lock_against_another(tmp_path):
    lock = RunLock.acquire(tmp_path)
    script = (
        "import sys; from pathlib import Path; from napari_ini3d.runs.lock import RunLock; "
        "RunLock.acquire(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True)
    assert done.returncode == 1
    assert f"process {os.getpid()} on this machine".encode() in done.stderr
    lock.check()
    lock.release()


def test_the_lock_of_a_killed_process_is_replaced(left):
    RunLock.acquire(left).release()
    assert list(left.iterdir()) == []


def test_another_process_with_the_number_of_the_owner_does_not_hold_its_lock(left):
    change(left, pid=os.getpid())
    RunLock.acquire(left).release()


def test_the_lock_of_another_machine_holds_while_its_heart_beats(left):
    change(left, machine="elsewhere", host="node7", pid=os.getpid())
    words = re.escape(f"process {os.getpid()} on node7") + ".*last sign of life was 0 s ago"
    with pytest.raises(RunFolderError, match=words):
        RunLock.acquire(left)
    old = time.time() - lock_module.STALE_SECONDS - 5
    os.utime(left / "run.lock", (old, old))
    RunLock.acquire(left).release()


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_beats_of_another_machine_are_compared_with_the_clock_of_the_disk(
    left, monkeypatch, hours
):
    change(left, machine="elsewhere", host="node7")
    beat = (left / "run.lock").stat().st_mtime
    monkeypatch.setattr(files.time, "time", lambda: beat + 3600 * hours)
    with pytest.raises(RunFolderError, match="last sign of life was"):
        RunLock.acquire(left)
    os.utime(left / "run.lock", (beat - 3600, beat - 3600))
    RunLock.acquire(left).release()
    assert list(left.iterdir()) == []


def test_a_machine_of_the_same_name_with_other_process_numbers_is_another_one(left, monkeypatch):
    change(left, pid=os.getpid(), started=process_start())  # ours, if it were the same machine
    monkeypatch.setattr(lock_module, "machine_identity", lambda: "a container of this name")
    with pytest.raises(RunFolderError, match="last sign of life was"):
        RunLock.acquire(left)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the clock tells the start")
def test_a_clock_that_was_set_does_not_make_a_running_process_look_dead(tmp_path, monkeypatch):
    lock = RunLock.acquire(tmp_path)
    now = psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: now + 3600)
    with pytest.raises(RunFolderError, match="on this machine"):
        RunLock.acquire(tmp_path)
    lock.release()


def test_the_heart_beats_until_the_lock_is_released(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_SECONDS", 0.02)
    lock = RunLock.acquire(tmp_path)
    path = tmp_path / "run.lock"
    os.utime(path, (1000, 1000))
    for _ in range(200):
        time.sleep(0.02)
        if path.stat().st_mtime > 1000:
            break
    assert path.stat().st_mtime > 1000
    lock.release()
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": "x"}', "\x00"])
def test_a_damaged_lock_holds_until_it_is_old(tmp_path, text):
    (tmp_path / "run.lock").write_text(text)
    with pytest.raises(RunFolderError, match="an unknown process"):
        RunLock.acquire(tmp_path)
    os.utime(tmp_path / "run.lock", (1000, 1000))
    RunLock.acquire(tmp_path).release()


def test_of_many_processes_one_gets_a_lock_that_was_left(left):
    script = (
        "import sys, time; from pathlib import Path; from napari_ini3d.runs.lock import RunLock\n"
        "lock = RunLock.acquire(Path(sys.argv[1])); print('mine', flush=True); time.sleep(8)"
    )
    command = [sys.executable, "-c", script, str(left)]
    tried = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
             for _ in range(4)]  # fmt: skip
    results = sorted(process.wait() for process in tried)
    assert results == [0, 1, 1, 1]


def test_without_hard_links_a_lock_is_created_exclusively(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    lock = RunLock.acquire(tmp_path)
    with pytest.raises(RunFolderError, match="in use"):
        RunLock.acquire(tmp_path)
    lock.release()
