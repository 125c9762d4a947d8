"""Processes and machines, as far as they tell who wrote a file."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

_START_TOLERANCE = 2.0  # s; clocks may be set while a process runs
_STARTED = 19  # field of /proc/PID/stat after the name of the program: clock ticks since the boot


def is_running(pid: int, started: float | None = None) -> bool:
    """Return whether a process of this machine runs.

    Parameters
    ----------
    pid : int
    started : float, optional
        Its start, as `process_start` gave it; another process may have got the number since.
    """
    try:
        if started is not None and abs(process_start(pid) - started) > _START_TOLERANCE:
            return False
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def process_start(pid: int | None = None) -> float:
    """Return the start of a process, seconds; default: of this one.

    On Linux they are counted from the boot of the machine, so that a clock which is set while the
    process runs, as after a suspended virtual machine goes on, changes nothing. Elsewhere they are
    counted from 1970.

    Raises
    ------
    psutil.Error
        If there is no such process, or the system does not tell its start.
    """
    number = os.getpid() if pid is None else pid
    if hasattr(os, "sysconf"):
        with suppress(OSError, ValueError, IndexError):  # Linux only
            after_name = Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()
            return int(after_name[_STARTED]) / os.sysconf("SC_CLK_TCK")
    return float(psutil.Process(number).create_time())


def detached_options() -> dict[str, Any]:
    """Return options of `subprocess.Popen` for a process that outlives this one.

    Neither Ctrl-C nor the end of the terminal reaches it. (Windows ignores ``start_new_session``.)
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def host_name() -> str:
    """Return the name of this machine."""
    return platform.node() or "unknown"


@cache
def machine_identity() -> str:
    """Return a text that differs between machines, boots, and spaces of process numbers."""
    parts = [host_name()]
    with suppress(OSError):  # Linux only
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))  # of a container
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
