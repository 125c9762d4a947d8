"""Lines that another process appends to a file, also on a shared disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_MOST_BYTES = 2**24  # that are read at once
_PATIENCE = 100  # readings after which zero bytes are taken to be in the file


class NewLines(NamedTuple):
    """Lines of a file since the last reading.

    Attributes
    ----------
    lines : list of str
        Complete ones, without their ends.
    replaced : bool
        Whether the file was replaced or shortened; then the lines are all that it has.
    """

    lines: list[str]
    replaced: bool


class FileTail:
    """Reads the lines that are appended to a file; it need not exist yet.

    A line that is not complete is left for the next reading. So are zero bytes, which a client of
    a file server can see in the place of what another one has written but not sent yet.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._identity: tuple[int, int] | None = None
        self._waited = 0

    def read(self) -> NewLines:
        """Return the new lines; none if the file cannot be read at the moment."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                replaced = self._note(status)
                file.seek(self._offset)
                new = file.read(_MOST_BYTES)
        except OSError:
            return NewLines([], replaced=False)
        complete = self._complete(new)
        self._offset += len(complete)
        lines = complete.decode("utf-8", errors="replace").split("\n")[:-1]
        return NewLines(lines, replaced)

    def _note(self, status: os.stat_result) -> bool:
        """Start again if the file is another one, or shorter than what was read of it."""
        identity, before = (status.st_dev, status.st_ino), self._identity
        self._identity = identity
        if before is None or (before == identity and status.st_size >= self._offset):
            return False
        self._offset = 0
        return True

    def _complete(self, new: bytes) -> bytes:
        """Return the complete lines, up to zero bytes unless these stay."""
        zero = new.find(b"\0")
        self._waited = self._waited + 1 if zero >= 0 else 0
        if zero >= 0 and self._waited < _PATIENCE:
            new = new[:zero]
        return new[: new.rfind(b"\n") + 1]
