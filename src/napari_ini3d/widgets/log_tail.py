"""The last lines of what the package logs, kept for a window; no Qt here."""

from __future__ import annotations

import logging
from collections import deque

LINES = 500


class LogTail(logging.Handler):
    """Keeps the last `LINES` lines; threads log into it, the window reads them.

    `count` grows by one with each line, so that a reader knows how many are new to it.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
        self._lines: deque[str] = deque(maxlen=LINES)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, one line for each of its lines."""
        for line in self.format(record).splitlines():
            self._lines.append(line)
            self.count += 1

    def lines_after(self, count: int) -> list[str]:
        """Return the lines since `count` was read, those that are still kept."""
        self.acquire()
        try:
            new = min(self.count - count, len(self._lines))
            return list(self._lines)[len(self._lines) - new :]
        finally:
            self.release()

    def listen(self) -> None:
        """Take part in the package's logging."""
        package = logging.getLogger(__name__.partition(".")[0])
        package.addHandler(self)
        package.setLevel(min(logging.INFO, package.getEffectiveLevel()))

    def leave(self) -> None:
        """Take no part any more."""
        logging.getLogger(__name__.partition(".")[0]).removeHandler(self)
