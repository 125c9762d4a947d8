"""Logging of the package to a handler, for a limited time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_PACKAGE = logging.getLogger(__name__.partition(".")[0])
_lock = Lock()
_handlers: list[logging.Handler] = []
_level_before = logging.NOTSET  # of the package, without these handlers


@contextmanager
def log_to(handler: logging.Handler) -> Iterator[None]:
    """Send the package's messages to a handler while the context lasts.

    The level of the package's logger follows the handlers that are attached at the time, so that
    contexts in several threads may end in any order.

    Parameters
    ----------
    handler : logging.Handler
        Its level decides which messages it gets.
    """
    global _level_before
    with _lock:
        if not _handlers:
            _level_before = _PACKAGE.level
        _handlers.append(handler)
        _PACKAGE.addHandler(handler)
        _set_level()
    try:
        yield
    finally:
        with _lock:
            _handlers.remove(handler)
            _PACKAGE.removeHandler(handler)
            _set_level()


def _set_level() -> None:
    """Let the package's logger pass what any of the handlers, or its own level, lets pass."""
    _PACKAGE.setLevel(_level_before)
    if _handlers:
        levels = [handler.level for handler in _handlers]
        _PACKAGE.setLevel(min(*levels, _PACKAGE.getEffectiveLevel()))
