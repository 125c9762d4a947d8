"""Movie of the convergence: the iterations of a run at one camera and level.

A frame takes as long as the map takes to be drawn. In between, the window handles events, so that
the movie can be cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ini3d.errors import Ini3dError, InputError, explain
from napari_ini3d.plugin import METADATA_KEY
from napari_ini3d.plugin.export.figure import canvas_pixels, is_drawing
from napari_ini3d.plugin.session import RunSession, run_folder_of
from napari_ini3d.plugin.viewer import (
    caption_of,
    get_metadata,
    level_in_sigma,
    show_iteration,
    shown_iteration,
)
from napari_ini3d.report import MovieFile, write_caption
from napari_ini3d.runs import RunFolder, read_summaries

if TYPE_CHECKING:
    import napari

_WAIT_MS = 20


class MovieRecorder(QObject):
    """Records the iterations of the run that a viewer shows.

    Signals
    -------
    progressed : int, int
        Number of frames that are done, and of all.
    finished : Path
        The movie is written.
    failed : str
        Why it is not written; empty if it was cancelled.
    """

    progressed = Signal(int, int)
    finished = Signal(object)
    failed = Signal(str)

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = ref(viewer)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._guarded_step)
        self._movie: MovieFile | None = None
        self._path = Path()
        self._iterations: list[int] = []
        self._done = 0
        self._asked: int | None = None  # the iteration that is being drawn
        self._restore: Callable[[], None] = lambda: None
        self._camera: dict[str, Any] = {}
        self._resolution: dict[int, list[float]] = {}

    @property
    def busy(self) -> bool:
        """True while a movie is being recorded."""
        return self._movie is not None

    def start(self, path: Path, *, fps: float, every: int = 1) -> None:
        """Start a movie of the run that is shown.

        Parameters
        ----------
        path : Path
            Ends with .mp4 or .gif.
        fps : float
            Frames per second.
        every : int
            Only every so many iterations, and the last one.

        Raises
        ------
        Ini3dError
            If no run with iterations is shown, or the movie cannot be written.
        """
        viewer: Any = self._viewer()
        if viewer is None or self.busy:
            return
        try:
            self._prepare(viewer, path, fps, every)
        except Exception:
            self._show_before()
            raise
        camera = viewer.scene.camera
        self._camera = {name: getattr(camera, name) for name in ("angles", "center", "zoom")}
        self.progressed.emit(0, len(self._iterations))
        self._timer.start()

    def cancel(self) -> None:
        """Stop, and delete what was written."""
        self._end("")

    def _prepare(self, viewer: Any, path: Path, fps: float, every: int) -> None:
        layers = self._show_run(viewer)
        folder = run_folder_of(layers[0])
        if folder is None:
            raise InputError("the folder of the run is unknown; open it again")
        summaries = read_summaries(RunFolder(folder))
        self._resolution = {found.iteration: found.resolution for found in summaries}
        iterations: list[int] = get_metadata(layers[0], "iterations")
        self._iterations = [*iterations[:-1:every], iterations[-1]]
        self._movie = MovieFile(path, fps)
        self._path, self._done, self._asked = path, 0, None

    def _show_run(self, viewer: Any) -> list[Image]:
        """Show the iterations of a run, and return their layers, one for each class."""
        layers = _run_layers(viewer)
        session = RunSession.of(viewer)
        if layers:
            before = shown_iteration(viewer, layers[0])
            self._restore = lambda: _show_again(viewer, layers[0], before)
            return layers
        if session.run_folder is None:
            raise InputError("no run is shown; open a run folder, or show a run of the list Runs")
        self._restore = session.layers.show_newest
        session.layers.show_history()
        layers = _run_layers(viewer)
        if not layers:
            raise InputError(
                f"{session.run_folder.name} has no iterations yet; wait for the first one"
            )
        return layers

    def _guarded_step(self) -> None:
        try:
            self._step()
        except (Ini3dError, OSError) as error:
            self._end(str(error))
        except Exception as error:
            self._end(explain(error))
            raise

    def _step(self) -> None:
        """Ask for the next iteration; when it is drawn, record it."""
        viewer: Any = self._viewer()
        layers = [] if viewer is None else _run_layers(viewer)
        if self._movie is None:
            return
        if not layers:
            self._end("the run is not shown any more; the movie is not written")
            return
        wanted = self._iterations[self._done]
        if self._asked != wanted:
            self._asked = wanted
            show_iteration(viewer, layers[0], wanted)
        elif not is_drawing(viewer):
            for name, value in self._camera.items():
                setattr(viewer.scene.camera, name, value)
            frame = write_caption(canvas_pixels(viewer), self._caption(layers, wanted))
            self._movie.add(frame)
            self._done += 1
            self.progressed.emit(self._done, len(self._iterations))
            if self._done == len(self._iterations):
                self._movie.finish()
                self._end(None)
                return
        self._timer.start()

    def _caption(self, layers: list[Image], iteration: int) -> str:
        resolution = self._resolution.get(iteration, [])
        several = len(layers) > 1
        shown = {}
        for layer in layers:
            k = int(get_metadata(layer, "class_index"))
            value = resolution[k] if k < len(resolution) else math.nan
            shown[f"class {k + 1}" if several else ""] = value
        folder = run_folder_of(layers[0])
        name = "" if folder is None else folder.name
        return f"{caption_of(name, iteration, shown)} · level {level_in_sigma(layers[0]):.1f} σ"

    def _end(self, failure: str | None) -> None:
        """Show what was shown before; None if the movie is complete."""
        movie, self._movie = self._movie, None
        self._timer.stop()
        if movie is None:
            return
        if failure is not None:
            movie.abandon()
        self._show_before()
        if failure is None:
            self.finished.emit(self._path)
        else:
            self.failed.emit(failure)

    def _show_before(self) -> None:
        restore, self._restore = self._restore, lambda: None
        restore()


def _run_layers(viewer: Any) -> list[Image]:
    """Return the visible layers with the iterations of one run."""
    layers = [
        layer
        for layer in viewer.layers
        if layer.visible and run_folder_of(layer) and layer.metadata[METADATA_KEY]["iterations"]
    ]
    return [layer for layer in layers if run_folder_of(layer) == run_folder_of(layers[0])]


def _show_again(viewer: Any, layer: Image, iteration: int) -> None:
    if layer in viewer.layers:
        show_iteration(viewer, layer, iteration)
