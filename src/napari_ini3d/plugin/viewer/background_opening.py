"""Opening of files and samples that take long, in a thread; layers appear when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np
from napari import current_viewer
from qtpy.QtCore import QObject, QThread
from qtpy.QtWidgets import QApplication, QProgressDialog

from napari_ini3d.plugin import METADATA_KEY, LayerData
from napari_ini3d.plugin.viewer.connections import PerViewer
from napari_ini3d.plugin.viewer.map_layers import add_layers, prepare_for_opened_maps
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.plugin.viewer.task_runner import Task, TaskRunner

Read = Callable[[Task], Sequence[LayerData]]

_AFTER_MS = 400  # shorter waits need no window with a bar


class BackgroundOpening(QObject):
    """Reads layers in threads and adds them to a viewer.

    A small window, which does not block the others, shows the progress and has *Cancel*.

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

    def start(self, title: str, read: Read, *, steps: int = 1) -> None:
        """Read layers in a thread, then add them; errors are shown as notifications.

        Parameters
        ----------
        title : str
            Such as ``Reading particles.star``.
        read : callable
            Takes the task, and returns the layers; must not touch the viewer or Qt.
        steps : int
            Number of steps of the task; 1 if its progress is not known.
        """
        runner = TaskRunner(self)
        self._runners = [*(found for found in self._runners if found.busy), runner]
        viewer = self._viewer()
        reading = f"{title} …"
        if viewer is not None:
            viewer.status = reading

        window = _progress_window(title, known=steps > 1)
        window.canceled.connect(runner.cancel)

        def show() -> None:
            if runner.busy:
                window.setLabelText(f"{title}\n{runner.text}" if steps > 1 else runner.text)
                window.setValue(round(100 * runner.share) if steps > 1 else 0)
            else:
                runner.changed.disconnect(show)
                self._clear_status(reading)
                window.canceled.disconnect(runner.cancel)  # closing it is no cancellation
                window.close()
                window.deleteLater()
                self._remove_placeholders(title)

        runner.changed.connect(show)
        runner.start(Task(title, steps), read, self._add)

    def _add(self, layers: Sequence[LayerData]) -> None:
        viewer = self._viewer()
        if viewer is not None:
            prepare_for_opened_maps(viewer, layers)
            add_layers(viewer, layers)

    def _remove_placeholders(self, title: str) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        for layer in [*viewer.layers]:
            if get_metadata(layer, "opening") == title:
                viewer.layers.remove(layer)

    def _clear_status(self, reading: str) -> None:
        """Take a text off the status bar after its reading has ended, also by an error."""
        viewer = self._viewer()
        if viewer is not None and viewer.status == reading:
            viewer.status = "Ready"


def _progress_window(title: str, *, known: bool) -> QProgressDialog:
    """Return a window with a bar and *Cancel*, which is shown after a moment."""
    window = QProgressDialog(title, "Cancel", 0, 100 if known else 0, QApplication.activeWindow())
    window.setWindowTitle("ini3D")
    window.setAutoClose(False)
    window.setAutoReset(False)
    window.setMinimumDuration(_AFTER_MS)
    return window


_openings = PerViewer(BackgroundOpening)


def placeholder_layer(title: str) -> LayerData:
    """Return an empty layer that stands for those that are being read, until they are there.

    Napari takes an opening that returns no layer for a failure.

    Parameters
    ----------
    title : str
        That of `open_in_background`.
    """
    keywords = {
        "name": f"{title} …",
        "ndim": 2,
        "units": ("angstrom",) * 2,
        "metadata": {METADATA_KEY: {"kind": "placeholder", "opening": title}},
    }
    return np.empty((0, 2)), keywords, "points"


def open_in_background(title: str, read: Read, *, steps: int = 1) -> bool:
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
    BackgroundOpening.of(viewer).start(title, read, steps=steps)
    return True


def is_in_event_loop() -> bool:
    """Tell whether this is called by an event of a window, not by a script."""
    thread = QThread.currentThread()
    return thread is not None and thread.loopLevel() > 0
