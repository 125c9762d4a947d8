"""Grid of napari with one map per cell, and the state of the viewer before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
from napari.layers import Image, Layer

from napari_ini3d.plugin.viewer import (
    LETTER_REACH,
    MapAxes,
    centre_camera,
    get_metadata,
    grid_shape,
    move_to_front,
    particle_radius,
    parts_of,
    show_frame,
    show_symmetry_axes,
)

_ROOM = 2.2  # width of a cell, in units of the reach of the axes


@dataclass
class ViewerState:
    """State of a viewer that a comparison changes."""

    order: list[ReferenceType[Layer]]
    visible: list[tuple[ReferenceType[Layer], bool]]
    named: list[tuple[ReferenceType[Layer], bool]]
    selected: list[ReferenceType[Layer]]
    grid: dict[str, Any]
    camera: dict[str, Any]


def draw_axes(viewer: Any, layer: Image, found: MapAxes | None) -> list[Layer]:
    """Show X, Y, Z and symmetry axes of a map, in place of those shown before."""
    for other in parts_of(viewer, layer):
        viewer.layers.remove(other)
    radius = particle_radius(viewer, layer)
    if found is None:
        show_frame(viewer, layer, radius)
    else:
        show_symmetry_axes(viewer, layer, found, radius, frame=True)
    return parts_of(viewer, layer)


def arrange_cells(viewer: Any, cells: Sequence[Sequence[Layer]], stride: int) -> None:
    """Move the layers of the cells to the front of the list, and hide all others."""
    wanted = [layer for cell in cells for layer in cell]
    shown = {id(layer) for layer in wanted}
    padding = {id(layer) for layer in wanted if not _takes_part(layer, cells)}
    move_to_front(viewer, wanted)
    for layer in [*viewer.layers]:  # a layer that is hidden may remove others
        layer.visible = id(layer) in shown and id(layer) not in padding
    for cell in cells:
        cell[0].name_overlay.visible = True
    viewer.layers.selection = [cells[0][0]]  # its level is that of all maps
    grid = viewer.canvas.grid
    grid.stride = stride
    grid.shape = grid_shape(len(cells), viewer.canvas.size)
    grid.spacing = 4.0
    grid.enabled = True
    viewer.dims.ndisplay = 3
    _fit(viewer, cells)


def _fit(viewer: Any, cells: Sequence[Sequence[Layer]]) -> None:
    """Zoom so that the axes of the largest particle fill a cell."""
    rows, columns = viewer.canvas.grid.actual_shape(viewer.layers)
    height, width = viewer.canvas.size
    maps = [cell[0] for cell in cells if parts_of(viewer, cell[0])]
    reach = max(particle_radius(viewer, layer) * float(np.max(layer.scale[-3:])) for layer in maps)
    viewer.scene.camera.zoom = min(height / rows, width / columns) / (_ROOM * LETTER_REACH * reach)
    centre_camera(viewer)


def _takes_part(layer: Layer, cells: Sequence[Sequence[Layer]]) -> bool:
    return any(layer is cell[0] for cell in cells) or (
        get_metadata(layer, "kind") in ("axes", "mesh", "difference")
    )


def save_viewer_state(viewer: Any) -> ViewerState:
    """Return the state of a viewer."""
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return ViewerState(
        order=[ref(layer) for layer in viewer.layers],
        visible=[(ref(layer), layer.visible) for layer in viewer.layers],
        named=[(ref(layer), layer.name_overlay.visible) for layer in viewer.layers],
        selected=[ref(layer) for layer in viewer.layers.selection],
        grid={name: getattr(grid, name) for name in ("stride", "shape", "spacing", "enabled")},
        camera={name: getattr(camera, name) for name in ("zoom", "center")}
        | {"ndisplay": viewer.dims.ndisplay},
    )


def restore_viewer_state(viewer: Any, before: ViewerState) -> None:
    """Restore the state of a viewer, for the layers that still exist."""
    for name, value in before.grid.items():
        setattr(viewer.canvas.grid, name, value)
    layers = [layer for layer in (r() for r in before.order) if layer in viewer.layers]
    move_to_front(viewer, layers)
    for reference, visible in before.visible:
        layer = reference()
        if layer is not None:
            layer.visible = visible
    for reference, named in before.named:
        layer = reference()
        if layer is not None:
            layer.name_overlay.visible = named
    kept = (reference() for reference in before.selected)
    viewer.layers.selection = [layer for layer in kept if layer in viewer.layers]
    viewer.dims.ndisplay = before.camera["ndisplay"]
    viewer.scene.camera.zoom = before.camera["zoom"]
    viewer.scene.camera.center = before.camera["center"]
