"""The last lines of what the package logs, kept for a window; no Qt here."""

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
    """A line, and how serious the message is that it belongs to (a level of `logging`)."""

    level: int
    text: str


class LogTail(logging.Handler):
    """Keeps the last `LINES` lines; threads log into it, the window reads them.

    Attributes
    ----------
    count : int
        Grows by one with each line, so that a reader knows how many are new to it.
    beginnings : int
        Grows by one each time the log begins anew, with the lines of another run or with none.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self.count = 0
        self.beginnings = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, one line for each of its lines."""
        for text in self.format(record).splitlines():
            self._lines.append(LogLine(record.levelno, text))
            self.count += 1

    def lines_after(self, count: int) -> list[LogLine]:
        """Return the lines since `count` was read, those that are still kept."""
        self.acquire()
        try:
            new = min(self.count - count, len(self._lines))
            return list(self._lines)[len(self._lines) - new :]
        finally:
            self.release()

    def begin_anew(self, path: Path | None = None) -> None:
        """Forget all lines, and take the last ones of a run's log file.

        Parameters
        ----------
        path : Path, optional
            A file that `io.logs` wrote; one that cannot be read counts as empty.
        """
        lines = [] if path is None else read_log(path)
        self.acquire()
        try:
            self._lines.clear()
            self._lines.extend(lines)
            self.count += len(lines)
            self.beginnings += 1
        finally:
            self.release()

    def listen(self, path: Path) -> None:
        """Take part in the package's logging, but for what runs with other log files say."""
        self.filters.clear()
        self.addFilter(belongs_to(path))
        package = logging.getLogger(__name__.partition(".")[0])
        package.addHandler(self)
        package.setLevel(min(logging.INFO, package.getEffectiveLevel()))

    def leave(self) -> None:
        """Take no part any more."""
        logging.getLogger(__name__.partition(".")[0]).removeHandler(self)


def read_log(path: Path) -> list[LogLine]:
    """Return the last `LINES` lines of a run's log file.

    Lines below a message, such as those of a traceback, are as serious as the message.
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
