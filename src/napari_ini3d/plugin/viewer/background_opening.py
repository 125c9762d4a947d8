"""Opening of files and samples that take long, in a thread; layers appear when they are read."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from napari import current_viewer
from napari.utils import progress
from qtpy.QtCore import QObject, QThread

from napari_ini3d.plugin import LayerData
from napari_ini3d.plugin.viewer.connections import PerViewer
from napari_ini3d.plugin.viewer.map_layers import add_layers
from napari_ini3d.plugin.viewer.task_runner import Task, TaskRunner

Read = Callable[[], Sequence[LayerData]]


class BackgroundOpening(QObject):
    """Reads layers in threads and adds them to a viewer, with a bar in the Activity dock.

    Parameters
    ----------
    viewer : napari viewer
        Itself, not a proxy.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._runners: list[TaskRunner] = []

    @classmethod
    def of(cls, viewer: Any) -> BackgroundOpening:
        """Return that of a viewer; the same object each time."""
        return _openings.of(viewer)

    @property
    def busy(self) -> bool:
        """True while something is read."""
        return any(runner.busy for runner in self._runners)

    def start(self, title: str, read: Read) -> None:
        """Read layers in a thread, then add them; errors are shown as notifications.

        Parameters
        ----------
        title : str
            Such as ``Reading particles.star``.
        read : callable
            Returns the layers; must not touch the viewer or Qt.
        """
        bar = progress(total=0, desc=title, file=io.StringIO())
        runner = TaskRunner(self)
        self._runners = [*(found for found in self._runners if found.busy), runner]
        viewer = self._viewer()
        reading = f"{title} …"
        if viewer is not None:
            viewer.status = reading

        def end() -> None:
            if not runner.busy:
                bar.close()
                self._clear_status(reading)

        runner.changed.connect(end)
        runner.start(Task(title), lambda _: read(), self._add)

    def _add(self, layers: Sequence[LayerData]) -> None:
        viewer = self._viewer()
        if viewer is not None:
            add_layers(viewer, layers)

    def _clear_status(self, reading: str) -> None:
        """Take a text off the status bar after its reading has ended, also by an error."""
        viewer = self._viewer()
        if viewer is not None and viewer.status == reading:
            viewer.status = "Ready"


_openings = PerViewer(BackgroundOpening)


def open_in_background(title: str, read: Read) -> bool:
    """Open layers in the current window without making it wait, if it can be done.

    A script that opens a file expects its layers at once; only in the event loop of a window, as
    after a drop, they may come later.

    Returns
    -------
    bool
        False if there is no window, or no event loop; the caller then reads.
    """
    viewer = current_viewer()
    if viewer is None or not is_in_event_loop():
        return False
    BackgroundOpening.of(viewer).start(title, read)
    return True


def is_in_event_loop() -> bool:
    """Tell whether this is called by an event of a window, not by a script."""
    thread = QThread.currentThread()
    return thread is not None and thread.loopLevel() > 0
