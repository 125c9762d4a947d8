"""Removal of layers that belong to another one, such as the mesh, axes or caption of a map.

Napari removes several selected layers one by one, and fails if one of them is gone before its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from qtpy.QtCore import QTimer


def remove_dependent(viewer: Any, layer: Any) -> None:
    """Remove a layer because that which it belongs to was removed.

    One that is selected is left to napari, which may be about to remove it with the others that
    are selected; if it is still there after that, it is removed.

    Parameters
    ----------
    viewer : napari viewer
        Itself, not a proxy.
    layer : Layer
    """
    if layer not in viewer.layers:
        return
    if layer not in viewer.layers.selection:
        viewer.layers.remove(layer)
        return
    of_viewer, of_layer = ref(viewer), ref(layer)
    after_removal(viewer, lambda: _remove(of_viewer(), of_layer()))


def after_removal(viewer: Any, action: Callable[[], object]) -> None:
    """Do something that removes layers when napari has removed those that the user deletes.

    Parameters
    ----------
    viewer : napari viewer
        Without a window there is no event loop, and it is done at once.
    action : callable
    """
    if hasattr(viewer, "window"):
        QTimer.singleShot(0, action)
    else:
        action()


def _remove(viewer: Any, layer: Any) -> None:
    if viewer is not None and layer is not None and layer in viewer.layers:
        viewer.layers.remove(layer)
