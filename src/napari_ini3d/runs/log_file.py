"""Log file of a run, separate for runs in several threads of one process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

from napari_ini3d._logging import log_to
from napari_ini3d.runs.storage import explain_os_errors

logger = logging.getLogger(__name__)

FIRST_WORD = "napari-ini3d"
"""With which the first message of each session of a run begins."""

_TIME, _TIME_LENGTH = "%Y-%m-%d %H:%M:%S", 19

# of the runs of this thread, in the order in which they began; they may end in any other
_open_logs: ContextVar[tuple[Path, ...]] = ContextVar("open_logs", default=())


def belongs_to(path: Path) -> Callable[[logging.LogRecord], bool]:
    """Return a filter that rejects messages from the runs of other threads.

    Messages from outside all runs pass, such as those of the engine's own threads.

    Parameters
    ----------
    path : Path
        Log file of the run.
    """
    whole = path.absolute()
    return lambda _record: not (logs := _open_logs.get()) or logs[-1] == whole


class _LogFile(logging.FileHandler):
    """A log file that counts the messages that it cannot write, as on a full disk."""

    n_lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        """Count a message, instead of printing a traceback."""
        if isinstance(sys.exc_info()[1], OSError):
            self.n_lost += 1
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whether or not its last messages can be written."""
        with suppress(OSError):
            super().close()


@contextmanager
def log_to_file(path: Path, level: int = logging.INFO) -> Iterator[None]:
    """Append the package's messages to a file while the context lasts.

    Parameters
    ----------
    path : Path
    level : int
        Lowest level that is written, as in `logging`.
    """
    with explain_os_errors(path):
        handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", _TIME))
    handler.setLevel(level)
    handler.addFilter(belongs_to(path))
    own = path.absolute()
    _open_logs.set((*_open_logs.get(), own))
    try:
        with log_to(handler):
            yield
    finally:
        _open_logs.set(tuple(log for log in _open_logs.get() if log != own))
        handler.close()
        if handler.n_lost:
            logger.warning(
                "%s: %d messages could not be written; check the disk", path, handler.n_lost
            )


def logged_seconds(path: Path) -> float:
    """Return the seconds for which a run was going on, from the times of its log messages.

    Those between the sessions of a run that was resumed are not counted; 0 without a log.

    Parameters
    ----------
    path : Path
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0.0
    sessions: list[tuple[datetime, datetime]] = []
    for line in lines:
        with suppress(ValueError):  # of a traceback
            time = datetime.strptime(line[:_TIME_LENGTH], _TIME).astimezone()
            if not sessions or f" {FIRST_WORD} " in line:
                sessions.append((time, time))
            sessions[-1] = sessions[-1][0], time
    return sum(((end - begin).total_seconds() for begin, end in sessions), 0.0)
