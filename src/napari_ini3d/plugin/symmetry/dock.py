"""The dock *Symmetry*: find the symmetry of a map, bring it onto its axes, impose it, judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

from napari_ini3d.plugin.symmetry.align import AlignControl
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.detect import DetectControl
from napari_ini3d.plugin.symmetry.impose import ImposeControl
from napari_ini3d.plugin.symmetry.panels import (
    AlignPanel,
    AxesPanel,
    DetectPanel,
    FilePanel,
    words,
)
from napari_ini3d.plugin.symmetry.validation_panel import ValidationPanel
from napari_ini3d.plugin.viewer import connect_to_viewer, share_place, trial_of

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
        self.controller = SymmetryController(napari_viewer)
        self.controller.setParent(self)
        self.detection, self.axes, self.align = DetectPanel(), AxesPanel(), AlignPanel()
        self.files, self.validation = FilePanel(), ValidationPanel()
        self.detect_control = DetectControl(self.controller, self.detection, self.axes, self.align)
        self.align_control = AlignControl(self.controller, self.align, self.files)
        self.impose_control = ImposeControl(
            self.controller, self.align, self.files, self.validation
        )
        self._lay_out()
        self._connect(self.controller.viewer)
        self.controller.start()

    @property
    def layer(self) -> Image | None:
        """The layer that is worked on."""
        return self.controller.layer

    def showEvent(self, event: object) -> None:
        """Share the place of the plugin's docks, and show the axes again."""
        super().showEvent(event)
        share_place(self)
        self.detect_control.redraw()

    def sizeHint(self) -> QSize:
        """Return a width that leaves the picture room on a small screen."""
        return QSize(_WIDTH, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the width below which controls are cut off, whatever dock was there before."""
        return QSize(_WIDTH, super().minimumSizeHint().height())

    def refresh(self, *_: object) -> None:
        """Enable what can be done now, and say what is going on."""
        layer, tasks, align = self.layer, self.controller.tasks, self.align
        free = layer is not None and not tasks.busy
        moved = layer is not None and not trial_of(layer).is_identity
        for button in (self.detection.detect, align.align, self.files.impose, self.files.flip,
                       self.files.particles, self.files.save):  # fmt: skip
            button.setEnabled(free)
        self.axes.setEnabled(layer is not None and not self.controller.comparison.active)
        align.apply_new.setEnabled(free and moved)
        align.apply_here.setEnabled(free and moved and layer is not None and layer.ndim == 3)
        align.reset.setEnabled(free and moved)
        align.undo.setEnabled(free and self.controller.can_undo)
        for spin in (*align.rotations, *align.shifts):
            spin.setEnabled(free)
        self.validation.compare.setChecked(self.controller.comparison.active)
        self.cancel.setEnabled(tasks.busy)
        self.bar.setValue(round(100 * tasks.share))
        self.status.setText(tasks.text or ("Ready" if layer is not None else _NO_MAP))

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(2, 2, 2, 2)
        for panel in (self.detection, self.axes, self.align, self.files):
            column.addWidget(panel)
        column.addStretch(1)
        self.tabs = QTabWidget()
        self.tabs.addTab(_scrolled(page), "Find and align")
        self.tabs.addTab(_scrolled(self.validation), "Judge")
        top = QFormLayout()
        top.addRow("Map", self.controller.layer_combo)
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
        controller = self.controller
        self.cancel.clicked.connect(controller.tasks.cancel)
        controller.tasks.changed.connect(self.refresh)
        controller.taken_up.connect(self.refresh)
        controller.trial_changed.connect(self.refresh)
        controller.comparison.changed.connect(self.refresh)
        self.impose_control.imposed_group.connect(self._on_imposed)
        self.validation.plot.take_theme(viewer.theme)
        connect_to_viewer(self, viewer, {"events.theme": self._on_theme})

    def _on_imposed(self) -> None:
        self.tabs.setCurrentIndex(1)

    def _on_theme(self, event: Any) -> None:
        self.validation.plot.take_theme(event.value)


def _scrolled(widget: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(widget)
    return area
