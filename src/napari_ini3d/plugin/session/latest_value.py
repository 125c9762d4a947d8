"""Hand the newest value from a worker to the window; older ones that were not taken are dropped."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestValue(Generic[T]):
    """The newest value of a worker; neither side waits for the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None
        self._dropped = -1  # one less than the values put since the last `take`

    def put(self, value: T) -> None:
        """Replace the value by a newer one."""
        with self._lock:
            self._value = value
            self._dropped += 1

    def take(self) -> tuple[T | None, int]:
        """Remove and return the newest value, and how many before it were dropped.

        Returns
        -------
        value : T or None
            None if there was no new one since the last time.
        dropped : int
        """
        with self._lock:
            value, dropped = self._value, max(self._dropped, 0)
            self._value, self._dropped = None, -1
        return value, dropped
