"""Tasks that take seconds, run in a thread, one at a time.

Errors are shown as notifications. A computation cannot be interrupted within a step: a cancelled
task is abandoned at once, and its result is discarded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from napari.qt.threading import FunctionWorker, create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QThreadPool, QTimer, Signal

from napari_ini3d.errors import Ini3dError, explain

_TICK_MS = 500
_THREADS = 32  # more than there are tasks at a time


class Cancelled(Ini3dError):
    """The user has cancelled the task."""


class Task:
    """A task, with its progress and result.

    Parameters
    ----------
    title : str
        Shown to the user.
    steps : int
        Number of steps.
    """

    def __init__(self, title: str, steps: int = 1) -> None:
        self.title = title
        self.steps = steps
        self.done = 0
        self.text = title
        self.ended = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """True after `cancel`."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the task at its next step."""
        self._cancelled.set()

    def step(self, text: str) -> None:
        """Start a step, unless the task was cancelled.

        Raises
        ------
        Cancelled
        """
        if self.cancelled:
            raise Cancelled(f"{self.title} was cancelled")
        self.text = text
        self.done += 1


def allow_threads() -> None:
    """Let tasks run beside each other, however few cores there are.

    Qt starts only as many threads of workers as there are cores. The thread that follows a run and
    a search for symmetry would take two, and meshes would wait for their end.
    """
    pool = QThreadPool.globalInstance()
    if pool is not None and pool.maxThreadCount() < _THREADS:
        pool.setMaxThreadCount(_THREADS)


class _Job:
    """Runs a task in the thread; it never raises."""

    def __init__(self, task: Task, work: Callable[[Task], Any]) -> None:
        self.task = task
        self._work: Callable[[Task], Any] | None = work

    def __repr__(self) -> str:
        return self.task.title  # shown by napari before it closes

    def __call__(self) -> None:
        work, self._work = self._work, None
        try:
            if work is not None:
                self.task.result = work(self.task)
        except BaseException as error:
            self.task.error = error
        self.task.ended = True


class _Worker(FunctionWorker):
    """A worker whose `quit`, which napari calls when a window closes, cancels the task."""

    def __init__(self, job: _Job) -> None:
        super().__init__(job)
        self._task = job.task

    def quit(self) -> None:
        """Cancel the task."""
        self._task.cancel()


class TaskRunner(QObject):
    """Runs one task at a time, and reports its progress.

    Signals
    -------
    changed
        A task has started, progressed or ended; see `busy`, `text` and `share`.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None, *, quiet: bool = False) -> None:
        super().__init__(parent)
        self._quiet = quiet  # errors are not shown as notifications
        self.error: BaseException | None = None
        self._task: Task | None = None
        self._then: Callable[[Any], None] | None = None
        self._since = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self.changed)

    @property
    def busy(self) -> bool:
        """True while a task is running."""
        return self._task is not None

    @property
    def text(self) -> str:
        """The current step, and the elapsed time."""
        if self._task is None:
            return ""
        return f"{self._task.text} … {time.monotonic() - self._since:.0f} s"

    @property
    def share(self) -> float:
        """Fraction of the steps that are done."""
        if self._task is None:
            return 0.0
        return max(self._task.done - 0.5, 0.1) / max(self._task.steps, self._task.done, 1)

    def start(self, task: Task, work: Callable[[Task], Any], then: Callable[[Any], None]) -> None:
        """Run `work` in a thread, and pass its result to `then` in this one.

        Parameters
        ----------
        task : Task
        work : callable
            Takes the task; must not touch layers, the viewer or Qt.
        then : callable
            Not called if the task failed or was cancelled.
        """
        self.cancel()
        self._task, self._then, self.error = task, then, None
        self._since = time.monotonic()
        worker: Any = create_worker(_Job(task, work), _worker_class=_Worker)
        worker.finished.connect(self._check)
        allow_threads()
        self._timer.start()
        worker.start()
        self.changed.emit()

    def cancel(self) -> None:
        """Cancel the current task."""
        if self._task is not None:
            self._task.cancel()
            self._end()

    def _check(self) -> None:
        """Finish the current task if it has ended."""
        task, then = self._task, self._then
        if task is None or not task.ended:
            return
        self._end()
        if task.cancelled:
            return
        if task.error is not None:
            self._fail(task, task.error)
        elif then is not None:
            self._deliver(task, then)
        self.changed.emit()

    def _deliver(self, task: Task, then: Callable[[Any], None]) -> None:
        try:
            then(task.result)
        except Ini3dError as error:
            self._fail(task, error)

    def _fail(self, task: Task, error: BaseException) -> None:
        self.error = error
        if self._quiet:
            return
        show_error(f"{task.title} failed.\n{explain(error)}")

    def _end(self) -> None:
        self._timer.stop()
        self._task = self._then = None
        self.changed.emit()
