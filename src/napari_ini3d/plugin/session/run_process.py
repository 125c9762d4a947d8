"""Processes that compute runs: one that this window starts, or one that was started elsewhere.

No Qt here. A run of the window is the command ``ini3d run`` in a process and session of its own,
which a crash of the window, or closing it, does not end. It writes to its folder; the window reads
that (`runs.RunFollower`). Only errors come another way, on the error stream of the process.
"""

from __future__ import annotations

import builtins
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from napari_ini3d import errors
from napari_ini3d.errors import Ini3dError, RunProcessError
from napari_ini3d.io import detached_options, make_temporary_folder
from napari_ini3d.plugin.session.log_buffer import read_last_lines
from napari_ini3d.runs import (
    FileTail,
    RunFolder,
    RunFollower,
    cluster_words,
    read_owner,
    resume_arguments,
    run_arguments,
)
from napari_ini3d.settings import InitialModelSettings

_STOPPED = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit codes of `ini3d run`
_SURE_SECONDS = 1.0  # for which a lock must be missing until its run counts as ended
_INTERRUPT_SECONDS = 2.0  # until a process that goes on is interrupted again
_QUOTED = 4  # last messages of a run that ended unexpectedly

_left: list[subprocess.Popen[bytes]] = []  # that go on; kept, as Python warns of forgotten ones


@dataclass(frozen=True, slots=True)
class Ending:
    """End of a run; without an error if it has finished or was stopped."""

    error: BaseException | None = None


class RunProcess(Protocol):
    """A process that computes a run, as the worker of the window sees it."""

    @property
    def is_own(self) -> bool:
        """Whether this window has started it."""

    def start(self) -> None:
        """Start the process."""

    def poll(self) -> Ending | None:
        """Return how it ended; None while it runs."""

    def interrupt(self) -> None:
        """End the process before its run has begun, while it checks the particles."""

    def read_messages(self) -> list[str]:
        """Return new messages from before the run has begun, when there is no log file."""

    def release(self) -> None:
        """Forget the process; if it runs, it goes on."""


class ChildProcess:
    """A run that this window starts.

    Parameters
    ----------
    arguments : sequence of str
        Of the command ``ini3d``.
    """

    is_own = True

    def __init__(self, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "napari_ini3d", *arguments, "--json"]
        self._interrupted: float | None = None  # when it was, at last
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()  # of its messages
        self._messages = FileTail(Path())
        self._texts: list[str] = []

    @property
    def pid(self) -> int | None:
        """The number of the process; None before it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, apart from the terminal and the session of this one."""
        self._folder = make_temporary_folder()
        path = self._folder / "messages.txt"
        with path.open("wb") as file:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},  # says where it has crashed
                **detached_options(),
            )
        self._messages = FileTail(path)

    def poll(self) -> Ending | None:
        """Return how the process ended; None while it runs."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        if code in _STOPPED or self._interrupted is not None:
            return Ending()
        self.read_messages()
        return Ending(self._error_of(code))

    def interrupt(self) -> None:
        """End the process as Ctrl-C does, so that it unlocks its folder.

        It is interrupted again if it goes on: libraries that are imported may swallow it.
        """
        now = time.monotonic()
        if self._interrupted is not None and now - self._interrupted < _INTERRUPT_SECONDS:
            return
        if self._process is None or self._process.poll() is not None:
            return
        self._interrupted = now
        if sys.platform == "win32":
            self._process.terminate()
        else:
            self._process.send_signal(signal.SIGINT)

    def read_messages(self) -> list[str]:
        """Return the new lines of the error stream, without errors in JSON."""
        new = [text.rstrip() for text in self._messages.read().lines]
        self._texts += new
        return [text for text in new if text and parse_error(text) is None]

    def release(self) -> None:
        """Forget the process; if it runs, it goes on."""
        if self._process is not None and self._process.poll() is None:
            _left.append(self._process)
        if self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _error_of(self, code: int) -> BaseException:
        found = [error for text in self._texts if (error := parse_error(text)) is not None]
        if found:
            return found[-1]
        error = RunProcessError(f"the process of the run ({self.pid}) {describe_exit(code)}")
        said = [text for text in self._texts if text]
        if said:
            error.add_note("\n".join(["Its last messages:", *said[-_QUOTED:]]))
        return error


class ForeignProcess:
    """A run that was started elsewhere: on the command line, by another window or machine.

    Parameters
    ----------
    folder : Path
        Of the run.
    """

    is_own = False

    def __init__(self, folder: Path) -> None:
        self._follower = RunFollower(folder)
        self._owner = read_owner(folder)
        self._missed: float | None = None

    def start(self) -> None:
        """Do nothing: it runs already."""

    def poll(self) -> Ending | None:
        """Return how the run ended, from its folder; None while it goes on."""
        now = time.monotonic()
        if self._follower.is_going_on:
            self._missed = None
            return None
        self._missed = now if self._missed is None else self._missed
        folder = self._follower.folder
        if folder.outcome() is None and now - self._missed < _SURE_SECONDS:
            return None
        return Ending(self._error_of(folder))

    def interrupt(self) -> None:
        """Do nothing: it has begun, and is stopped by a request."""

    def read_messages(self) -> list[str]:
        """Return nothing: it has a log file."""
        return []

    def release(self) -> None:
        """Do nothing: it is not ours."""

    def _error_of(self, folder: RunFolder) -> BaseException | None:
        outcome = folder.outcome()
        if outcome in ("SUCCESS", "ABORTED"):
            return None
        if outcome == "FAILURE":
            return RunProcessError(last_error(folder.log_path))
        if not folder.settings_path.is_file():
            return RunProcessError(
                f"{folder.path} does not hold the run any more: it was moved, renamed or deleted; "
                "open it where it is now"
            )
        who = "its process" if self._owner is None else f"its {self._owner.place}"
        return RunProcessError(
            f"{who} is gone: it was killed, as the system does when memory runs out, or it has "
            "crashed; resume it"
        )


def start_process(
    star: Path, output: Path, settings: InitialModelSettings, cluster: str = ""
) -> RunProcess:
    """Return the process of a run, which is not started yet."""
    return ChildProcess(run_arguments(star, output, settings, cluster))


def resume_process(folder: Path, cluster: str = "", **choice: int | None) -> RunProcess:
    """Return the process of a run that is resumed, which is not started yet."""
    return ChildProcess([*resume_arguments(folder, **choice), *cluster_words(cluster)])


def describe_exit(code: int) -> str:
    """Return in words how a process has ended that should not have.

    Parameters
    ----------
    code : int
        As `subprocess.Popen.returncode`: the number of a signal, negative, or the exit code.
    """
    if code >= 0:
        shown = f"0x{code:08X}" if code > 0xFFFF else str(code)  # as Windows writes them
        return f"ended with exit code {shown}, without saying why; see log.txt of the run folder"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return (
            "was killed (SIGKILL), as the system does when memory runs out; if it was short, use "
            "fewer classes or threads, or a smaller tile size"
        )
    if name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"):
        return f"was ended from outside ({name}); resume the run to continue it"
    return f"has crashed ({name}); this is a bug: please report it with log.txt of the run folder"


def last_error(path: Path) -> str:
    """Return the last error in a run's log file, or what to do if there is none.

    Parameters
    ----------
    path : Path
    """
    for text in reversed(read_last_lines(path)):
        _, found, message = text[:40].partition(" ERROR ")
        if found:
            return (message + text[40:]).strip()
    return f"see {path}"


def parse_error(text: str) -> BaseException | None:
    """Return the error of a line of JSON that `cli.session.format_error` wrote."""
    try:
        values = json.loads(text)
    except ValueError:
        return None
    if not isinstance(values, dict) or values.get("event") != "error":
        return None
    return _make_error(str(values.get("type")), str(values.get("message")))


def _make_error(name: str, message: str) -> BaseException:
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, Ini3dError):
        return kind(message)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, MemoryError):
        return MemoryError()
    if isinstance(kind, type) and issubclass(kind, OSError):
        return OSError(message)
    return RunProcessError(message)
