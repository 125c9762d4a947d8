"""Lock of a run folder: one process writes to it at a time, also across hosts on a shared disk.

The file ``run.lock`` names its owner: host, process and start time. On the machine of the owner
the process is looked up. On other machines only the heartbeat tells: the owner touches the file
every few seconds, and times are compared by the clock of the file server.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import (
    host_name,
    is_running,
    machine_identity,
    process_start,
    temporary_beside,
    time_of_disk,
    write_error,
)

logger = logging.getLogger(__name__)

BEAT_SECONDS = 20.0
"""Time between two beats of the owner."""

STALE_SECONDS = 180.0
"""Age of the last beat from which the owner on another machine is taken to be gone."""

LOCK_NAME = "run.lock"


@dataclass(frozen=True, slots=True)
class RunOwner:
    """The process that writes to a run folder.

    Attributes
    ----------
    host : str
    machine : str
        Identity of the machine since it was booted, and of its process numbers.
    pid : int
    started : float
        Start of the process, as `process_start` gives it.
    since : str
        ISO 8601, when the folder was locked.
    token : str
        Different for each lock.
    """

    host: str
    machine: str
    pid: int
    started: float
    since: str
    token: str

    @classmethod
    def this_process(cls) -> Self:
        """Return this process, with a new token."""
        return cls(
            host=host_name(),
            machine=machine_identity(),
            pid=os.getpid(),
            started=process_start(),
            since=datetime.now().astimezone().isoformat(timespec="seconds"),
            token=uuid.uuid4().hex,
        )

    @property
    def is_alive(self) -> bool | None:
        """Whether the process runs; None if it is one of another machine."""
        if self.machine != machine_identity():
            return None
        return is_running(self.pid, self.started)

    @property
    def place(self) -> str:
        """The number of the process, and its machine."""
        where = "this machine" if self.machine == machine_identity() else self.host
        return f"process {self.pid} on {where}"

    def __str__(self) -> str:
        return f"{self.place}, since {self.since}"


class RunLock:
    """The lock of a run folder, held by this process until it is released or discarded.

    Attributes
    ----------
    owner : RunOwner
        This process.
    """

    def __init__(self, path: Path, owner: RunOwner) -> None:
        self.owner = owner
        self._path = path
        stop = Event()
        self._release = weakref.finalize(self, _unlock, path, owner, stop)
        Thread(target=_beat, args=(path, owner, stop), daemon=True, name="ini3d-lock").start()

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Lock a run folder; a lock whose owner is gone is replaced.

        Raises
        ------
        RunFolderError
            If another process, or another run of this one, is writing to the folder, or the
            lock cannot be written.
        """
        path, owner = folder / LOCK_NAME, RunOwner.this_process()
        try:
            for _ in range(3):
                if _create(path, owner):
                    return cls(path, owner)
                check_unlocked(folder)
                _remove_stale(path, _read_owner(path))
        except OSError as error:
            raise write_error(path, error) from error
        raise RunFolderError(
            f"{folder} is being locked by other processes at the same time; expected to be alone; "
            "look which of them runs, and try again"
        )

    def check(self) -> None:
        """Raise `RunFolderError` if another process has taken over, as after a long pause."""
        found = _read_owner(self._path)
        if found is not None and found.token != self.owner.token:
            raise RunFolderError(
                f"{self._path.parent} was taken over by {found}, because this process did not "
                "answer for a long time; this one ends, and what the other writes is kept"
            )

    def release(self) -> None:
        """Unlock the folder; may be called again."""
        self._release()

    close = release


def is_locked(folder: Path) -> bool:
    """Return whether a process is writing to a run folder."""
    path = folder / LOCK_NAME
    if not path.exists():
        return False
    owner = _read_owner(path)
    alive = owner.is_alive if owner else None
    return _beat_age(path) <= STALE_SECONDS if alive is None else alive


def read_owner(folder: Path) -> RunOwner | None:
    """Return the owner that the lock of a run folder names; None if there is none.

    The process may have ended (`is_locked`).
    """
    return _read_owner(folder / LOCK_NAME)


def check_unlocked(folder: Path) -> None:
    """Raise `RunFolderError` if a process is writing to a run folder, and name it."""
    if not is_locked(folder):
        return
    path = folder / LOCK_NAME
    owner = _read_owner(path)
    alive = owner.is_alive if owner else None
    last = f"; its last sign of life was {_beat_age(path):.0f} s ago" if alive is None else ""
    advice = "wait until it has ended, or stop it"
    if alive is None:
        advice += f"; a lock without one for {STALE_SECONDS:.0f} s is ignored"
    raise RunFolderError(
        f"{folder} is in use: a run is going on in {owner or 'an unknown process'}{last}; {advice}"
    )


def _create(path: Path, owner: RunOwner) -> bool:
    """Write a lock unless there is one; a hard link is atomic on network file systems too."""
    temporary = temporary_beside(path)
    text = json.dumps(asdict(owner)) + "\n"
    temporary.write_text(text, encoding="utf-8")
    try:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # no hard links
            return _create_exclusively(path, text)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _create_exclusively(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _remove_stale(path: Path, owner: RunOwner | None) -> None:
    """Remove a lock, but not one that another process has put there in the meantime."""
    aside = temporary_beside(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read_owner(aside) != owner:
        try:
            os.link(aside, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links
            _create_exclusively(path, aside.read_text(encoding="utf-8"))
    else:
        logger.info("the lock of %s is removed: %s is gone", path.parent, owner or "its owner")
    aside.unlink()


def _read_owner(path: Path) -> RunOwner | None:
    """Return the owner that a lock names; None if there is none, or it cannot be read."""
    try:
        values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        owner = RunOwner(**{f.name: values[f.name] for f in fields(RunOwner)})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    texts = (owner.host, owner.machine, owner.since, owner.token)
    is_sound = all(isinstance(text, str) for text in texts) and isinstance(owner.pid, int)
    return owner if is_sound and isinstance(owner.started, (int, float)) else None


def _beat_age(path: Path) -> float:
    """Return the seconds since the last beat, by the clock of the disk."""
    try:
        beat = path.stat().st_mtime
    except OSError:
        return float("inf")  # the lock has just been removed
    return max(0.0, time_of_disk(path.parent) - beat)


def _beat(path: Path, owner: RunOwner, stop: Event) -> None:
    """Touch the lock until it is released or another process has taken over."""
    while not stop.wait(BEAT_SECONDS):
        try:
            found = _read_owner(path)
            if found is not None and found.token != owner.token:
                return
            os.utime(path)
        except OSError as error:
            logger.debug("%s: no beat: %s", path, error)


def _unlock(path: Path, owner: RunOwner, stop: Event) -> None:
    stop.set()
    found = _read_owner(path)
    if owner.pid == os.getpid() and found is not None and found.token == owner.token:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s cannot be removed (%s); remove it by hand", path, error)
