"""Cells of napari's grid: groups of layers of equal length, and the shape of the grid.

Napari gives every cell the same number of layers, in the order of its list, and draws no cell
whose layers are all hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image, Layer

from napari_ini3d.plugin.viewer.map_meshes import mesh_of
from napari_ini3d.plugin.viewer.metadata import get_metadata, set_metadata


def with_mesh(viewer: Any, layer: Image) -> list[Layer]:
    """Return a map and its mesh, if it is drawn as one."""
    mesh = mesh_of(viewer, layer)
    return [layer] if mesh is None else [layer, mesh]


def pad_cells(viewer: Any, cells: Sequence[list[Layer]], *, hidden: bool = False) -> int:
    """Fill cells up with other layers to the same number of layers, and return that number.

    Captions are not used, nor, by a comparison, what fills up the cells of classes: their owner
    removes them. The last cell of a comparison needs nothing: what follows it is hidden.

    Parameters
    ----------
    viewer : napari viewer
    cells : sequence of list of Layer
        Changed in place.
    hidden : bool
        For the cells of classes: use only layers that are hidden, also those that filled them up
        before. Else use any, which the caller hides.
    """
    stride = max(map(len, cells), default=1)
    taken = {id(layer) for cell in cells for layer in cell}
    others = [x for x in viewer.layers if id(x) not in taken]
    spare = [x for x in others if not _is_owned(x, hidden) and not (hidden and x.visible)]
    for cell in cells if hidden else cells[:-1]:
        while len(cell) < stride:
            cell.append(spare.pop() if spare else _empty(viewer))
    return stride


def move_to_front(viewer: Any, layers: Sequence[Layer]) -> None:
    """Move layers to the front of the list, in their order, if they are not there yet."""
    for place, layer in enumerate(layers):
        if viewer.layers[place] is not layer:
            viewer.layers.move(viewer.layers.index(layer), place)


def grid_shape(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the grid with the largest cells.

    Parameters
    ----------
    count : int
        Number of cells.
    size : (int, int)
        Height and width of the canvas.
    """
    shapes = [(rows, -(-count // rows)) for rows in range(1, count + 1)]
    return max(shapes, key=lambda shape: min(size[0] / shape[0], size[1] / shape[1]))


def _is_owned(layer: Layer, of_classes: bool) -> bool:
    """Tell whether a layer belongs to the cells of others, who remove it."""
    if get_metadata(layer, "kind") == "caption":
        return True
    return not of_classes and bool(get_metadata(layer, "padding"))


def _empty(viewer: Any) -> Layer:
    layer = viewer.add_points(ndim=3, name="(empty)", units=("angstrom",) * 3, visible=False)
    set_metadata(layer, comparison=True, padding=True)
    return layer
