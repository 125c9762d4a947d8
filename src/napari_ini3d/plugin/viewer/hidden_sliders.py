"""Sliders of hidden stacks: a stack that is hidden keeps only the frame that was shown.

Napari shows a slider for each axis on which a layer is longer than one, whether it is visible or
not. When a layer is shown again, it has all its frames, and the slider is where it was.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, ref

from napari.layers import Image, Layer
from qtpy.QtCore import QObject

from napari_ini3d.plugin import LazyFrames
from napari_ini3d.plugin.viewer.connections import PerViewer
from napari_ini3d.plugin.viewer.shown_volume import all_frames, frame_axis, frame_number, keeps_one


class HiddenSliders(QObject):
    """Takes the frames of stacks that are hidden, and gives them back.

    Parameters
    ----------
    viewer : napari viewer
        Itself, not a proxy.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._kept: WeakKeyDictionary[Layer, int] = WeakKeyDictionary()  # the frame of each
        viewer.layers.events.inserted.connect(self._on_inserted, position="last")
        for layer in viewer.layers:
            self._follow(layer)

    @classmethod
    def of(cls, viewer: Any) -> HiddenSliders:
        """Return that of a viewer; the same object each time."""
        return _sliders.of(viewer)

    def replace(self, layer: Image, frames: LazyFrames, *, follow_from: int) -> None:
        """Replace the frames of a layer, hidden or not, by more.

        Parameters
        ----------
        layer : Image
        frames : LazyFrames
        follow_from : int
            A hidden layer that was at this frame will show the last one.
        """
        number = self._kept.get(layer)
        if number is None:
            _set_data(layer, frames)
            return
        if number == follow_from:
            number = self._kept[layer] = len(frames) - 1
        _set_data(layer, frames.only(number))

    def _on_inserted(self, event: Any) -> None:
        self._follow(event.value)

    def _follow(self, layer: Layer) -> None:
        if isinstance(layer, Image) and isinstance(layer.data, LazyFrames):
            layer.events.visible.connect(self._on_visible)
            self._update(layer)

    def _on_visible(self, event: Any) -> None:
        self._update(event.source)

    def _update(self, layer: Image) -> None:
        viewer = self._viewer()
        if viewer is None or layer not in viewer.layers:
            return
        has_one = keeps_one(layer)
        if not layer.visible and not has_one:
            self._keep_one(viewer, layer)
        elif not layer.visible and layer not in self._kept:  # the copy of a hidden layer
            self._kept[layer] = layer.data.number
        elif layer.visible and has_one:
            self._restore(viewer, layer)

    def _keep_one(self, viewer: Any, layer: Image) -> None:
        if len(layer.data) < 2:
            return
        number = frame_number(viewer, layer)
        self._kept[layer] = number
        _set_data(layer, layer.data.only(number))

    def _restore(self, viewer: Any, layer: Image) -> None:
        number = self._kept.pop(layer, layer.data.number)
        _set_data(layer, all_frames(layer))
        axis = frame_axis(viewer, layer)
        if round(viewer.dims.point[axis]) == 0:  # no other layer has used the slider meanwhile
            viewer.dims.set_point(axis, float(number))


_sliders = PerViewer(HiddenSliders)


def _set_data(layer: Image, frames: LazyFrames) -> None:
    layer.data = frames
    layer.translate = layer.translate  # else napari does not update the ranges of its sliders
