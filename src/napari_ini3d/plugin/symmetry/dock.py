"""Dock *Symmetry*: detect the symmetry of a map, align, impose and validate it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.plugin.symmetry.align import AlignControl
from napari_ini3d.plugin.symmetry.axes_panel import AxesPanel
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.detect import DetectControl
from napari_ini3d.plugin.symmetry.impose import ImposeControl
from napari_ini3d.plugin.symmetry.panels import (
    COMMON_GROUPS,
    AlignPanel,
    DetectPanel,
    FilePanel,
)
from napari_ini3d.plugin.symmetry.particles import ParticlesControl
from napari_ini3d.plugin.symmetry.particles_panel import ParticlesPanel
from napari_ini3d.plugin.symmetry.validation_panel import ValidationPanel
from napari_ini3d.plugin.viewer import (
    TaskDock,
    connect_to_viewer,
    make_scrollable,
    make_tabs,
    make_text_label,
    trial_of,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

_WIDTH = 432  # pixels
_NO_MAP = "No map. Open one from napari's File menu."


class SymmetryWidget(TaskDock):
    """The dock *Symmetry*, for the map that is chosen at its top.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        controller = SymmetryController(napari_viewer)
        super().__init__(controller.tasks, _WIDTH)
        self.controller = controller
        self.controller.setParent(self)
        self.detection, self.axes, self.align = DetectPanel(), AxesPanel(), AlignPanel()
        self.files, self.validation = FilePanel(), ValidationPanel()
        self.particles = ParticlesPanel(COMMON_GROUPS)
        self.detect_control = DetectControl(self.controller, self.detection, self.axes, self.align)
        self.align_control = AlignControl(self.controller, self.align, self.files)
        self.impose_control = ImposeControl(
            self.controller, self.align, self.files, self.validation, self.align_control
        )
        self.particles_control = ParticlesControl(self.controller, self.particles, self.align)
        self._lay_out()
        self._connect(self.controller.viewer)
        self.controller.start()

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self.controller.layer

    def showEvent(self, event: object) -> None:
        """Share a place with the other docks, and show the axes again."""
        super().showEvent(event)
        self.detect_control.redraw()

    def refresh(self, *_: object) -> None:
        """Enable the available actions, and show the status."""
        super().refresh()
        layer, align = self.layer, self.align
        free = layer is not None and not self.tasks.busy
        moved = layer is not None and not trial_of(layer).is_identity
        for button in (self.detection.detect, align.align, self.files.impose, self.files.flip,
                       self.files.particles, self.files.save):  # fmt: skip
            button.setEnabled(free)
        for button in (self.particles.relax, self.particles.expand, self.particles.fold):
            button.setEnabled(not self.tasks.busy)
        self.axes.setEnabled(layer is not None and not self.controller.comparison.active)
        align.apply_new.setEnabled(free and moved)
        align.apply_here.setEnabled(free and moved and layer is not None and layer.ndim == 3)
        align.reset.setEnabled(free and moved)
        align.undo.setEnabled(free and self.controller.can_undo)
        for spin in (*align.rotations, *align.shifts):
            spin.setEnabled(free)
        self.validation.compare.setChecked(self.controller.comparison.active)
        self.status.setText(self.tasks.text or ("Ready" if layer is not None else _NO_MAP))

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(2, 2, 2, 2)
        for panel in (self.detection, self.axes, self.align, self.files):
            column.addWidget(panel)
        column.addStretch(1)
        self.tabs = make_tabs()
        self.tabs.addTab(make_scrollable(page), "Detect and align")
        self.tabs.addTab(make_scrollable(self.validation), "Validate")
        self.tabs.addTab(make_scrollable(self.particles), "Particles")
        self.tabs.currentChanged.connect(self._on_tab)
        top = QFormLayout()
        top.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        top.addRow("Map", self.controller.layer_combo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.tabs, 1)
        layout.addLayout(self._make_bottom())

    def _make_bottom(self) -> QVBoxLayout:
        self.status = make_text_label()
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        bottom = QVBoxLayout()
        bottom.addWidget(self.status)
        bottom.addLayout(row)
        return bottom

    def _connect(self, viewer: Any) -> None:
        controller = self.controller
        controller.map_changed.connect(self.refresh)
        controller.trial_changed.connect(self.refresh)
        controller.comparison.changed.connect(self.refresh)
        self.impose_control.group_imposed.connect(self._on_imposed)
        self.validation.plot.apply_theme(viewer.theme)
        connect_to_viewer(self, viewer, {"events.theme": self._on_theme})

    def _on_imposed(self) -> None:
        self.tabs.setCurrentIndex(1)

    def _on_tab(self, index: int) -> None:
        if self.tabs.tabText(index) == "Particles":
            self.particles_control.propose_group()

    def _on_theme(self, event: Any) -> None:
        self.validation.plot.apply_theme(event.value)
