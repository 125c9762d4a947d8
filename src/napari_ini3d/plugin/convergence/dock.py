"""Dock *Convergence*: plots of a run while it is running and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from napari.utils.notifications import show_error
from qtpy.QtCore import QSignalBlocker, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.errors import Ini3dError, RunFolderError
from napari_ini3d.plugin.convergence.angular_distribution import AngularDistribution
from napari_ini3d.plugin.convergence.explanations import EXPLANATIONS
from napari_ini3d.plugin.convergence.export import ExportButton
from napari_ini3d.plugin.convergence.iteration_plots import ConvergencePlots
from napari_ini3d.plugin.convergence.map_slices import MapPictures
from napari_ini3d.plugin.convergence.panel import Panel
from napari_ini3d.plugin.convergence.region import show_particles_on_click
from napari_ini3d.plugin.convergence.shell_plots import ShellPanel
from napari_ini3d.plugin.session import (
    ALL_CLASSES,
    RunSession,
    RunView,
    describe_iteration,
    describe_run,
    iteration_on_slider,
    layer_of_run,
    read_run,
    run_folder_of,
    run_folders,
    short_name,
    show_run_iteration,
    view_of_session,
)
from napari_ini3d.plugin.viewer import (
    FittingWidget,
    PlotStyle,
    connect_to_viewer,
    make_flow,
    make_scrollable,
    make_tabs,
    unwrap_proxy,
)

if TYPE_CHECKING:
    import napari

_UPDATE_MS = 250  # shortest interval between updates of the plots
_POLL_MS = 2000  # interval at which a run that was started elsewhere is read
_EMPTY = (
    "After the first iteration, this dock shows resolution, map change and other values per "
    "iteration, FSC and SSNR, the angular distribution, slices and projections.<br><br>Hover over "
    "a plot to read values. Click to show that iteration in the viewer."
)


class ConvergenceWidget(FittingWidget):
    """The dock *Convergence*: values per iteration, FSC, orientations and slices, in tabs.

    Parameters
    ----------
    napari_viewer : napari viewer
        Its run is followed; other runs are chosen from a list, or opened from their folders.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = unwrap_proxy(napari_viewer)
        self._viewer: ReferenceType[Any] = ref(real)
        self.session = RunSession.of(napari_viewer)
        self.view = RunView()
        self._opened: list[Path] = []
        self._last_session: tuple[Path | None, bool] = (None, False)
        style = PlotStyle.of_theme(real.theme)
        self.iterations, self.shells = ConvergencePlots(style), ShellPanel(style)
        self.sphere, self.pictures = AngularDistribution(style), MapPictures(style)
        self.panels: dict[str, Panel] = {
            "Iterations": self.iterations,
            "FSC": self.shells,
            "Orientations": self.sphere,
            "Slices": self.pictures,
        }
        self._make_controls()
        self._update_timer = self._make_timer(_UPDATE_MS, self.refresh, single=True)
        self._poll_timer = self._make_timer(_POLL_MS, self._poll)
        self._lay_out()
        for attribute, (name, text) in EXPLANATIONS.items():
            getattr(self, attribute).setAccessibleName(name)
            getattr(self, attribute).setToolTip(f"<p>{text}</p>")
        self._connect(real)
        self._list_runs()
        self._show_session_run()

    # -- what is shown ----------------------------------------------------------------------

    @property
    def folder(self) -> Path | None:
        """Folder of the run that is shown."""
        chosen = self.runs.currentData()
        return None if chosen is None else Path(chosen)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the canvas on a small screen."""
        return QSize(400, 600)

    def show_folder(self, folder: Path) -> None:
        """Show the run in a folder, and add it to the list."""
        folder = folder.absolute()
        if folder not in self._opened:
            self._opened.append(folder)
        self._list_runs(choose=folder)

    def choose_iteration(self, iteration: int | None) -> None:
        """Show an iteration in the plots; None for the newest."""
        newest = self.view.summaries[-1].iteration if self.view.summaries else None
        chosen = None if iteration is None or iteration == newest else iteration
        if chosen != self.view.chosen:
            self._show(self.view.with_changes(chosen=chosen))

    def show_in_viewer(self, iteration: int | None = None) -> None:
        """Show an iteration in the viewer; by default the chosen one."""
        viewer, folder, shown = self._viewer(), self.view.folder, self.view.shown
        if viewer is None or folder is None or shown is None:
            return
        wanted = shown.iteration if iteration is None else iteration
        self.choose_iteration(wanted)
        try:
            found = show_run_iteration(viewer, self.session, folder, wanted)
        except Ini3dError as error:
            show_error(str(error))
            return
        if found != wanted:
            self._show_reading(
                f"Iteration {wanted} has no map; the viewer shows iteration {found}."
            )
        self._list_runs()

    def refresh(self) -> None:
        """Read the run again, and show it."""
        chosen, class_index = self.view.chosen, self.view.class_index
        self._show(self._read().with_changes(chosen=chosen, class_index=class_index))

    def _read(self) -> RunView:
        folder = self.folder
        if folder is None:
            return RunView()
        if folder == self.session.run_folder:
            return view_of_session(self.session)
        try:
            return read_run(folder)
        except RunFolderError as error:
            return RunView(folder=folder, error=error)

    def _show(self, view: RunView) -> None:
        """Show a run in the status line, the controls and the panels."""
        if view.class_index >= view.n_classes:
            view = view.with_changes(class_index=ALL_CLASSES)
        self.view = view
        self.sentence.setText(describe_run(view))
        self._show_slider()
        self._show_classes()
        self._show_reading("")
        self._keep_room_for_reading()
        for panel in self.panels.values():
            panel.show_run(view)
        for widget in (self.tabs, self.reading, self.below):
            widget.setVisible(bool(view.summaries))
        self.empty.setVisible(not view.summaries)
        self._update_polling()

    def _keep_room_for_reading(self) -> None:
        """Reserve the height of the longest text, or the plots would move under the mouse."""
        lines = 3 if self.view.n_classes < 2 else 4  # of the values under the mouse
        self.reading.setMinimumHeight(lines * self.reading.fontMetrics().lineSpacing())
        self.reading.setMinimumHeight(max(self.reading.heightForWidth(self.reading.width()), 0))

    def _show_reading(self, text: str) -> None:
        """Show the values under the mouse, or else those of the shown iteration."""
        shown = self.view.shown
        if text:
            self.reading.setText(text)
        elif shown is not None:
            newest = self.view.chosen is None
            self.reading.setText(f"{describe_iteration(shown)}{' (newest)' if newest else ''}")
        else:
            self.reading.setText("")

    def _show_slider(self) -> None:
        iterations = [summary.iteration for summary in self.view.summaries]
        with QSignalBlocker(self.slider):
            self.slider.setEnabled(len(iterations) > 1)
            self.slider.setRange(min(iterations, default=0), max(iterations, default=0))
            shown = self.view.shown
            self.slider.setValue(0 if shown is None else shown.iteration)
        self.number.setText("" if shown is None else f"Iteration {shown.iteration}")

    def _show_classes(self) -> None:
        n = self.view.n_classes
        self.classes.setVisible(n > 1)
        if self.classes.count() != n + 1:
            with QSignalBlocker(self.classes):
                self.classes.clear()
                self.classes.addItem("All classes", ALL_CLASSES)
                for k in range(n):
                    self.classes.addItem(f"Class {k + 1}", k)
        with QSignalBlocker(self.classes):
            self.classes.setCurrentIndex(self.classes.findData(self.view.class_index))

    # -- which run --------------------------------------------------------------------------

    def _list_runs(self, choose: Path | None = None) -> None:
        """List the run of the viewer, those among its layers, and those opened here."""
        viewer = self._viewer()
        own = [] if self.session.run_folder is None else [self.session.run_folder]
        layers = [] if viewer is None else run_folders(viewer.layers)
        folders = list(dict.fromkeys([*own, *layers, *self._opened]))
        wanted = choose or self.folder
        with QSignalBlocker(self.runs):
            self.runs.clear()
            for folder in folders:
                is_own = self.session.busy and folder in own
                self.runs.addItem(f"{short_name(folder)}{' (running)' if is_own else ''}")
                self.runs.setItemData(self.runs.count() - 1, str(folder))
                tip = Qt.ItemDataRole.ToolTipRole
                self.runs.setItemData(self.runs.count() - 1, str(folder), tip)
            place = folders.index(wanted) if wanted in folders else 0
            self.runs.setCurrentIndex(place if folders else -1)
        self.runs.setEnabled(bool(folders))
        if self.folder != self.view.folder:
            self._change_run()

    def _change_run(self) -> None:
        """Show the newest iteration of the run chosen in the list."""
        class_index = self.view.class_index
        self._show(self._read().with_changes(class_index=class_index))

    def _show_session_run(self) -> None:
        """Show the run of the viewer when it starts, or when another one was opened."""
        folder, busy = self.session.run_folder, self.session.busy
        last_folder, was_busy = self._last_session
        is_new = folder != last_folder or (busy and not was_busy)
        self._last_session = (folder, busy)
        if folder is not None and is_new:
            self._list_runs(choose=folder)
        else:
            self._list_runs()
        self.refresh()

    def _on_state(self, _state: str) -> None:
        self._show_session_run()

    def _on_progress(self, _progress: object) -> None:
        if self.folder == self.session.run_folder and not self._update_timer.isActive():
            self._update_timer.start()

    def _on_layer(self, event: Any) -> None:
        folder = run_folder_of(event.value)
        if folder is not None:
            self._list_runs(choose=None if self.session.busy else folder)

    def _on_slider_of_viewer(self, _event: Any) -> None:
        viewer, folder = self._viewer(), self.view.folder
        if viewer is None or folder is None:
            return
        layer = layer_of_run(viewer, folder)
        if layer is not None and layer.visible:
            self.choose_iteration(iteration_on_slider(viewer, layer))

    def _on_class(self, _index: int) -> None:
        self._show(self.view.with_changes(class_index=self.classes.currentData()))

    def _on_open(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a run folder")
        if name:
            self.show_folder(Path(name))

    # -- a run that was started elsewhere ---------------------------------------------------

    def _poll(self) -> None:
        """Read a run that was started elsewhere, and refresh if it has new iterations."""
        view = self._read()
        if len(view.summaries) != len(self.view.summaries) or view.outcome != self.view.outcome:
            self.refresh()

    def _update_polling(self) -> None:
        foreign = self.view.folder is not None and self.view.folder != self.session.run_folder
        wanted = foreign and self.view.outcome is None and self.isVisible()
        if wanted != self._poll_timer.isActive():
            (self._poll_timer.start if wanted else self._poll_timer.stop)()

    def showEvent(self, event: object) -> None:
        """Start following runs that were started elsewhere."""
        super().showEvent(event)
        self._update_polling()

    def hideEvent(self, event: object) -> None:
        """Stop following them."""
        super().hideEvent(event)
        self._poll_timer.stop()

    # -- construction -----------------------------------------------------------------------

    def _make_controls(self) -> None:
        self.runs = QComboBox()
        self.open = QPushButton("Open …")
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setStyleSheet("QLabel { font-weight: bold; }")
        self.classes = QComboBox()
        self.tabs = make_tabs()
        for name, panel in self.panels.items():
            self.tabs.addTab(panel, name)
        self.reading = QLabel()
        self.reading.setWordWrap(True)
        self.reading.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.below = QWidget()
        self.empty = QLabel(_EMPTY)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(16)
        self.number = QLabel("Iteration –")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.viewer_button = QPushButton("Show in viewer")
        self.export = ExportButton(self.tabs.currentWidget)
        policy = QComboBox.SizeAdjustPolicy
        self.runs.setSizeAdjustPolicy(policy.AdjustToMinimumContentsLengthWithIcon)
        self.runs.setMinimumContentsLength(5)  # it takes the rest of its row
        self.classes.setSizeAdjustPolicy(policy.AdjustToContents)

    def _make_timer(self, ms: int, action: Callable[[], None], *, single: bool = False) -> QTimer:
        timer = QTimer(self)
        timer.setInterval(ms)
        timer.setSingleShot(single)
        timer.timeout.connect(action)
        return timer

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.runs, 1)
        top.addWidget(self.open)
        bottom = QGridLayout(self.below)
        bottom.setContentsMargins(0, 0, 0, 0)
        bottom.addWidget(self.number, 0, 0)
        bottom.addWidget(self.slider, 0, 1, 1, 2)
        bottom.addLayout(make_flow(self.viewer_button, self.export), 1, 0, 1, 3)
        bottom.setColumnStretch(1, 1)
        page = QWidget()
        QVBoxLayout(self).addWidget(make_scrollable(page))
        self.layout().setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(make_flow(self.classes))
        layout.addWidget(self.sentence)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.reading)
        layout.addWidget(self.below)

    def _connect(self, viewer: Any) -> None:
        self.runs.currentIndexChanged.connect(lambda _: self._change_run())
        self.classes.currentIndexChanged.connect(self._on_class)
        self.open.clicked.connect(self._on_open)
        self.slider.valueChanged.connect(self.choose_iteration)
        self.viewer_button.clicked.connect(lambda: self.show_in_viewer())
        for panel in self.panels.values():
            panel.hovered.connect(self._show_reading)
            panel.iteration_clicked.connect(self.show_in_viewer)
        show_particles_on_click(self.sphere, self._viewer)
        self.session.progressed.connect(self._on_progress)
        self.session.state_changed.connect(self._on_state)
        callbacks = {
            "layers.events.inserted": self._on_layer,
            "dims.events.point": self._on_slider_of_viewer,
            "events.theme": self._on_theme,
        }
        connect_to_viewer(self, viewer, callbacks)

    def _on_theme(self, event: Any) -> None:
        style = PlotStyle.of_theme(event.value)
        for panel in self.panels.values():
            panel.set_style(style)
