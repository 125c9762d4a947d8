"""Exceptions of napari-ini3d.

::

    Ini3dError
    ├── SettingsError      a setting is out of range, unknown, or contradicts another
    ├── InputError         a file the user gave cannot be used as it is
    │   ├── StarError      a STAR file: missing column, unknown optics group, empty table
    │   ├── CryosparcError a dataset of cryoSPARC: not of particles, missing field, empty
    │   ├── StackError     an image stack: missing, truncated, wrong box or mode
    │   └── MapError       a map: not cubic, no voxel size, NaN
    ├── RunFolderError     a run folder: already holds a run, cannot be resumed, no space
    ├── RunProcessError    the process of a run was killed or has crashed
    ├── DownloadError      a file of an archive cannot be downloaded, or is another one
    ├── DeviceError        the requested device is not available or has failed
    ├── ClusterError       a cluster cannot be reached, has unsuitable workers, or was lost
    └── SymmetryError      a point group that is unknown or is not a rotation group

None derives from ``RuntimeError``, which worker threads of napari silently ignore.
Every message says what was found, what was expected and what to do.
"""

from __future__ import annotations

from typing import Self


class Ini3dError(Exception):
    """Base class of the exceptions of this package."""


class SettingsError(Ini3dError):
    """A setting is out of range, unknown, or contradicts another."""


class InputError(Ini3dError):
    """A file the user gave cannot be used as it is.

    Attributes
    ----------
    in_row : (str, int, str) or None
        Message before the number of a row, the row from 0, and the message after it.
    """

    in_row: tuple[str, int, str] | None = None

    @classmethod
    def at_row(cls, before: str, row: int, after: str) -> Self:
        """Return an error whose message is ``<before>row <number from 1><after>``."""
        error = cls(f"{before}row {row + 1}{after}")
        error.in_row = (before, row, after)
        return error


class StarError(InputError):
    """A STAR file is incomplete or has impossible values."""


class CryosparcError(InputError):
    """A dataset of cryoSPARC is not one of particles, is incomplete, or cannot be read."""


class StackError(InputError):
    """An image stack is missing, truncated, or does not match its STAR file."""


class MapError(InputError):
    """A map cannot be used: not cubic, without voxel size, not finite."""


class RunFolderError(Ini3dError):
    """A run folder already holds a run, cannot be resumed, or cannot be written."""


class RunProcessError(Ini3dError):
    """The process that computes a run was killed, or has crashed."""


class DownloadError(Ini3dError):
    """A file of an archive cannot be downloaded, or is not the one that is listed."""


class DeviceError(Ini3dError):
    """The requested device is not available, or has failed."""


class AddressSpaceError(Ini3dError):
    """The limit of the address space (``ulimit -v``) is too low for the libraries."""


class ClusterError(Ini3dError):
    """A cluster cannot be reached, has unsuitable workers, or was lost."""


class SymmetryError(Ini3dError):
    """A point group that is unknown, or is not a group of rotations."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Return whether an error means that there is not enough memory or address space."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return (isinstance(error, ImportError) and "failed to map" in text) or (
        isinstance(error, RuntimeError) and "can't start new thread" in text
    )


def explain(error: BaseException) -> str:
    """Return the message of an error for users, with what to do."""
    if isinstance(error, (Ini3dError, OSError)):
        return str(error)
    if is_lack_of_memory(error):
        detail = f" ({error})" if str(error) else ""
        return (
            f"out of memory{detail}; use a smaller box, fewer classes or fewer threads, or raise a "
            "limit of memory (ulimit -v, or that of the job)"
        )
    return (
        f"{type(error).__name__}: {error}; this is a bug: please report it with the log "
        "(log.txt in the run folder, or the output of --verbose)"
    )
