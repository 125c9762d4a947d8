"""Buffer of the last log lines of the package; no Qt here."""

from __future__ import annotations

import logging
import re
from collections import deque
from pathlib import Path
from typing import NamedTuple

from napari_ini3d.runs import belongs_to

LINES = 500

_LEVEL = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")


class LogLine(NamedTuple):
    """A line, with the level of its message in `logging`."""

    level: int
    text: str


class LogTail(logging.Handler):
    """Keeps the last `LINES` log lines; filled by all threads, read by the window.

    Attributes
    ----------
    count : int
        Number of lines so far, so that a reader knows how many are new.
    resets : int
        Number of times that the log was reset, for instance to that of another run.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self.count = 0
        self.resets = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Add the lines of a record."""
        for text in self.format(record).splitlines():
            self._lines.append(LogLine(record.levelno, text))
            self.count += 1

    def lines_after(self, count: int) -> list[LogLine]:
        """Return the lines since `count`, as far as they are still in the buffer."""
        self.acquire()
        try:
            new = min(self.count - count, len(self._lines))
            return list(self._lines)[len(self._lines) - new :]
        finally:
            self.release()

    def reset(self, path: Path | None = None) -> None:
        """Replace all lines by the last ones of a run's log file.

        Parameters
        ----------
        path : Path, optional
            Written by `runs.log_file`; a file that cannot be read counts as empty.
        """
        lines = [] if path is None else read_log(path)
        self.acquire()
        try:
            self._lines.clear()
            self._lines.extend(lines)
            self.count += len(lines)
            self.resets += 1
        finally:
            self.release()

    def listen(self, path: Path) -> None:
        """Receive the log messages of the package, except those of runs with other log files."""
        self.filters.clear()
        self.addFilter(belongs_to(path))
        package = logging.getLogger(__name__.partition(".")[0])
        package.addHandler(self)
        package.setLevel(min(logging.INFO, package.getEffectiveLevel()))

    def leave(self) -> None:
        """Stop receiving log messages."""
        logging.getLogger(__name__.partition(".")[0]).removeHandler(self)


def read_log(path: Path) -> list[LogLine]:
    """Return the last `LINES` lines of a run's log file.

    Further lines of a message, such as a traceback, have its level.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            texts = deque(file, maxlen=LINES)
    except OSError:
        return []
    lines: list[LogLine] = []
    level = logging.INFO
    for text in texts:
        found = _LEVEL.search(text[:40])
        level = logging.getLevelNamesMapping()[found[1]] if found else level
        lines.append(LogLine(level, text.rstrip("\n")))
    return lines
