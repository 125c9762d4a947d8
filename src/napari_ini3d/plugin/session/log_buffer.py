"""Buffer of the last log lines of a run; no Qt here."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LINES = 500

_LEVEL = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")


class LogLine(NamedTuple):
    """A line, with the level of its message in `logging`."""

    level: int
    text: str


class LogTail:
    """Keeps the last `LINES` log lines; filled by a worker, read by the window.

    Attributes
    ----------
    count : int
        Number of lines so far, so that a reader knows how many are new.
    resets : int
        Number of times that the log was reset, for instance to that of another run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._level = logging.INFO
        self.count = 0
        self.resets = 0

    def add(self, texts: Iterable[str]) -> None:
        """Add lines of a run's log file.

        Further lines of a message, such as a traceback, have its level.
        """
        with self._lock:
            for text in texts:
                found = _LEVEL.search(text[:40])
                self._level = logging.getLevelNamesMapping()[found[1]] if found else self._level
                self._lines.append(LogLine(self._level, text))
                self.count += 1

    def lines_after(self, count: int) -> list[LogLine]:
        """Return the lines since `count`, as far as they are still in the buffer."""
        with self._lock:
            new = min(self.count - count, len(self._lines))
            return list(self._lines)[len(self._lines) - new :]

    def reset(self, path: Path | None = None) -> None:
        """Replace all lines by the last ones of a run's log file.

        Parameters
        ----------
        path : Path, optional
            Written by `runs.log_file`; a file that cannot be read counts as empty.
        """
        texts = [] if path is None else read_last_lines(path)
        with self._lock:
            self._lines.clear()
            self._level = logging.INFO
            self.resets += 1
        self.add(texts)


def read_last_lines(path: Path) -> list[str]:
    """Return the last `LINES` lines of a file; none if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [text.rstrip("\n") for text in deque(file, maxlen=LINES)]
    except OSError:
        return []
