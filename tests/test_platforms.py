"""Windows and macOS, imitated: nothing is needed that Linux or POSIX alone has."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import napari_ini3d
from napari_ini3d import read_particles
from napari_ini3d.cli.session import StopRequest
from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import detached_options, files
from napari_ini3d.io.files import atomic_path
from napari_ini3d.io.images.scratch import check_scratch, copy_to_scratch
from napari_ini3d.io.star import image_names
from napari_ini3d.kernels import free_memory
from napari_ini3d.runs import RunFolder, lock
from napari_ini3d.runs.commands import join_words
from napari_ini3d.runs.lock import RunLock

SCRIPT = Path(__file__).parent / "helpers" / "other_platform.py"


PACKAGE = Path(napari_ini3d.__file__).parent
# what Python has on Linux, and lacks on Windows or macOS
MODULES = {"fcntl", "grp", "posix", "pwd", "resource", "termios", "tty", "pty", "syslog"}
NAMES = {
    "os": "fork forkpty geteuid getuid getgid getloadavg getpgid getppgid killpg mkfifo nice pipe2 "
    "posix_fadvise posix_fallocate posix_spawn preadv pwritev sched_getaffinity sched_setaffinity "
    "sendfile setpgid setsid statvfs sync sysconf uname wait3 wait4 waitid chown fchown lchown "
    "O_CLOEXEC O_DIRECT O_DIRECTORY O_NOATIME O_NOFOLLOW O_NONBLOCK O_SYNC O_TMPFILE WNOHANG",
    "signal": "SIGALRM SIGBUS SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm "
    "pause pthread_kill setitimer sigwait siginterrupt pthread_sigmask",
    "mmap": "MADV_DONTNEED MADV_HUGEPAGE MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MAP_PRIVATE "
    "MAP_POPULATE MAP_SHARED PROT_READ PROT_WRITE",
    "time": "CLOCK_BOOTTIME CLOCK_MONOTONIC_RAW clock_gettime pthread_getcpuclockid tzset",
    "subprocess": "CREATE_NEW_PROCESS_GROUP CREATE_NO_WINDOW STARTUPINFO",  # of Windows alone
}
GUARDS = ("sys.platform", "hasattr(", "os.name", "suppress(ImportError", "suppress(AttributeError")


def unguarded(source: str) -> list[str]:
    """Return what a module uses that not every system has, outside a test for the system."""
    found: list[str] = []

    def visit(node: ast.AST, guarded: bool) -> None:
        if isinstance(node, ast.If | ast.IfExp):
            guarded = guarded or any(word in ast.unparse(node.test) for word in GUARDS)
        if isinstance(node, ast.With):
            guarded = guarded or any(word in ast.unparse(node.items[0]) for word in GUARDS)
        if isinstance(node, ast.Try):
            caught = " ".join(ast.unparse(h.type) for h in node.handlers if h.type)
            guarded = guarded or "ImportError" in caught or "AttributeError" in caught
        if not guarded:
            found.extend(asked_for(node))
        for child in ast.iter_child_nodes(node):
            visit(child, guarded)

    visit(ast.parse(source), False)
    return found


def asked_for(node: ast.AST) -> list[str]:
    """Return the modules and names that a node asks for, and not every system has."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in MODULES]
    if isinstance(node, ast.ImportFrom):
        names = NAMES.get(node.module or "", "").split()
        return [a.name for a in node.names if a.name in names or node.module in MODULES]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return [node.attr] if node.attr in NAMES.get(node.value.id, "").split() else []
    return []


def test_what_not_every_system_has_is_asked_for_before_it_is_used():
    paths = sorted(PACKAGE.rglob("*.py"))
    found = {path: unguarded(path.read_text(encoding="utf-8")) for path in paths}
    assert len(found) > 300
    assert {path.name: names for path, names in found.items() if names} == {}


def test_what_is_not_asked_for_is_seen():
    assert unguarded("import fcntl") == ["fcntl"]
    assert unguarded("import os\nx = os.sysconf('a')") == ["sysconf"]
    assert unguarded("from signal import SIGKILL") == ["SIGKILL"]
    assert unguarded("import os\nif hasattr(os, 'nice'):\n    os.nice(1)") == []
    assert unguarded("try:\n    import resource\nexcept ImportError:\n    pass") == []


def test_no_way_to_start_processes_and_no_folder_of_linux_is_taken_for_granted():
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    for word in ('get_context("fork', "set_start_method", "forkserver", "/dev/shm"):
        assert [path.name for path, source in sources.items() if word in source] == []


def test_processes_that_go_on_are_detached_in_the_way_of_each_system(monkeypatch):
    assert detached_options() == {"start_new_session": True}
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x8000000, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert detached_options() == {"creationflags": 0x8000200}


def test_no_process_is_detached_in_the_way_of_posix_alone():
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    words = ("start_new_session", "creationflags")
    found = {path.name for path, text in sources.items() if any(word in text for word in words)}
    assert found == {"processes.py"}


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")


def ini3d(platform, folder, *arguments):
    command = [sys.executable, str(SCRIPT), platform, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["win32", pytest.param("darwin", marks=pytest.mark.thorough)])
def test_particles_are_simulated_checked_reconstructed_and_compared(platform, tmp_path):
    size = ("--number", 60, "--box-size", 32, "--pixel-size", 6)
    ini3d(platform, tmp_path, "simulate", "--output", "data", *size)
    assert len(read_particles(tmp_path / "data" / "particles.star")[0]) == 60
    ini3d(platform, tmp_path, "check", "data/particles.star")
    few = ("--mask-diameter", 140, "--iterations", 6, "--device", "cpu", "--scratch", "scratch")
    ini3d(platform, tmp_path, "run", "data/particles.star", "--output", "run", *few)
    folder = RunFolder.open(tmp_path / "run")
    assert folder.outcome() == "SUCCESS"
    assert folder.report_path.exists()
    assert not (folder.path / "run.lock").exists()
    ini3d(platform, tmp_path, "report", "run")
    said = ini3d(platform, tmp_path, "compare", "data/truth.mrc", "run/initial_model.mrc")
    assert "FSC" in said


def test_windows_flushes_files_that_are_open_for_writing_and_no_folders(
    tmp_path, monkeypatch, windows
):
    flushed = []
    opened = os.open

    def open_file(path, flags, *args):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied")
        flushed.append((Path(path).suffix, flags))
        return opened(path, flags, *args)

    monkeypatch.setattr(os, "open", open_file)
    with atomic_path(tmp_path / "map.mrc") as temporary:
        temporary.write_bytes(b"map")
    assert (tmp_path / "map.mrc").read_bytes() == b"map"
    assert flushed == [(".mrc", os.O_RDWR)]


def test_windows_waits_until_a_file_that_is_read_can_be_replaced(tmp_path, monkeypatch, windows):
    target, read, replace = tmp_path / "progress.jsonl", threading.Event(), os.replace
    threading.Timer(0.2, read.set).start()

    def replace_unless_open(source, goal):
        if not read.is_set():
            raise PermissionError(13, "The process cannot access the file")
        replace(source, goal)

    monkeypatch.setattr(os, "replace", replace_unless_open)
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_a_file_that_stays_open_on_windows_is_an_error_after_a_while(
    tmp_path, monkeypatch, windows
):
    def refuse(*_):
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(files, "_REPLACE_SECONDS", 0.1)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunFolderError, match="permission"), atomic_path(tmp_path / "a") as path:
        path.write_text("new")


def test_the_copy_of_a_read_only_stack_can_be_replaced_and_is_not_copied_again(tmp_path):
    stack = tmp_path / "stack.mrcs"
    stack.write_bytes(b"images")
    stack.chmod(0o444)
    (copy,) = copy_to_scratch([stack], tmp_path / "scratch")
    assert copy.stat().st_mode & 0o200
    assert check_scratch([stack], tmp_path / "scratch") == []


def test_a_file_system_that_flushes_no_folders_is_written_to(tmp_path, monkeypatch):
    flush = os.fsync

    def flush_file(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(22, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flush_file)
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a").read_text() == "new"


def test_memory_is_asked_of_the_system_where_there_is_no_proc(tmp_path):
    found = free_memory(tmp_path / "proc")
    assert found is not None
    assert found > 2**20


def test_a_lock_that_changed_while_it_was_removed_is_put_back_without_hard_links(
    tmp_path, monkeypatch
):
    def refuse(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    held = RunLock.acquire(tmp_path)
    path = tmp_path / lock.LOCK_NAME
    lock._remove_stale(path, None)  # as if another process had taken it in the meantime
    assert lock._read_owner(path) == held.owner
    held.release()


def test_ctrl_break_stops_a_run_after_the_current_iteration(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR2, raising=False)
    stop = StopRequest()
    with stop.listening():
        signal.raise_signal(signal.SIGUSR2)
        for _ in range(100):
            if stop():
                break
            time.sleep(0.01)
    assert stop.exit_code == 128 + signal.SIGUSR2


def test_stacks_are_named_with_the_separators_of_relion(tmp_path, monkeypatch):
    from pathlib import PureWindowsPath

    monkeypatch.setattr(image_names, "_absolute", lambda path: PureWindowsPath(r"C:\data\a b.mrc"))
    assert image_names._name_for("a b.mrc", tmp_path, None) == "C:/data/a b.mrc:mrcs"


def test_commands_are_quoted_for_the_shell_of_the_system(windows):
    words = ["ini3d", "run", r"C:\my data\particles.star", "--output", r"out\job1"]
    assert join_words(words) == r'ini3d run "C:\my data\particles.star" --output out\job1'
