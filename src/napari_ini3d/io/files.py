"""Atomic writing of files: write a temporary file, flush it to disk, rename it.

Temporary files and folders name their process, so that those of killed ones are recognised.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io.processes import is_running, machine_identity

logger = logging.getLogger(__name__)

_counter = itertools.count()  # two threads may write the same file
_being_written: set[str] = set()  # absolute paths of this process's temporary files
_TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-\d+\.tmp(\.[^.]*)?")
_REPLACE_SECONDS = 2.0  # Windows replaces no file that is open, as readers of a run open its files

_CAUSES = {
    errno.ENOSPC: "no space is left on the disk; free some, or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another folder",
    errno.EACCES: "permission is denied; choose a folder you may write to",
    errno.EPERM: "permission is denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOENT: "the folder does not exist; create it first",
    errno.EEXIST: "a file of that name already exists; choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "a folder of that name already exists; choose another path",
}


@contextmanager
def atomic_path(path: Path | str, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path, and rename the file written there to `path`.

    When the block ends, the file is flushed to disk and renamed. When it raises, the file is
    deleted. The temporary path has the suffix of the target, because some writers choose the
    format by it.

    Parameters
    ----------
    path : Path or str
        File to write; its folder must exist.
    durable : bool
        Flush it to disk. Without that it may be incomplete after a power failure, but not after a
        crash of the program.

    Yields
    ------
    Path
        Temporary path in the same folder.

    Raises
    ------
    RunFolderError
        If the file cannot be written (no permission, no space, no folder).
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{_writer()}-{next(_counter)}.tmp{target.suffix}")
    full = os.path.abspath(temporary)
    _being_written.add(full)
    try:
        _touch(temporary)
        yield temporary
        if durable:
            _flush_to_disk(temporary)
        _replace(temporary, target)
        if durable:
            _flush_folder_to_disk(target.parent)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _being_written.discard(full)


def is_temporary(name: str) -> bool:
    """Return whether a file has the name of a temporary file of this package."""
    return _TEMPORARY.fullmatch(name) is not None


def make_temporary_folder() -> Path:
    """Make a folder in the temporary folder of the system, which whoever made it removes.

    Those that killed processes left there are removed.
    """
    system = Path(tempfile.gettempdir())
    _clear_once(system)
    path = Path(tempfile.mkdtemp(prefix=f".ini3d.{_writer()}-{next(_counter)}.tmp."))
    _being_written.add(os.path.abspath(path))
    return path


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end of the context, or after a kill by the next use."""
    path = make_temporary_folder()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _being_written.discard(os.path.abspath(path))


@lru_cache(maxsize=1)
def _clear_once(folder: Path) -> None:
    remove_abandoned(folder)


def temporary_beside(path: Path) -> Path:
    """Return a path in the folder of `path` that no one else uses, for a file that is removed."""
    return path.with_name(f".{path.name}.{_writer()}-{uuid.uuid4().int}.tmp")


def time_of_disk(folder: Path) -> float:
    """Return the time by the clock that stamps the files of a folder, seconds since 1970.

    On a shared disk it is that of the file server, from which that of this machine may differ. It
    is read from an empty file, which is removed again; where none can be made, it is the time of
    this machine.
    """
    probe = temporary_beside(folder / "time")
    try:
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()
    except OSError:
        return time.time()


def remove_abandoned(folder: Path, *, after: float = 3600.0) -> None:
    """Remove the temporary files and folders that killed processes left in a folder.

    Those of processes that run are kept; those of another machine if they have changed lately, by
    the clock of the disk.

    Parameters
    ----------
    folder : Path
        Need not exist.
    after : float
        Seconds without a change from which a file of another machine is removed.
    """
    try:
        found = [(path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir()]
    except OSError:
        return
    for path, match in found:
        if match and _is_abandoned(path, match[1], int(match[2]), after):
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                logger.info("%s, the rest of a process that was killed, is removed", path)


def _is_abandoned(path: Path, machine: str, pid: int, after: float) -> bool:
    if machine == machine_identity()[:8]:
        if pid == os.getpid():  # or of one that had our number, as the first one in a container
            return os.path.abspath(path) not in _being_written
        return not is_running(pid)
    try:
        status = path.stat()
    except OSError:
        return False
    # a copy of a stack gets the time of the stack before it is renamed
    changed = max(status.st_mtime, status.st_ctime)
    return time_of_disk(path.parent) - changed > after


def write_error(path: Path, error: OSError) -> RunFolderError:
    """Return a `RunFolderError` with the reason why `path` cannot be written, and what to do."""
    cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
    return RunFolderError(f"cannot write {path}: {cause}")


def read_failure(path: Path, error: OSError, advice: str) -> str:
    """Return the reason why a file cannot be read, with `advice` or, if forbidden, another one."""
    what_to_do = "change its permissions" if isinstance(error, PermissionError) else advice
    return f"{path}: cannot be read ({error.strerror}); {what_to_do}"


def nearest_folder(path: Path) -> Path:
    """Return `path` if it exists, or the nearest existing folder above it."""
    return next((p for p in (path, *path.absolute().parents) if p.exists()), Path("/"))


def _writer() -> str:
    """Return machine and number of this process, as in the names of its temporary files."""
    return f"{machine_identity()[:8]}-{os.getpid()}"


def _touch(path: Path) -> None:
    with open(path, "wb"):
        pass


def _replace(temporary: Path, target: Path) -> None:
    """Rename a file; on Windows wait until no other process has the target open."""
    end = time.monotonic() + _REPLACE_SECONDS
    while True:
        try:
            os.replace(temporary, target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _flush_to_disk(path: Path) -> None:
    # Windows flushes only what may be written
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder_to_disk(folder: Path) -> None:
    """Flush the names in a folder; Windows opens no folders, and keeps names by its journal."""
    if sys.platform == "win32":
        return
    try:
        _flush_to_disk(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
