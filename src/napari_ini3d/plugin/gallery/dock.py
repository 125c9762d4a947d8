"""Dock *Particles*: images of a run beside their reprojections, page by page, and its junk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_ini3d._types import FloatArray, IntArray
from napari_ini3d.errors import explain
from napari_ini3d.plugin.convergence.angular_distribution import AngularDistribution
from napari_ini3d.plugin.gallery.junk import JunkPanel
from napari_ini3d.plugin.gallery.pairs import PairsView
from napari_ini3d.plugin.session import RunSession, run_of_window, short_name
from napari_ini3d.plugin.viewer import (
    FittingWidget,
    PlotStyle,
    Task,
    TaskRunner,
    connect_to_viewer,
    make_flow,
    make_labelled,
    make_scrollable,
    make_tabs,
    make_text_label,
    set_tooltip,
    unwrap_proxy,
)
from napari_ini3d.runs import (
    GalleryImages,
    RunFolder,
    RunParticles,
    read_gallery_images,
    read_run_particles,
)

if TYPE_CHECKING:
    import napari

PAGE = 12
"""Number of particles of a page."""

_LEAST_SPHERE, _MOST_SPHERE = 120, 210  # pixels
_ORDERS = ("as in the file", "junk last", "junk first", "at random")
_EMPTY = (
    "Shows the images of a run beside the projections of its map in the same orientation. Show a "
    "run, or press Open."
)


class DirectionSphere(AngularDistribution):
    """Viewing directions of particles, by number, instead of an iteration of a run."""

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self._counts: FloatArray | None = None
        self._name = ""

    def show_particles(self, counts: FloatArray, name: str) -> None:
        """Show the number of particles per HEALPix pixel (M,), with a title."""
        self._counts, self._name = counts, name
        self.draw()

    def draw(self) -> None:
        """Draw the sphere again, after the theme has changed."""
        if self._counts is not None:
            self.show_counts(self._counts, self._name)


class GalleryWidget(FittingWidget):
    """The dock *Particles*.

    Parameters
    ----------
    napari_viewer : napari viewer
        The run that it shows is used, or one that is opened here.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = unwrap_proxy(napari_viewer)
        self._viewer: ReferenceType[Any] = ref(real)
        self.session = RunSession.of(napari_viewer)
        self.run: RunParticles | None = None
        self.index: IntArray = np.zeros(0, np.int64)
        self.first = 0
        self.direction: FloatArray | None = None
        self.micrograph: int | None = None
        self._chosen: Path | None = None  # by Open; else the run of the window is shown
        self._is_stale = False
        self._wanted: tuple[FloatArray, int | None] | None = None  # region, once the run is read
        self.tasks = TaskRunner(self, quiet=True)
        style = PlotStyle.of_theme(real.theme)
        self.sphere, self.pairs = DirectionSphere(style), PairsView(style)
        self.junk = JunkPanel(style)
        self.name, self.open, self.reload = (
            QElidingLabel(),
            QPushButton("Open …"),
            QPushButton("Reload"),
        )
        self.classes, self.order = QComboBox(), QComboBox()
        self.low_pass, self.radius = QDoubleSpinBox(), QDoubleSpinBox()
        self.everywhere = QPushButton("Show all")
        self.back, self.forward = QPushButton("◀"), QPushButton("▶")
        self.page = make_text_label()
        self.tabs = make_tabs()
        self._lay_out()
        self._explain()
        self._connect(real)
        self.pairs.show_message(_EMPTY)
        self._update_page()

    def show_folder(self, folder: Path) -> None:
        """Read the particles of a run in a thread, and show them."""
        self.name.setText(short_name(folder))
        self.pairs.show_message("Reading the particles …")
        self.run, self._is_stale = None, False
        self.tasks.start(
            Task("Particles"), lambda _: read_run_particles(RunFolder.open(folder)), self._show_run
        )

    def show_region(self, folder: Path, direction: FloatArray, class_index: int | None) -> None:
        """Show the particles of a run around a direction (x, y, z), of a class; None for all."""
        viewer = self._viewer()
        self._wanted = (direction, class_index)
        self._chosen = None if viewer is not None and folder == run_of_window(viewer) else folder
        self.tabs.setCurrentIndex(0)
        shown = None if self.run is None else self.run.folder.path
        if shown == folder and not self._is_stale:
            self._show_wanted()
        else:
            self.show_folder(folder)

    def show_page(self, first: int) -> None:
        """Show the particles from a position of the selection, read in a thread."""
        run = self.run
        if run is None:
            return
        self.first = int(np.clip(first, 0, max(len(self.index) - 1, 0))) // PAGE * PAGE
        self._update_page()
        chosen = self.index[self.first : self.first + PAGE]
        if not len(chosen):
            self.tasks.cancel()
            self.pairs.show_message("No particles match this class and region.")
            return
        low_pass = self.low_pass.value()

        def read(task: Task) -> GalleryImages:
            return read_gallery_images(
                run, chosen, low_pass=low_pass, step=lambda: task.step("Images")
            )

        self.tasks.start(Task("Images", 4), read, lambda found: self._show_images(run, found))

    def choose_direction(self, direction: FloatArray | None) -> None:
        """Show the particles around a direction (x, y, z); None for all directions."""
        self.direction = direction
        self.sphere.mark_region(direction, self.radius.value())
        self._select()

    def choose_micrograph(self, number: int | None) -> None:
        """Show the particles of a micrograph; None for all."""
        self.micrograph = number
        self._select()
        if number is not None:
            self.tabs.setCurrentIndex(0)

    def showEvent(self, event: object) -> None:
        """Share a place with the other docks, and show the run of the viewer."""
        super().showEvent(event)
        is_empty = self.run is None and self.tasks.error is None and not self.tasks.busy
        if self._is_stale or is_empty:
            self._on_reload()

    # -- what is shown ----------------------------------------------------------------------

    def _show_run(self, run: RunParticles) -> None:
        self.run, self.micrograph, self.direction = run, None, None
        with QSignalBlocker(self.classes):
            self.classes.clear()
            self.classes.addItem("All classes", None)
            for k in range(run.n_classes):
                self.classes.addItem(f"Class {k + 1} ({len(run.select(k)):,})", k)
        self.classes.setVisible(run.n_classes > 1)
        self.name.setText(f"{short_name(run.folder.path)}, iteration {run.iteration}")
        self.junk.show_run(run)
        self.sphere.mark_region(None)
        self._on_class(0)
        self._show_wanted()

    def _show_wanted(self) -> None:
        """Show the region and class that `show_region` has asked for."""
        if self._wanted is None:
            return
        direction, class_index = self._wanted
        self._wanted = None
        self.micrograph = None
        self.classes.setCurrentIndex(max(self.classes.findData(class_index), 0))
        self.choose_direction(direction)

    def _show_images(self, run: RunParticles, found: GalleryImages) -> None:
        chosen = found.index  # without those that cannot be used any more
        junk = run.assignments.junk_probability[chosen]
        classes = run.assignments.class_index[chosen] + 1
        texts = []
        for row, number in enumerate(run.particles.row[chosen]):
            of_class = f" · class {classes[row]}" if run.n_classes > 1 else ""
            values = f"junk {100 * junk[row]:.0f} % · cc {found.correlation[row]:.2f}"
            texts.append(f"{number + 1}{of_class}\n{values}")
        self.pairs.show_pairs(found, texts)

    def _select(self) -> None:
        """Select particles by class, region and micrograph, and show the first page."""
        run = self.run
        if run is None:
            return
        k = self.classes.currentData()
        index = run.select(k, self.direction, self.radius.value())
        if self.micrograph is not None:
            index = index[run.micrograph_index[index] == self.micrograph]
        junk = run.assignments.junk_probability[index]
        order = self.order.currentText()
        if order in ("junk last", "junk first"):
            sign = 1 if order == "junk last" else -1
            index = index[np.argsort(sign * junk, kind="stable")]
        elif order == "at random":
            index = np.random.default_rng(0).permutation(index)
        self.index = index
        self.show_page(0)

    def _update_page(self) -> None:
        n, last = len(self.index), min(self.first + PAGE, len(self.index))
        where = "" if self.direction is None else f" within {self.radius.value():.0f}°"
        if self.micrograph is not None and self.run is not None:
            where += f" of {self.run.micrographs[self.micrograph]}"
        text = f"{self.first + 1}-{last} of {n:,} particles{where}" if n else ""
        self.page.setText(text)
        self.back.setEnabled(self.first > 0)
        self.forward.setEnabled(last < n)
        self.everywhere.setEnabled(self.direction is not None or self.micrograph is not None)

    # -- what the user does -----------------------------------------------------------------

    def _on_class(self, _index: int) -> None:
        run = self.run
        if run is None:
            return
        k = self.classes.currentData()
        title = "" if run.n_classes < 2 else self.classes.currentText()
        self.sphere.show_particles(run.view_counts(k), title)
        self._select()

    def _on_radius(self, radius: float) -> None:
        if self.direction is not None:
            self.sphere.mark_region(self.direction, radius)
            self._select()

    def _on_everywhere(self) -> None:
        self.micrograph = None
        self.choose_direction(None)

    def _on_open(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a run folder")
        if name:
            self._chosen = Path(name)
            self.show_folder(self._chosen)

    def _on_reload(self) -> None:
        """Show the run that was opened here, or that of the window, as it is now."""
        viewer = self._viewer()
        folder = self._chosen
        if folder is None and viewer is not None:
            folder = run_of_window(viewer)
        if folder is not None:
            self.show_folder(folder)

    def _on_tasks(self) -> None:
        error = self.tasks.error
        if error is not None and not self.tasks.busy:
            self.pairs.show_message(f"⚠ {explain(error)}")

    def _on_finished(self, folder: Path) -> None:
        if self._chosen not in (None, folder):
            return
        self._is_stale = True
        if self.isVisible():
            self._on_reload()

    def _on_theme(self, event: Any) -> None:
        style = PlotStyle.of_theme(event.value)
        self.sphere.set_style(style)
        self.junk.set_style(style)
        self.pairs.plot_style = style
        self.pairs.update()

    # -- construction -----------------------------------------------------------------------

    def _connect(self, viewer: Any) -> None:
        self.open.clicked.connect(self._on_open)
        self.reload.clicked.connect(self._on_reload)
        self.classes.currentIndexChanged.connect(self._on_class)
        self.order.currentIndexChanged.connect(lambda _: self._select())
        self.low_pass.valueChanged.connect(lambda _: self.show_page(self.first))
        self.radius.valueChanged.connect(self._on_radius)
        self.everywhere.clicked.connect(self._on_everywhere)
        self.back.clicked.connect(lambda: self.show_page(self.first - PAGE))
        self.forward.clicked.connect(lambda: self.show_page(self.first + PAGE))
        self.sphere.direction_clicked.connect(self.choose_direction)
        self.junk.micrograph_chosen.connect(self.choose_micrograph)
        self.tasks.changed.connect(self._on_tasks)
        self.session.finished.connect(self._on_finished)
        connect_to_viewer(self, viewer, {"events.theme": self._on_theme})

    def _lay_out(self) -> None:
        self.order.addItems(_ORDERS)
        self.low_pass.setRange(0, 100)
        self.low_pass.setValue(15)
        self.low_pass.setDecimals(0)
        self.low_pass.setSuffix(" Å")
        self.low_pass.setSpecialValueText("no filter")
        self.low_pass.setKeyboardTracking(False)
        self.radius.setRange(5, 90)
        self.radius.setValue(20)
        self.radius.setDecimals(0)
        self.radius.setSuffix("°")
        self.radius.setKeyboardTracking(False)
        self.classes.setVisible(False)
        self.sphere.setMinimumHeight(_LEAST_SPHERE)
        self.sphere.setMaximumHeight(_MOST_SPHERE)
        top = QHBoxLayout()
        top.addWidget(self.name, 1)
        top.addWidget(self.reload)
        top.addWidget(self.open)
        choices = make_flow(
            make_labelled("Order", self.order),
            make_labelled("Filter", self.low_pass),
            make_labelled("Region ±", self.radius),
            self.everywhere,
        )
        pages = QHBoxLayout()
        pages.addWidget(self.back)
        pages.addWidget(self.page, 1)
        pages.addWidget(self.forward)
        images = QWidget()
        column_of_images = QVBoxLayout(images)
        column_of_images.setContentsMargins(0, 0, 0, 0)
        column_of_images.addWidget(self.sphere)
        column_of_images.addWidget(self.classes)
        column_of_images.addLayout(choices)
        column_of_images.addWidget(self.pairs, 1)
        column_of_images.addLayout(pages)
        self.tabs.addTab(images, "Images")
        self.tabs.addTab(self.junk, "Junk")
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.tabs, 1)
        around = QVBoxLayout(self)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(make_scrollable(page))

    def _explain(self) -> None:
        for widget, text in (
            (self.open, "Show the particles of a run from its folder."),
            (self.reload, "Read the poses of the last iteration again."),
            (self.classes, "Particles of one class, or of all."),
            (self.order, "Order of the particles. Junk first and junk last: by the probability of "
                         "being junk."),
            (self.low_pass, "Resolution (Å) to which the images are filtered, to see more than "
                            "noise. The correlation (cc) is that of the images without filter."),
            (self.radius, "Radius (degrees) of the region that is chosen by a click on the "
                          "sphere."),
            (self.everywhere, "Show particles of all directions and micrographs again."),
            (self.back, "Previous page."),
            (self.forward, "Next page."),
            (self.sphere, "Viewing directions (rot to the right, tilt downwards). Click to see the "
                          "particles around a direction."),
        ):  # fmt: skip
            set_tooltip(widget, text)
