"""Limit the threads of BLAS while tiles, or other jobs of ours, already use every core."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import ThreadpoolController


class _Libraries:
    """The libraries with threads of their own that this process has loaded.

    To find them takes milliseconds, and more with many libraries and cores; a run limits them in
    every iteration. They are looked for again when modules have been imported since.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._controller: ThreadpoolController | None = None
        self._modules = 0

    def controller(self) -> ThreadpoolController:
        with self._lock:
            modules = len(sys.modules)
            if self._controller is None or modules != self._modules:
                self._controller, self._modules = ThreadpoolController(), modules
            return self._controller


_libraries = _Libraries()


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Let matrix products use at most `count` threads while the context lasts."""
    with _libraries.controller().limit(limits=count, user_api="blas"):
        yield
