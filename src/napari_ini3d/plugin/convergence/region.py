"""A click on the viewing directions of a run shows the particles around that direction."""

from __future__ import annotations

from typing import Any
from weakref import ReferenceType

from qtpy.QtCore import Qt

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin.convergence.angular_distribution import AngularDistribution
from napari_ini3d.plugin.session import ALL_CLASSES
from napari_ini3d.plugin.viewer import open_dock, set_tooltip


def show_particles_on_click(sphere: AngularDistribution, viewer: ReferenceType[Any]) -> None:
    """Open the dock *Particles* at the region of the sphere, and for the class, that is clicked."""

    def show(direction: FloatArray) -> None:
        shown_in, folder = viewer(), sphere.view.folder
        if getattr(shown_in, "window", None) is None or folder is None:
            return
        k = sphere.view.class_index
        gallery = open_dock(shown_in, "Particles")
        gallery.show_region(folder, direction, None if k == ALL_CLASSES else k)

    sphere.direction_clicked.connect(show)
    sphere.setCursor(Qt.CursorShape.PointingHandCursor)
    set_tooltip(
        sphere,
        "Viewing directions (rot to the right, tilt downwards). Click to see the particles around "
        "a direction.",
    )
