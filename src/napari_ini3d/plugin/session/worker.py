"""A run in a worker thread, as the window sees it; no Qt here.

It is asked by flags and heard through a mailbox, and it never raises: what went wrong is a
value. (A worker of napari swallows some errors in silence, and does not close a generator that
it stops half-way.) The computation never waits for the window.
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
from napari_ini3d.runs import IterationSummary, RunFolder

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_ini3d.engine import IterationReport

Stop = Callable[[], bool]
Start = Callable[[Stop], Iterator["IterationReport"]]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the window is told about an iteration.

    Attributes
    ----------
    summary : IterationSummary
    volumes : (K, n, n, n) float32
        Maps, (z, y, x).
    view_counts : (K, M) float32
        Particles per viewing direction, as in `IterationReport`.
    n_classes : int
        Of the whole run; at first there may be fewer maps.
    dropped : int
        Iterations since the last one told, whose maps were not shown.
    """

    summary: IterationSummary
    volumes: FloatArray
    view_counts: FloatArray
    n_classes: int = 1
    dropped: int = 0

    def with_dropped(self, dropped: int) -> Self:
        """Return a copy that knows how many were dropped before it."""
        return replace(self, dropped=dropped)


class BackgroundRun:
    """Walks through a run in a thread of its own.

    Parameters
    ----------
    start : callable
        Takes the function by which the engine is stopped, and returns the iterations, as
        `jobs.start_run` and `jobs.resume_run` do; called in the thread.
    folder : Path
        Of the run.
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
        return f"the initial model in {self.folder}"  # as napari asks before it closes

    @property
    def stopping(self) -> bool:
        """True once a stop was asked for."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the run after the iteration in hand, with its results written."""
        self._stop.set()
        self._going.set()

    def pause(self) -> None:
        """Hold the run after the iteration in hand; its memory stays taken."""
        self._going.clear()

    def unpause(self) -> None:
        """Let a held run go on."""
        self._going.set()

    def take_summaries(self) -> list[IterationSummary]:
        """Return the summaries that have come since the last time; none is ever dropped."""
        taken = []
        while self._summaries:
            taken.append(self._summaries.popleft())
        return taken

    def __call__(self) -> None:
        """Do the run; called in the thread."""
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
        """Tell what a resumed run had done before its first new iteration."""
        folder = RunFolder.open(self.folder)
        self._n_classes = folder.read_record().settings.classes
        lines = [line for line in folder.read_progress() if line["iteration"] < iteration]
        self._summaries.extend(IterationSummary.from_json(line) for line in lines)

    def _publish(self, report: IterationReport) -> None:
        summary = IterationSummary.from_report(report)
        self._summaries.append(summary)
        self.latest.put(Progress(summary, report.volumes, report.view_counts, self._n_classes))
