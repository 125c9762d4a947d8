"""The progress of a run in napari's Activity dock, with the time that is left."""

from __future__ import annotations

import io

from napari.utils import progress


class Activity:
    """A bar in the Activity dock from the start of a run to its end.

    Napari works through waiting events while it draws a bar, so that a run can move on or end
    within a call; what comes meanwhile is told with the next iteration.
    """

    def __init__(self) -> None:
        self._bar: progress | None = None
        self._name = ""
        self._wanted = False
        self._moving = False

    @property
    def shown(self) -> bool:
        """True while there is a bar."""
        return self._bar is not None

    def begin(self, name: str) -> None:
        """Show a bar that does not know yet how much there is to do."""
        self.end()
        self._name, self._wanted = name, True
        self._replace(total=0, done=0)

    def move(self, done: int, expected: int) -> None:
        """Show how much is done.

        Parameters
        ----------
        done, expected : int
            Iterations so far, and until the run is expected to end.
        """
        if not self._wanted or self._moving:
            return
        self._moving = True
        try:
            self._move(done, expected)
        finally:
            self._moving = False

    def end(self) -> None:
        """Take the bar away."""
        self._wanted = False
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def _move(self, done: int, expected: int) -> None:
        bar = self._bar
        if bar is None or bar.disable or bar.total == 0:  # with another window napari closes all
            bar = self._replace(total=expected, done=done)
        bar.total = expected
        bar.update(done - bar.n)

    def _replace(self, total: int, done: int) -> progress:
        """Show another bar; it is closed at once where the run has ended while it was drawn."""
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
    """Return a bar; where no window is open any more, it is drawn nowhere."""
    return progress(total=total, desc=name, initial=done, file=io.StringIO())
