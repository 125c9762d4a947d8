"""Dock *Export*: what the viewer shows, as a figure, as a movie, or in ChimeraX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.errors import Ini3dError, InputError
from napari_ini3d.plugin.export.chimerax_scene import Scene, open_in_chimerax
from napari_ini3d.plugin.export.figure import is_drawing, take_picture
from napari_ini3d.plugin.export.folders import export_folder
from napari_ini3d.plugin.export.movie import MovieRecorder
from napari_ini3d.plugin.export.window import (
    ReadLayers,
    collect_window,
    dock_layout,
    missing_layers,
    open_docks,
    read_missing,
    restore_docks,
    restore_layout,
    restore_window,
)
from napari_ini3d.plugin.session import RunSession, run_of_window
from napari_ini3d.plugin.viewer import (
    FittingWidget,
    Task,
    TaskRunner,
    main_window_of,
    make_flow,
    make_scrollable,
    make_text_label,
    set_tooltip,
    unwrap_proxy,
    with_ending,
)
from napari_ini3d.report import check_movie_path, save_scene_figure
from napari_ini3d.runs import (
    WINDOW_NAME,
    RunFolder,
    WindowState,
    read_window_state,
    write_window_state,
)

if TYPE_CHECKING:
    import napari

_WAIT_MS = 50
_FIGURES = "Figure (*.png *.svg)"
_MOVIES = "Movie (*.mp4 *.gif)"


class ExportWidget(FittingWidget):
    """The dock *Export*.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = unwrap_proxy(napari_viewer)
        self._viewer: ReferenceType[Any] = ref(real)
        self.tasks = TaskRunner(self)
        self.recorder = MovieRecorder(real, self)
        self._figure_path = Path()
        self._drawn = QTimer(self)  # until the maps are drawn
        self._drawn.setSingleShot(True)
        self._drawn.setInterval(_WAIT_MS)
        self._drawn.timeout.connect(lambda: self.save_figure(self._figure_path))
        self.figure = QPushButton("Save figure …")
        self.movie = QPushButton("Save movie …")
        self.cancel = QPushButton("Cancel")
        self.fps = QDoubleSpinBox()
        self.every = QSpinBox()
        self.bar = QProgressBar()
        self.chimerax = QPushButton("Open in ChimeraX")
        self.copy = QPushButton("Copy as commands")
        self.save_window = QPushButton("Save session")
        self.restore_window = QPushButton("Restore session …")
        self.status = make_text_label()
        self._writing = (
            self.figure,
            self.movie,
            self.chimerax,
            self.copy,
            self.save_window,
            self.restore_window,
        )
        self._lay_out()
        self._explain()
        self._connect()
        self.refresh()

    def refresh(self) -> None:
        """Show whether a movie is being recorded, or files are being written."""
        recording, working = self.recorder.busy, self.tasks.busy
        for button in self._writing:
            button.setEnabled(not recording and not working)
        self.cancel.setEnabled(recording or working)
        self.bar.setVisible(recording or working)
        if working:
            self.bar.setRange(0, 100)
            self.bar.setValue(round(100 * self.tasks.share))
            self.bar.setFormat(self.tasks.text)

    def save_figure(self, path: Path) -> None:
        """Save a figure, as soon as the maps are drawn; errors are shown as notifications."""
        viewer = self._viewer()
        if viewer is None:
            return
        if is_drawing(viewer):
            self._figure_path = path
            self._drawn.start()
        elif self._try(lambda: save_scene_figure(take_picture(viewer), path)):
            self.status.setText(f"Saved {path}")

    def save_movie(self, path: Path) -> None:
        """Start a movie of the run that is shown; errors are shown as notifications."""

        def start() -> None:
            check_movie_path(path)
            self.recorder.start(path, fps=self.fps.value(), every=self.every.value())

        if self._try(start):
            self.status.setText("Recording. The camera stays as it was at the start.")
        self.refresh()

    def save_session(self) -> None:
        """Save what is shown with the run; errors are shown as notifications."""
        viewer = self._viewer()
        if viewer is None:
            return

        def save() -> None:
            folder = run_of_window(viewer)
            if folder is None:
                raise InputError(
                    "no run is shown; open one first: a session is saved in the folder of its run"
                )
            state, left_out = collect_window(viewer, folder)
            docks, layout = open_docks(viewer), dock_layout(main_window_of(self))
            state = replace(state, docks=docks, layout=layout)
            path = write_window_state(RunFolder(folder), state)
            text = f"Saved {path}."
            if left_out:
                text += f" Left out, because no file holds them: {', '.join(left_out)}."
            self.status.setText(text)

        self._try(save)

    def restore_session(self, folder: Path) -> None:
        """Show what was saved with a run, read in a thread; errors are shown as notifications."""
        viewer, folder = self._viewer(), folder.absolute()
        if viewer is None:
            return

        def restore() -> None:
            state, session = read_window_state(RunFolder.open(folder)), RunSession.of(viewer)
            missing = missing_layers(viewer, folder, state)
            if any(layer.path == "." for layer in missing) and not session.busy:
                session.reopen(folder)  # as the run of the window, with its captions
                missing = missing_layers(viewer, folder, state)
            self.status.setText(f"Restoring {folder / WINDOW_NAME} …")
            self.tasks.start(
                Task("Restoring the session", len(missing) + 1),
                lambda task: read_missing(folder, missing, task.step),
                lambda read: self._show_session(folder, state, read),
            )

        self._try(restore)

    def _show_session(self, folder: Path, state: WindowState, read: ReadLayers) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        problems = restore_window(viewer, folder, state, read)
        problems += restore_docks(viewer, state.docks)
        problems += restore_layout(main_window_of(self), state.layout)
        text = f"Restored {folder / WINDOW_NAME}."
        if problems:
            text += f" Left out: {'; '.join(problems)}."
        self.status.setText(text)

    def _on_figure(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save figure", "figure.png", _FIGURES)
        if name:
            self.save_figure(with_ending(name, ".png", keep_others=True))

    def _on_movie(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save movie", "convergence.mp4", _MOVIES)
        if name:
            self.save_movie(with_ending(name, ".mp4", keep_others=True))

    def _on_chimerax(self) -> None:
        def then(path: Path) -> None:
            if open_in_chimerax(path):
                self.status.setText(f"Opened in ChimeraX: {path}")
                return
            self.status.setText(
                f"ChimeraX was not found on this machine. Open {path} in ChimeraX; to use it on "
                f"another machine, copy the folder {path.parent}. If ChimeraX is here, set its "
                "path in napari's Preferences (ini3D, Programs)."
            )

        self._write("Writing the maps", lambda scene, folder: scene.write(folder), then)

    def _on_copy(self) -> None:
        def then(text: str) -> None:
            QApplication.clipboard().setText(text)
            self.status.setText(
                f"Copied {len(text.splitlines())} lines. Paste them into the command line of "
                "ChimeraX on this machine."
            )

        self._write("Writing the maps", lambda scene, folder: scene.commands(folder), then)

    def _on_restore(self) -> None:
        viewer = self._viewer()
        shown = None if viewer is None else run_of_window(viewer)
        name = QFileDialog.getExistingDirectory(
            self, "Run folder of the session", "" if shown is None else str(shown)
        )
        if name:
            self.restore_session(Path(name))

    def _write(self, title: str, write: Any, then: Any) -> None:
        """Write the scene of the viewer in a thread."""
        viewer = self._viewer()
        if viewer is None:
            return

        def start() -> None:
            scene, folder = Scene.of(viewer), export_folder(viewer, "chimerax")
            self.status.setText(f"{title} to {folder} …")
            self.tasks.start(Task(title), lambda _: write(scene, folder), then)

        self._try(start)

    def _try(self, action: Any) -> bool:
        try:
            action()
        except Ini3dError as error:
            show_error(str(error))
            return False
        return True

    def _on_cancel(self) -> None:
        if self.tasks.busy:
            self.tasks.cancel()
            self.status.setText("Cancelled.")
        self.recorder.cancel()

    def _on_progress(self, done: int, total: int) -> None:
        self.bar.setFormat("%v of %m frames")
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.refresh()

    def _on_finished(self, path: Path) -> None:
        self.status.setText(f"Saved {path}")
        self.refresh()

    def _on_failed(self, reason: str) -> None:
        self.status.setText(reason or "Cancelled. No movie was written.")
        self.refresh()

    def _connect(self) -> None:
        self.figure.clicked.connect(self._on_figure)
        self.movie.clicked.connect(self._on_movie)
        self.cancel.clicked.connect(self._on_cancel)
        self.chimerax.clicked.connect(self._on_chimerax)
        self.copy.clicked.connect(self._on_copy)
        self.save_window.clicked.connect(self.save_session)
        self.restore_window.clicked.connect(self._on_restore)
        self.tasks.changed.connect(self.refresh)
        self.recorder.progressed.connect(self._on_progress)
        self.recorder.finished.connect(self._on_finished)
        self.recorder.failed.connect(self._on_failed)

    def _lay_out(self) -> None:
        self.fps.setRange(1, 60)
        self.fps.setValue(10)
        self.fps.setDecimals(0)
        self.fps.setSuffix(" fps")
        self.every.setRange(1, 100)
        self.every.setPrefix("every ")
        figure, movie, chimerax = QGroupBox("Figure"), QGroupBox("Movie"), QGroupBox("ChimeraX")
        QVBoxLayout(figure).addWidget(self.figure)
        form = QFormLayout(movie)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("Frame rate", self.fps)
        form.addRow("Iterations", self.every)
        form.addRow(self.movie)
        QVBoxLayout(chimerax).addLayout(make_flow(self.chimerax, self.copy))
        session = QGroupBox("Session")
        QVBoxLayout(session).addLayout(make_flow(self.save_window, self.restore_window))
        page = QWidget()
        QVBoxLayout(self).addWidget(make_scrollable(page))
        layout = QVBoxLayout(page)
        for box in (figure, movie, chimerax, session):
            layout.addWidget(box)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel, alignment=Qt.AlignmentFlag.AlignRight)
        layout.addLayout(row)
        layout.addWidget(self.status)
        layout.addStretch(1)

    def _explain(self) -> None:
        for widget, text in (
            (
                self.figure,
                "Save what is shown as PNG or SVG, with a scale bar (Å), the directions of X, Y "
                "and Z, and the levels of the maps (σ).",
            ),
            (
                self.movie,
                "Save the iterations of the run that is shown as MP4 or GIF, at this camera and "
                "this level (σ), with iteration and resolution (Å) as a caption.",
            ),
            (
                self.cancel,
                "Cancel what is being done. A movie that is being recorded is not written.",
            ),
            (self.fps, "Frames per second."),
            (self.every, "Record every n-th iteration, and the last one."),
            (
                self.chimerax,
                "Write the maps that are shown, their levels and axes, and the view to a folder, "
                "and open it in ChimeraX.",
            ),
            (
                self.copy,
                "Write the maps and axes to a folder, and copy the commands that open them in "
                "ChimeraX.",
            ),
            (
                self.save_window,
                "Save layers, levels (σ), colours, camera, docks and where they are in the folder "
                f"of the run ({WINDOW_NAME}).",
            ),
            (
                self.restore_window,
                "Show what was saved with a run; other layers are hidden.",
            ),
        ):
            set_tooltip(widget, text)
