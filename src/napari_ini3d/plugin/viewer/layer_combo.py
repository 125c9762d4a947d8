"""Combo box of the maps in a viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox

from napari_ini3d.plugin.viewer.connections import (
    connect_to_layers,
    connect_to_viewer,
    unwrap_proxy,
)
from napari_ini3d.plugin.viewer.layer_transform import is_map_layer
from napari_ini3d.plugin.viewer.task_dock import set_tooltip

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


class LayerCombo(QComboBox):
    """Combo box of the map layers of a viewer, newest first; it follows the layer list.

    At first, the newest visible map is chosen.

    Parameters
    ----------
    viewer : weak reference to a napari viewer

    Signals
    -------
    chosen : Image or None
        Another layer was chosen; None if there is none left.
    offered
        The list of layers has changed.
    """

    chosen = Signal(object)
    offered = Signal()

    def __init__(self, viewer: ReferenceType[napari.Viewer]) -> None:
        super().__init__()
        self._viewer = viewer
        self._offered: list[ReferenceType[Image]] = []
        self._last_chosen: ReferenceType[Image] | None = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        set_tooltip(self, "Choose one of the maps in this window.")
        self.currentIndexChanged.connect(self._emit_chosen)
        real = viewer()
        if real is not None:
            callbacks: dict[str, Callable[..., None]] = {
                "layers.events.inserted": self._on_list,
                "layers.events.removed": self._on_list,
                "layers.events.reordered": self._on_list,
            }
            connect_to_viewer(self, real, callbacks)
            connect_to_layers(self, real, "name", self._on_list)
        self.refresh()

    @property
    def layer(self) -> Image | None:
        """The chosen layer; None if there is no map."""
        index = self.currentIndex()
        return self._offered[index]() if 0 <= index < len(self._offered) else None

    def follow_shown(self) -> None:
        """From now on, choose a map that is shown.

        That is the visible map that the user selects in the layer list, or another visible one when
        the chosen map is hidden.
        """
        timer = QTimer(self)  # several layers are shown and hidden at once
        timer.setSingleShot(True)
        timer.setInterval(0)
        timer.timeout.connect(self._choose_shown)
        real = self._viewer()
        if real is not None:
            callbacks: dict[str, Callable[..., None]] = {
                "layers.events.inserted": lambda _: timer.start(),
                "layers.selection.events.active": lambda _: timer.start(),
            }
            connect_to_viewer(self, real, callbacks)
            connect_to_layers(self, real, "visible", lambda _: timer.start())

    def _choose_shown(self) -> None:
        viewer: Any = self._viewer()
        if viewer is None:
            return
        active, chosen = viewer.layers.selection.active, self.layer
        shown = [layer for layer in viewer.layers if is_map_layer(layer) and layer.visible]
        if any(layer is active for layer in shown):
            self.choose(active)
        elif shown and (chosen is None or not chosen.visible):
            self.choose(shown[-1])

    def choose(self, layer: Image) -> None:
        """Choose a layer."""
        layer = unwrap_proxy(layer)
        for index, offered in enumerate(self._offered):
            if offered() is layer:
                self.setCurrentIndex(index)

    def refresh(self) -> None:
        """Update the list; the chosen layer stays chosen."""
        viewer, before = self._viewer(), self.layer
        layers = [] if viewer is None else [*viewer.layers][::-1]
        layers = [layer for layer in layers if is_map_layer(layer)]
        self.blockSignals(True)
        self.clear()
        self._offered = [ref(layer) for layer in layers]
        for index, layer in enumerate(layers):
            self.addItem(layer.name)
            self.setItemData(index, layer.name, 3)  # the full name as tooltip
        seen = next((i for i, layer in enumerate(layers) if layer.visible), 0)
        index = next((i for i, layer in enumerate(layers) if layer is before), seen)
        self.setCurrentIndex(index if layers else -1)
        self.blockSignals(False)
        self._emit_chosen()
        self.offered.emit()

    def _on_list(self, _event: Any = None) -> None:
        self.refresh()

    def _emit_chosen(self, _index: int = 0) -> None:
        now = self.layer
        before = None if self._last_chosen is None else self._last_chosen()
        if now is not before or (now is None) != (self._last_chosen is None):
            self._last_chosen = None if now is None else ref(now)
            self.chosen.emit(now)
