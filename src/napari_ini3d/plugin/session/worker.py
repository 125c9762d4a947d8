"""Run in a worker thread; no Qt here.

The window controls it by flags and takes its newest maps; the run never waits for the window. It
never raises: an error is stored. (Workers of napari swallow some errors silently, and do not close
a generator that is stopped half-way.)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin.session.latest_value import LatestValue
from napari_ini3d.runs import IterationSummary, RunFolder, read_summaries

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_ini3d.engine import IterationReport

Stop = Callable[[], bool]
Start = Callable[[Stop], Iterator["IterationReport"]]


@dataclass(frozen=True, slots=True)
class Progress:
    """An iteration as the window shows it.

    Attributes
    ----------
    summary : IterationSummary
    volumes : (K, n, n, n) float32
        Maps, (z, y, x).
    view_counts : (K, M) float32
        Particles per viewing direction, as in `IterationReport`.
    n_classes : int
        Of the whole run; annealed classes start with fewer maps.
    dropped : int
        Iterations before this one whose maps were not shown.
    """

    summary: IterationSummary
    volumes: FloatArray
    view_counts: FloatArray
    n_classes: int = 1
    dropped: int = 0

    def with_dropped(self, dropped: int) -> Self:
        """Return a copy with the number of iterations dropped before it."""
        return replace(self, dropped=dropped)


class BackgroundRun:
    """Runs through the iterations of a run in its own thread.

    Parameters
    ----------
    start : callable
        Called in the thread with a function that tells the engine to stop; returns the
        iterations, as `jobs.start_run` and `jobs.resume_run` do.
    folder : Path
        Output folder.
    """

    def __init__(self, start: Start, folder: Path) -> None:
        self.folder = folder
        self.latest: LatestValue[Progress] = LatestValue()
        self.error: BaseException | None = None
        self._start = start
        self._n_classes = 1
        self._summaries: deque[IterationSummary] = deque()
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()

    def __repr__(self) -> str:
        return f"the initial model in {self.folder}"  # shown by napari before it closes

    @property
    def stopping(self) -> bool:
        """True after `stop`."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop the run after the current iteration; its results are written."""
        self._stop.set()
        self._going.set()

    def pause(self) -> None:
        """Pause the run after the current iteration; its memory is not released."""
        self._going.clear()

    def unpause(self) -> None:
        """Continue a paused run."""
        self._going.set()

    def take_summaries(self) -> list[IterationSummary]:
        """Return the summaries since the last call; none is dropped."""
        taken = []
        while self._summaries:
            taken.append(self._summaries.popleft())
        return taken

    def __call__(self) -> None:
        """Run; called in the thread."""
        try:
            reports = cast("Generator[IterationReport]", self._start(self._stop.is_set))
            with closing(reports):
                for number, report in enumerate(reports):
                    if number == 0:
                        self._publish_earlier(report.iteration)
                    self._publish(report)
                    self._going.wait()
        except BaseException as error:
            self.error = error

    def _publish_earlier(self, iteration: int) -> None:
        """Publish the iterations of a resumed run before its first new one."""
        folder = RunFolder.open(self.folder)
        self._n_classes = folder.read_record().settings.classes
        earlier = [each for each in read_summaries(folder) if each.iteration < iteration]
        self._summaries.extend(earlier)

    def _publish(self, report: IterationReport) -> None:
        summary = IterationSummary.from_report(report)
        self._summaries.append(summary)
        self.latest.put(Progress(summary, report.volumes, report.view_counts, self._n_classes))
