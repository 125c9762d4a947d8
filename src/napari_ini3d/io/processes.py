"""Processes and machines, as far as they tell who wrote a file."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

_START_TOLERANCE = 2.0  # s; clocks may be set while a process runs


def is_running(pid: int, started: float | None = None) -> bool:
    """Return whether a process of this machine runs.

    Parameters
    ----------
    pid : int
    started : float, optional
        Its start, seconds since 1970; another process may have got the number since.
    """
    try:
        process = psutil.Process(pid)
        if started is not None and abs(process.create_time() - started) > _START_TOLERANCE:
            return False
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def process_start() -> float:
    """Return the start of this process, seconds since 1970."""
    return float(psutil.Process().create_time())


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
