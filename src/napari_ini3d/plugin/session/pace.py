"""Pace of drawing, so that a window without a GPU can be used between two maps; no Qt here."""

from __future__ import annotations

import time

REST = 4.0
"""Pause before the next map, in units of the time that drawing the last one took."""

_LATE_SECONDS = 0.12  # from which drawing counts as slow: more than the interval of the timer
_LONGEST_REST = 5.0  # seconds
_COUNT_SECONDS = 0.5  # between updates of the docks without a new map


class Pace:
    """Decides when the next map is shown, and when iterations without a map are counted."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the last run."""
        self._shown_at: float | None = None
        self._has_drawn = False
        self._rest_until = self._next_count = 0.0

    def is_resting(self) -> bool:
        """Tell whether the next map has to wait; called by a timer of the window.

        A map is drawn before the timer fires again, which is late by the time of drawing. The first
        one does not count: it is slow, as shaders are compiled.
        """
        now = time.monotonic()
        if self._shown_at is not None:
            taken, self._shown_at = now - self._shown_at, None
            is_first, self._has_drawn = not self._has_drawn, True
            if not is_first and taken > _LATE_SECONDS:
                self._rest_until = now + min(REST * taken, _LONGEST_REST)
        return now < self._rest_until

    def note_shown(self) -> None:
        """Note that a map is shown now."""
        self._shown_at = time.monotonic()

    def is_count_due(self) -> bool:
        """Tell whether the docks may be updated: each time, the whole window is painted."""
        now = time.monotonic()
        if now < self._next_count:
            return False
        self._next_count = now + _COUNT_SECONDS
        return True
