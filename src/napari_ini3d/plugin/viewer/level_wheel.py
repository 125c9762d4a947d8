"""The mouse wheel sets the level of a map while Shift is held."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ini3d.plugin.viewer.connections import PerViewer, unwrap_proxy
from napari_ini3d.plugin.viewer.layer_transform import is_map_layer
from napari_ini3d.plugin.viewer.map_level import level_in_sigma, set_level_in_sigma
from napari_ini3d.plugin.viewer.metadata import get_metadata

SIGMA_PER_STEP = 0.2
"""Standard deviations by which the level changes with each step of the wheel."""


class LevelWheel:
    """Sets the level of the map that is selected, or of the only one that is visible.

    Parameters
    ----------
    viewer : napari viewer
        Itself, not a proxy.
    """

    def __init__(self, viewer: Any) -> None:
        viewer.mouse_wheel_callbacks.append(_on_wheel)

    @classmethod
    def of(cls, viewer: Any) -> LevelWheel:
        """Return that of a viewer; the same object each time."""
        return _wheels.of(viewer)


_wheels = PerViewer(LevelWheel)


def map_for_wheel(viewer: Any) -> Any | None:
    """Return the map whose level the wheel sets; None if it is not clear which."""
    layers = [unwrap_proxy(layer) for layer in viewer.layers]
    shown = [layer for layer in layers if is_map_layer(layer) and layer.visible]
    active = unwrap_proxy(viewer.layers.selection.active)
    for layer in shown:
        if layer is active or (
            active is not None and get_metadata(active, "mesh_of") == layer.unique_id
        ):
            return layer
    return shown[0] if len(shown) == 1 else None


def _on_wheel(viewer: Any, event: Any) -> None:
    if "Shift" not in event.modifiers or viewer.dims.ndisplay != 3:
        return
    layer = map_for_wheel(viewer)
    if layer is not None:
        steps = float(np.clip(np.sum(event.delta), -1, 1))  # with Shift, some systems scroll in x
        set_level_in_sigma(layer, max(0.0, level_in_sigma(layer) + steps * SIGMA_PER_STEP))
        event.handled = True
