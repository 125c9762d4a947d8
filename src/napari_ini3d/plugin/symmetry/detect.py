"""Detect the symmetry of a map, and show its axes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QSignalBlocker

from napari_ini3d.errors import Ini3dError
from napari_ini3d.geometry import PointGroup
from napari_ini3d.plugin.symmetry import tasks
from napari_ini3d.plugin.symmetry.axes_panel import AxesPanel
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.panels import AlignPanel, DetectPanel
from napari_ini3d.plugin.viewer import (
    AxesStatus,
    MapAxes,
    MapMeshes,
    MapResults,
    Origin,
    Task,
    axes_layers,
    broken_subunits,
    get_metadata,
    is_dock_hidden,
    record_axes,
    recorded_axes,
    voxel_size_of,
)
from napari_ini3d.symmetry import GroupCandidate

if TYPE_CHECKING:
    from napari.layers import Image


class DetectControl(QObject):
    """Actions of the buttons in *Detect* and *Show axes*.

    Parameters
    ----------
    controller : SymmetryController
    detection, axes, align : panels
        The ideal axes that can be shown are those of the group chosen in `align`.
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
        self._found: MapResults[tasks.Detected] = MapResults()
        detection.detect.clicked.connect(self._on_detect)
        detection.row_chosen.connect(self._on_row)
        detection.sphere_wanted.connect(self._on_sphere)
        axes.changed.connect(self.redraw)
        axes.frame.toggled.connect(self._fit_frame)
        align.group_changed.connect(self.redraw)
        controller.axes_wanted.connect(self._on_aligned)
        controller.map_changed.connect(self._on_map_changed)
        controller.comparison.changed.connect(self.redraw)

    def redraw(self) -> None:
        """Show the chosen axes at the map, and no others."""
        layer, viewer = self._controller.layer, self._controller.viewer
        if layer is None or viewer is None or self._controller.comparison.active:
            return
        if layer not in viewer.layers:  # the map is being removed
            return
        if is_dock_hidden(self._axes):  # no axes on maps that are opened meanwhile
            return
        found, ideal = recorded_axes(viewer, layer), self._ideal_axes()
        self._axes.explain(found, ideal)
        axes_layers.hide_parts(viewer, layer, axes_layers.LINE_PARTS)
        through, frame = self._axes.through.isChecked(), self._axes.frame.isChecked()
        wanted = [found] if found is not None and self._axes.symmetry.isChecked() else []
        wanted += [] if ideal is None else [ideal]
        copies = bool(wanted and wanted[0].subunits) and self._axes.subunits.isChecked()
        colour_copies(viewer, layer, shown=copies)
        if not frame and not wanted:
            return
        radius = axes_layers.particle_radius(viewer, layer)
        if frame and not any(axes.found for axes in wanted):
            axes_layers.show_frame(viewer, layer, radius, through=through)
        for axes in wanted:
            axes_layers.show_symmetry_axes(
                viewer, layer, axes, radius, frame=frame and axes.found, through=through
            )
        if copies:
            axes_layers.show_subunits(viewer, layer, wanted[0], radius, through=through)

    def _ideal_axes(self) -> MapAxes | None:
        """Return the axes of the chosen group in RELION's convention, if they are wanted."""
        if not self._axes.ideal.isChecked():
            return None
        try:
            return MapAxes.of_setting(PointGroup.parse(self._align.chosen_group).name)
        except Ini3dError:
            return None

    def _on_detect(self) -> None:
        known, halves = self._controller.validated(self._controller.layer), self._controller.halves

        def prepare(origin: Origin, voxel_size: float) -> Any:
            return lambda task: tasks.find_symmetry(task, origin, voxel_size, known, halves)

        self._controller.run_task(Task("Detecting symmetry", 2), prepare, self._show_detected)

    def _show_detected(self, layer: Image, detected: tasks.Detected) -> None:
        viewer = self._controller.viewer
        detected = replace(detected, imposed_before=get_metadata(layer, "imposed_group"))
        self._found.keep(viewer, layer, detected)
        if detected.imposed is not None:
            self._controller.keep_validation(layer, detected.imposed)
        record_axes(viewer, layer, None)
        if layer is not self._controller.layer:
            return
        self._axes.withdraw_ideal()
        self._detection.show_report(detected)
        if detected.group == "C1":
            self.redraw()
        else:
            self._detection.table.selectRow(0)  # shows its axes

    def _on_row(self, candidate: GroupCandidate) -> None:
        layer, viewer = self._controller.layer, self._controller.viewer
        detected = self._found.find(viewer, layer)
        if layer is None or detected is None:
            return
        centre = np.array(candidate.centre) / voxel_size_of(layer)
        x, y, z = (float(value) for value in centre)
        status: AxesStatus = "detected" if detected.holds(candidate) else "rejected"
        if status == "detected" and tasks.is_by_construction(
            candidate.group, detected.imposed_before
        ):
            status = "imposed"
        subunits = broken_subunits(candidate.pseudo, voxel_size_of(layer))
        axes = MapAxes(candidate.group, candidate.axes, (x, y, z), status, subunits)
        record_axes(viewer, layer, axes)
        self._align.choose_group(candidate.group)
        self._on_wanted()

    def _on_aligned(self) -> None:
        """Show the axes that the alignment has found, and its number in place of an earlier one."""
        layer, viewer = self._controller.layer, self._controller.viewer
        detected, known = self._found.find(viewer, layer), self._controller.validated(layer)
        if layer is not None and detected is not None and known is not None:
            detected = detected.after(known)
            self._found.keep(viewer, layer, detected)
            self._detection.show_verdict(detected)
        self._on_wanted()

    def _on_wanted(self) -> None:
        appears = not self._axes.frame.isChecked()
        for box in (self._axes.frame, self._axes.symmetry):
            with QSignalBlocker(box):
                box.setChecked(True)
        self.redraw()
        self._fit_frame(appears)

    def _fit_frame(self, appears: bool) -> None:
        """Zoom out if the letters of X, Y and Z, which appear, would not be seen."""
        layer, viewer = self._controller.layer, self._controller.viewer
        if appears and layer is not None and viewer is not None:
            axes_layers.fit_frame(viewer, layer, axes_layers.particle_radius(viewer, layer))

    def _on_sphere(self, order: int) -> None:
        layer, viewer = self._controller.layer, self._controller.viewer
        if layer is None or viewer is None:
            return
        detected = self._found.find(viewer, layer)
        if detected is None or not order:
            axes_layers.hide_parts(viewer, layer, ("sphere",))
            return
        report = detected.report
        self._controller.comparison.leave()
        axes_layers.show_self_rotation(
            viewer,
            layer,
            report.self_rotation,
            order,
            radius=axes_layers.particle_radius(viewer, layer),
            centre=np.array(report.candidates[0].centre) / report.voxel_size,
        )

    def _on_map_changed(self, layer: Image | None) -> None:
        viewer = self._controller.viewer
        self._axes.withdraw_ideal()
        self._detection.show_report(self._found.find(viewer, layer))
        if layer is None or viewer is None:
            self._axes.explain(None, None)
            return
        found = recorded_axes(viewer, layer)
        if found is not None:
            self._align.choose_group(found.group)
        self.redraw()
        self._on_sphere(self._detection.wanted_order)


def colour_copies(viewer: Any, layer: Image, *, shown: bool) -> None:
    """Colour the mesh of a map by the density of its copies, or in one colour again.

    A mesh that the user has coloured otherwise stays as it is.
    """
    mesh = MapMeshes.of(viewer).find(layer)
    if mesh is not None and mesh.colouring in ("plain", "copies"):
        mesh.colour_by("copies" if shown else "plain")
