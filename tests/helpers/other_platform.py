"""Run the command line as on another system: without what POSIX or Linux alone has.

usage: python other_platform.py win32|darwin [arguments of ini3d]

The names are removed from `os` and `signal`, and the modules hidden, before the package is
imported; libraries are imported first, as they ask for the system when they are. For "win32" files
are flushed, opened and replaced as Windows does it.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import pathlib
import shutil
import signal
import sys
import types

OF_LINUX = ("sched_getaffinity", "sched_setaffinity", "preadv", "pwritev", "posix_fadvise")
OF_POSIX = ("fork", "geteuid", "getuid", "getloadavg", "killpg", "mkfifo", "nice", "setsid")
OF_POSIX += ("sysconf", "uname")
SIGNALS = ("SIGALRM", "SIGCONT", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2")
MODULES = ("fcntl", "grp", "pwd", "resource", "termios")


def import_libraries() -> None:
    """Import what asks for the system at import, or at its first use."""
    import asyncio  # noqa: F401
    import multiprocessing  # noqa: F401

    import matplotlib.pyplot  # noqa: F401
    import mrcfile  # noqa: F401
    import numba  # noqa: F401
    import pandas  # noqa: F401
    import psutil
    import rich.logging  # noqa: F401
    import scipy.fft
    import scipy.ndimage
    import scipy.optimize
    import scipy.spatial  # noqa: F401
    import starfile  # noqa: F401
    import typer.rich_utils  # noqa: F401

    psutil.virtual_memory()


def hide_proc() -> None:
    """Let nothing be found below /proc."""
    opened, status, links = io.open, os.stat, os.readlink

    def is_hidden(path: object) -> bool:
        if isinstance(path, (str, os.PathLike)):
            caller = sys._getframe(2).f_globals.get("__name__", "")
            return os.fspath(path).startswith("/proc") and not caller.startswith("psutil")
        return False

    def without_proc(function):
        def call(path, *args, **kwargs):
            if is_hidden(path):
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
            return function(path, *args, **kwargs)

        return call

    io.open = builtins.open = pathlib.io.open = without_proc(opened)
    os.stat, os.readlink = without_proc(status), without_proc(links)


def flush_as_windows() -> None:
    """Open no folders, and flush only files that are open for writing."""
    opened, flush, modes = os.open, os.fsync, {}

    def open_file(path, flags, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        descriptor = opened(path, flags, *args, **kwargs)
        modes[descriptor] = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
        return descriptor

    def flush_file(descriptor):
        if modes.get(descriptor) == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flush(descriptor)

    os.open, os.fsync = open_file, flush_file
    shutil._use_fd_functions = False  # which need folders to be opened


def name_platform(platform: str) -> None:
    """Let the modules of the package read another `sys.platform`; libraries need the true one."""

    class OtherSystem(types.ModuleType):
        def __getattr__(self, name):
            return getattr(sys, name)

    other, imported = OtherSystem("sys"), builtins.__import__
    other.platform = platform

    def import_module(name, globals=None, *args, **kwargs):
        importer = str((globals or {}).get("__name__", ""))
        is_asked = name == "sys" and importer.startswith("napari_ini3d")
        return other if is_asked else imported(name, globals, *args, **kwargs)

    builtins.__import__ = import_module


def become(platform: str) -> None:
    """Take away what a system lacks, and have its name."""
    import_libraries()
    is_windows = platform == "win32"
    for name in OF_LINUX + OF_POSIX * is_windows:
        if hasattr(os, name):
            delattr(os, name)
    if is_windows:
        for name in SIGNALS:
            delattr(signal, name)
        for name in MODULES:
            sys.modules[name] = None  # type: ignore[assignment]
        flush_as_windows()
    hide_proc()
    name_platform(platform)


if __name__ == "__main__":
    become(sys.argv.pop(1))
    from napari_ini3d.cli import main

    main()
