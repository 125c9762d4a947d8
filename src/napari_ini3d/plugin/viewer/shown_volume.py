"""The map that a layer shows: of a stack of maps, the one at the slider."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_ini3d._types import FloatArray


def shown_volume(viewer: ViewerModel, layer: Image) -> FloatArray:
    """Return the map (n, n, n) that a layer shows; of a run, the one at the slider."""
    if layer.ndim <= 3:
        return np.asarray(layer.data)
    return np.asarray(layer.data[frame_number(viewer, layer)])


def frame_number(viewer: ViewerModel, layer: Layer) -> int:
    """Return which map of a stack of maps is at the slider, from 0."""
    place = round(viewer.dims.point[frame_axis(viewer, layer)])
    return int(np.clip(place, 0, len(layer.data) - 1))


def frame_axis(viewer: ViewerModel, layer: Layer) -> int:
    """Return the axis of the viewer for the first axis of a layer; axes are aligned at the end."""
    return int(viewer.dims.ndim - layer.ndim)
