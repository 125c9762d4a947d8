"""The map that a layer shows: of a stack of maps, the one at the slider."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin import METADATA_KEY, LazyFrames


def shown_volume(viewer: ViewerModel, layer: Image) -> FloatArray:
    """Return the map (n, n, n) that a layer shows; of a run, the one at the slider.

    Raises
    ------
    Ini3dError, OSError
        If its file cannot be read.
    """
    if layer.ndim <= 3:
        return np.asarray(layer.data)
    frames, number = all_frames(layer), frame_number(viewer, layer)
    return np.asarray(frames.read(number) if isinstance(frames, LazyFrames) else frames[number])


def frame_number(viewer: ViewerModel, layer: Layer) -> int:
    """Return which map of a stack of maps is at the slider, from 0; of a hidden one, was last."""
    if keeps_one(layer):  # hidden, and without a slider
        return int(layer.data.number)
    place = round(viewer.dims.point[frame_axis(viewer, layer)])
    return int(np.clip(place, 0, len(all_frames(layer)) - 1))


def iteration_number(viewer: ViewerModel, layer: Layer) -> int:
    """Return the iteration whose map a layer of a run shows."""
    iterations = layer.metadata[METADATA_KEY]["iterations"]
    place = int(np.searchsorted(iterations, frame_number(viewer, layer), side="right")) - 1
    return int(iterations[max(place, 0)])


def all_frames(layer: Layer) -> Any:
    """Return the maps or images of a layer, also while it is hidden and keeps only one."""
    return layer.data.whole if isinstance(layer.data, LazyFrames) else layer.data


def keeps_one(layer: Layer) -> bool:
    """Return whether a layer keeps only one of its maps or images, as a hidden one does."""
    return len(layer.data) < len(all_frames(layer))  # a layer may be a proxy: no identity


def frame_axis(viewer: ViewerModel, layer: Layer) -> int:
    """Return the axis of the viewer for the first axis of a layer; axes are aligned at the end."""
    return int(viewer.dims.ndim - layer.ndim)
