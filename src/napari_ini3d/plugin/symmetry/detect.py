"""Detect the symmetry of a map, and show its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject, QSignalBlocker

from napari_ini3d.errors import Ini3dError
from napari_ini3d.geometry import PointGroup
from napari_ini3d.plugin.symmetry import tasks
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.panels import AlignPanel, AxesPanel, DetectPanel
from napari_ini3d.plugin.viewer import (
    MapAxes,
    Task,
    axes_layers,
    get_metadata,
    is_dock_hidden,
    set_metadata,
    voxel_size_of,
)
from napari_ini3d.symmetry import GroupCandidate, SymmetryReport

if TYPE_CHECKING:
    from napari.layers import Image


class DetectControl(QObject):
    """Actions of the buttons in *Detect* and *Show axes*.

    Parameters
    ----------
    controller : SymmetryController
    detection, axes, align : panels
        The axes of the group chosen in `align` are shown.
    """

    def __init__(
        self,
        controller: SymmetryController,
        detection: DetectPanel,
        axes: AxesPanel,
        align: AlignPanel,
    ) -> None:
        super().__init__(controller)
        self._controller, self._detection, self._axes, self._align = (
            controller,
            detection,
            axes,
            align,
        )
        self._reports: WeakKeyDictionary[Any, SymmetryReport] = WeakKeyDictionary()
        detection.detect.clicked.connect(self._on_detect)
        detection.row_chosen.connect(self._on_row)
        detection.sphere_wanted.connect(self._on_sphere)
        axes.changed.connect(self.redraw)
        align.group_changed.connect(self.redraw)
        controller.axes_wanted.connect(self._on_wanted)
        controller.values_changed.connect(self._forget)
        controller.map_changed.connect(self._on_map_changed)
        controller.comparison.changed.connect(self.redraw)

    def redraw(self) -> None:
        """Show the chosen axes at the map, and no others."""
        layer, viewer = self._controller.layer, self._controller.viewer
        if layer is None or viewer is None or self._controller.comparison.active:
            return
        if is_dock_hidden(self._axes):  # no axes on maps that are opened meanwhile
            return
        found = self._axes_of(layer) if self._axes.symmetry.isChecked() else None
        self._axes.explain(found.axes if found is not None else ())
        axes_layers.hide_parts(viewer, layer, axes_layers.LINE_PARTS)
        through = self._axes.through.isChecked()
        if not self._axes.frame.isChecked() and found is None:
            return
        radius = axes_layers.particle_radius(viewer, layer)
        if self._axes.frame.isChecked():
            axes_layers.show_frame(viewer, layer, radius, through=through)
        if found is not None:
            axes_layers.show_symmetry_axes(viewer, layer, found, radius, through=through)

    def _on_detect(self) -> None:
        def prepare(origin: Any, voxel_size: float) -> Any:
            return lambda task: tasks.find_symmetry(task, origin.result, voxel_size)

        self._controller.run_task(Task("Detecting symmetry"), prepare, self._show_report)

    def _show_report(self, layer: Image, report: SymmetryReport) -> None:
        self._reports[layer] = report
        if layer is not self._controller.layer:
            return
        self._detection.show_report(report)
        if report.group == "C1":
            set_metadata(layer, axes=None)
            self.redraw()
        else:
            self._detection.table.selectRow(0)  # shows its axes

    def _on_row(self, candidate: GroupCandidate) -> None:
        layer = self._controller.layer
        if layer is None:
            return
        centre = np.array(candidate.centre) / voxel_size_of(layer)
        x, y, z = (float(value) for value in centre)
        set_metadata(layer, axes=MapAxes(candidate.group, candidate.axes, (x, y, z)))
        self._align.choose_group(candidate.group)
        self._on_wanted()

    def _on_wanted(self) -> None:
        for box in (self._axes.frame, self._axes.symmetry):
            with QSignalBlocker(box):
                box.setChecked(True)
        self.redraw()

    def _on_sphere(self, order: int) -> None:
        layer, viewer = self._controller.layer, self._controller.viewer
        if layer is None or viewer is None:
            return
        report = self._reports.get(layer)
        if report is None or not order:
            axes_layers.hide_parts(viewer, layer, ("sphere",))
            return
        self._controller.comparison.leave()
        axes_layers.show_self_rotation(
            viewer,
            layer,
            report.self_rotation,
            order,
            radius=axes_layers.particle_radius(viewer, layer),
            centre=np.array(report.candidates[0].centre) / report.voxel_size,
        )

    def _forget(self, layer: Image) -> None:
        self._reports.pop(layer, None)

    def _on_map_changed(self, layer: Image | None) -> None:
        self._detection.show_report(None if layer is None else self._reports.get(layer))
        if layer is None:
            return
        found: MapAxes | None = get_metadata(layer, "axes")
        if found is not None:
            self._align.choose_group(found.group)
        self.redraw()
        self._on_sphere(self._detection.wanted_order)

    def _axes_of(self, layer: Image) -> MapAxes | None:
        """Return the axes that were found in the map, or those of the chosen group."""
        found: MapAxes | None = get_metadata(layer, "axes")
        try:
            group = PointGroup.parse(self._align.chosen_group)
        except Ini3dError:
            return found
        if found is not None and found.group == group.name:
            return found
        return MapAxes.of_setting(group.name)
