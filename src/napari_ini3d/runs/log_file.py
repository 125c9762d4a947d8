"""The log file of a run; runs in several threads of one program keep theirs apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from napari_ini3d.runs.folder import explain_os_errors

_log_in_hand: ContextVar[Path | None] = ContextVar("log_in_hand", default=None)


def belongs_to(path: Path) -> Callable[[logging.LogRecord], bool]:
    """Return a filter that leaves out what the runs of other threads log.

    What is logged outside of all runs, as by the threads that an engine starts, passes.

    Parameters
    ----------
    path : Path
        Log file of the run.
    """
    whole = path.absolute()
    return lambda _record: _log_in_hand.get() in (None, whole)


@contextmanager
def log_to_file(path: Path, level: int = logging.INFO) -> Iterator[None]:
    """Append what the package logs to a file, as long as the context lasts.

    Parameters
    ----------
    path : Path
    level : int
        Least level that is written, as of `logging`.
    """
    package = logging.getLogger(__name__.partition(".")[0])
    with explain_os_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    handler.setLevel(level)
    handler.addFilter(belongs_to(path))
    outer = _log_in_hand.get()
    _log_in_hand.set(path.absolute())
    before = package.level
    package.addHandler(handler)
    package.setLevel(min(level, package.getEffectiveLevel()))
    try:
        yield
    finally:
        _log_in_hand.set(outer)
        package.removeHandler(handler)
        package.setLevel(before)
        handler.close()
