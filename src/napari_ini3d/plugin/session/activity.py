"""Progress bar of a run in napari's Activity dock, with the remaining time."""

from __future__ import annotations

import io

from napari.utils import progress


class Activity:
    """A progress bar in the Activity dock, from the start of a run to its end.

    Napari processes waiting events while it draws a bar, so that iterations, and the end of the
    run, can arrive within a call. They are shown with the next iteration.
    """

    def __init__(self) -> None:
        self._bar: progress | None = None
        self._name = ""
        self._wanted = False
        self._moving = False

    @property
    def shown(self) -> bool:
        """True while the bar exists."""
        return self._bar is not None

    def begin(self, name: str) -> None:
        """Show a bar without a known end."""
        self.end()
        self._name, self._wanted = name, True
        self._replace(total=0, done=0)

    def move(self, done: int, expected: int) -> None:
        """Update the progress.

        Parameters
        ----------
        done, expected : int
            Number of iterations so far, and at the expected end of the run.
        """
        if not self._wanted or self._moving:
            return
        self._moving = True
        try:
            self._move(done, expected)
        finally:
            self._moving = False

    def end(self) -> None:
        """Remove the bar."""
        self._wanted = False
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def _move(self, done: int, expected: int) -> None:
        bar = self._bar
        if bar is None or bar.disable or bar.total == 0:  # napari closes all bars with any window
            bar = self._replace(total=expected, done=done)
        bar.total = expected
        bar.update(done - bar.n)

    def _replace(self, total: int, done: int) -> progress:
        """Replace the bar; close it at once if the run has ended meanwhile."""
        before, self._bar = self._bar, None
        if before is not None:
            before.close()
        bar = _make_bar(self._name, total, done)
        if self._wanted:
            self._bar = bar
        else:
            bar.close()
        return bar


def _make_bar(name: str, total: int, done: int = 0) -> progress:
    """Return a bar that prints nothing if no window is open."""
    return progress(total=total, desc=name, initial=done, file=io.StringIO())
