"""Log file of a run, separate for runs in several threads of one process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from napari_ini3d._logging import log_to
from napari_ini3d.runs.storage import explain_os_errors

_current_log: ContextVar[Path | None] = ContextVar("current_log", default=None)


def belongs_to(path: Path) -> Callable[[logging.LogRecord], bool]:
    """Return a filter that rejects messages from the runs of other threads.

    Messages from outside all runs pass, such as those of the engine's own threads.

    Parameters
    ----------
    path : Path
        Log file of the run.
    """
    whole = path.absolute()
    return lambda _record: _current_log.get() in (None, whole)


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
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    handler.setLevel(level)
    handler.addFilter(belongs_to(path))
    outer = _current_log.get()
    _current_log.set(path.absolute())
    try:
        with log_to(handler):
            yield
    finally:
        _current_log.set(outer)
        handler.close()
