"""A mailbox for one item: what the worker computes faster than the window shows is dropped."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """The newest item, and how many were put in before it and never taken."""

    item: T
    dropped: int


class LatestValue(Generic[T]):
    """Holds the newest item only; neither side waits for the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delivery: Delivery[T] | None = None

    def put(self, item: T) -> None:
        """Put an item in; one that still lies there is dropped."""
        with self._lock:
            before = self._delivery
            self._delivery = Delivery(item, 0 if before is None else before.dropped + 1)

    def take(self) -> Delivery[T] | None:
        """Take the newest item out; None where none has come since the last time."""
        with self._lock:
            delivery, self._delivery = self._delivery, None
        return delivery
