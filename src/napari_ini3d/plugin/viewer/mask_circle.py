"""Mask circle on the average of the particles, resized by dragging."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QObject, Signal

from napari_ini3d._types import Float32, Float64
from napari_ini3d.plugin import LENGTH_UNIT, METADATA_KEY
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.plugin.viewer.task_runner import Task, TaskRunner

if TYPE_CHECKING:
    import napari

    from napari_ini3d.preflight import CheckReport, Preview

AVERAGE_NAME, CIRCLE_NAME = "average of particles", "mask"
CIRCLE_COLOUR = "#e69f00"
_AXES = ("y", "x")


class MaskCircle(QObject):
    """Two layers of a viewer: the average of the particles, and the mask as a circle.

    Signals
    -------
    dragged : float
        New diameter, Å.
    changed
        The circle is prepared, is shown, or was given up.
    """

    dragged = Signal(float)
    changed = Signal()

    def __init__(self, viewer: ReferenceType[napari.Viewer]) -> None:
        super().__init__()
        self._viewer = viewer
        self._diameter = 0.0
        self._drawing = False
        self._tasks = TaskRunner(self)
        self._tasks.changed.connect(self.changed)

    @property
    def shown(self) -> bool:
        """True if the circle is in the viewer."""
        return self._circle() is not None

    @property
    def busy(self) -> bool:
        """True while the circle is prepared."""
        return self._tasks.busy

    def show(self, preview: Preview, diameter: float) -> None:
        """Show the average of the particles with the circle, in 2D, ready for dragging.

        The first time in a session, napari compiles what draws shapes, for seconds. This is done in
        a thread; the circle appears at its end, unless it is hidden before.
        """
        self._tasks.start(
            Task("Preparing the mask circle"),
            lambda _: compile_shapes(),
            lambda _: self._show(preview, diameter),
        )

    def _show(self, preview: Preview, diameter: float) -> None:
        viewer = self._viewer()
        if viewer is None or preview.average is None:
            return
        viewer.dims.ndisplay = 2  # napari cannot change flat shapes in 3D
        self._show_average(viewer, preview.average, preview.report)
        self._diameter = diameter
        if self._circle() is None:
            self._add_circle(viewer)
        self.resize(diameter)
        viewer.reset_view()
        viewer.layers.selection.active = self._circle()
        self._circle().mode = "select"
        self._circle().selected_data = {0}

    def hide(self) -> None:
        """Remove both layers, and return to 3D."""
        self._tasks.cancel()
        viewer = self._viewer()
        if viewer is None or not self.shown:
            return
        for layer in (self._circle(), self._average()):
            if layer is not None:
                viewer.layers.remove(layer)
        viewer.dims.ndisplay = 3
        self.changed.emit()

    def resize(self, diameter: float) -> None:
        """Change the diameter of the circle (Å)."""
        circle = self._circle()
        if circle is None:
            return
        self._diameter = diameter
        self._drawing = True
        try:
            circle.data = [circle_corners(diameter)]
            circle.selected_data = {0}
        finally:
            self._drawing = False

    def _add_circle(self, viewer: Any) -> None:
        circle = viewer.add_shapes(
            [circle_corners(self._diameter)],
            shape_type="ellipse",
            name=CIRCLE_NAME,
            edge_color=CIRCLE_COLOUR,
            face_color="transparent",
            edge_width=max(self._diameter / 80, 0.5),
            units=(LENGTH_UNIT,) * 2,
            axis_labels=_AXES,
            metadata={METADATA_KEY: {"kind": "mask circle"}},
        )
        circle.events.data.connect(self._on_data)

    def _on_data(self, event: Any) -> None:
        """Use the new diameter when a drag has ended."""
        if self._drawing or str(getattr(event, "action", "")) != "changed":
            return
        diameter = dragged_diameter(np.asarray(event.source.data[0]), self._diameter)
        self.resize(diameter)
        self.dragged.emit(diameter)

    def _show_average(self, viewer: Any, average: Float32, report: CheckReport) -> None:
        low, high = (float(value) for value in np.percentile(average, (0.5, 99.5)))
        placement = {
            "scale": (report.pixel_size,) * 2,
            "translate": (-(report.box_size // 2) * report.pixel_size,) * 2,
            "contrast_limits": (low, high if high > low else low + 1),
        }
        layer = self._average()
        if layer is not None:
            viewer.layers.remove(layer)
        viewer.add_image(
            average,
            name=AVERAGE_NAME,
            units=(LENGTH_UNIT,) * 2,
            axis_labels=_AXES,
            metadata={METADATA_KEY: {"kind": "particle average"}},
            **placement,
        )
        circle = self._circle()
        if circle is not None:
            viewer.layers.move(viewer.layers.index(circle), len(viewer.layers))

    def _circle(self) -> Any:
        return self._find("mask circle")

    def _average(self) -> Any:
        return self._find("particle average")

    def _find(self, kind: str) -> Any:
        viewer = self._viewer()
        layers = [] if viewer is None else viewer.layers
        return next((layer for layer in layers if get_metadata(layer, "kind") == kind), None)


@functools.cache
def compile_shapes() -> None:
    """Compile what napari needs to draw an ellipse: its first one takes seconds."""
    Shapes([circle_corners(100.0)], shape_type="ellipse", edge_width=2.0)


def circle_corners(diameter: float) -> Float64:
    """Return the corners (4, 2) of the square around a circle about the origin, (y, x) in Å."""
    radius = diameter / 2
    return radius * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])


def dragged_diameter(corners: Float64, before: float) -> float:
    """Return the diameter of a circle whose square was dragged: the side that changed most.

    Parameters
    ----------
    corners : (4, 2)
        (y, x), Å.
    before : float
        Diameter before, Å.
    """
    sides = np.ptp(corners, axis=0)
    return float(round(sides[int(np.argmax(np.abs(sides - before)))]))
