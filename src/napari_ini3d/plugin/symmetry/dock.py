"""The dock *Symmetry*: find the symmetry of a map, bring it onto its axes, impose it, judge."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.plugin.symmetry.align import AligningControl
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.detect import FindingControl
from napari_ini3d.plugin.symmetry.impose import ImposingControl
from napari_ini3d.plugin.symmetry.panels import (
    AlignPanel,
    AxesPanel,
    FilePanel,
    FindPanel,
    words,
)
from napari_ini3d.plugin.symmetry.validation_panel import ValidationPanel
from napari_ini3d.plugin.viewer import share_place, trial_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_WIDTH, _HEIGHT = 410, 640
_NO_MAP = "No map: open one from napari's File menu."


class SymmetryWidget(QWidget):
    """Works on the map that is chosen at its top.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.desk = SymmetryController(napari_viewer)
        self.desk.setParent(self)
        self.find, self.axes, self.align = FindPanel(), AxesPanel(), AlignPanel()
        self.files, self.judge = FilePanel(), ValidationPanel()
        self.finding = FindingControl(self.desk, self.find, self.axes, self.align)
        self.aligning = AligningControl(self.desk, self.align, self.files)
        self.imposing = ImposingControl(self.desk, self.align, self.files, self.judge)
        self._lay_out()
        self._connect(self.desk.viewer)
        self.desk.begin()

    @property
    def layer(self) -> Image | None:
        """The layer that is worked on."""
        return self.desk.layer

    def showEvent(self, event: object) -> None:
        """Share the place of the plugin's docks, and show the axes again."""
        super().showEvent(event)
        share_place(self)
        self.finding.redraw()

    def sizeHint(self) -> QSize:
        """Return a width that leaves the picture room on a small screen."""
        return QSize(_WIDTH, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the width below which controls are cut off, whatever dock was there before."""
        return QSize(_WIDTH, super().minimumSizeHint().height())

    def refresh(self, *_: object) -> None:
        """Enable what can be done now, and say what is going on."""
        layer, tasks, align = self.layer, self.desk.tasks, self.align
        free = layer is not None and not tasks.busy
        moved = layer is not None and not trial_of(layer).is_identity
        for button in (self.find.detect, align.align, self.files.impose, self.files.flip,
                       self.files.particles, self.files.save):  # fmt: skip
            button.setEnabled(free)
        self.axes.setEnabled(layer is not None and not self.desk.comparison.active)
        align.apply_new.setEnabled(free and moved)
        align.apply_here.setEnabled(free and moved and layer is not None and layer.ndim == 3)
        align.reset.setEnabled(free and moved)
        align.undo.setEnabled(free and self.desk.can_undo)
        for spin in (*align.turns, *align.shifts):
            spin.setEnabled(free)
        self.judge.compare.setChecked(self.desk.comparison.active)
        self.cancel.setEnabled(tasks.busy)
        self.bar.setValue(round(100 * tasks.share))
        self.status.setText(tasks.text or ("Ready" if layer is not None else _NO_MAP))

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(2, 2, 2, 2)
        for panel in (self.find, self.axes, self.align, self.files):
            column.addWidget(panel)
        column.addStretch(1)
        self.tabs = QTabWidget()
        self.tabs.addTab(_scrolled(page), "Find and align")
        self.tabs.addTab(_scrolled(self.judge), "Judge")
        top = QFormLayout()
        top.addRow("Map", self.desk.choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(self._make_bottom())

    def _make_bottom(self) -> QHBoxLayout:
        self.status = words()
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("<p>Give up what is going on; its result is thrown away.</p>")
        bottom = QHBoxLayout()
        bottom.addWidget(self.status, 2)
        bottom.addWidget(self.bar, 1)
        bottom.addWidget(self.cancel)
        return bottom

    def _connect(self, viewer: Any) -> None:
        desk = self.desk
        self.cancel.clicked.connect(desk.tasks.cancel)
        desk.tasks.changed.connect(self.refresh)
        desk.taken_up.connect(self.refresh)
        desk.trial_changed.connect(self.refresh)
        desk.comparison.changed.connect(self.refresh)
        self.imposing.judged.connect(self._on_judged)
        viewer.events.theme.connect(self._on_theme)
        self.judge.plot.take_theme(viewer.theme)
        self.destroyed.connect(functools.partial(_let_go, desk.viewer_ref, self._on_theme))

    def _on_judged(self) -> None:
        self.tabs.setCurrentIndex(1)

    def _on_theme(self, event: Any) -> None:
        self.judge.plot.take_theme(event.value)


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(widget)
    return area


def _let_go(viewer: ReferenceType[Any], on_theme: Any, *_: object) -> None:
    """Take a dock that is no more off the viewer's events."""
    real = viewer()
    if real is not None:
        real.events.theme.disconnect(on_theme)
