"""Agreement of the map that is chosen in the dock and the maps that are shown in the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from qtpy.QtCore import QObject, QTimer

from napari_ini3d.plugin.compare import SideBySide
from napari_ini3d.plugin.viewer import (
    LayerCombo,
    axes_layers,
    connect_to_layers,
    connect_to_viewer,
    is_dock_hidden,
    is_map_layer,
    unwrap_proxy,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


class ShownMap(QObject):
    """Shows the map that is chosen in a list, and chooses the map that is shown.

    - A map that the user chooses, or opens by itself, becomes visible, and other maps are hidden.
    - At the end of a comparison, the chosen map is shown.
    - If the chosen map is hidden, or the user selects another visible map in the layer list, that
      one is chosen.
    - Axes are visible together with their map, and named after it.

    Nothing is changed while maps are shown side by side, or the dock is hidden.

    Parameters
    ----------
    owner : QObject
    viewer : weak reference to a napari viewer
    combo : LayerCombo
    comparison : SideBySide
    """

    def __init__(
        self,
        owner: QObject,
        viewer: ReferenceType[napari.Viewer],
        combo: LayerCombo,
        comparison: SideBySide,
    ) -> None:
        super().__init__(owner)
        self._viewer, self._combo, self._comparison = viewer, combo, comparison
        self._timer = QTimer(self)  # several layers are shown and hidden at once
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._follow)
        self._opened: list[ReferenceType[Image]] = []
        self._ended = False  # a comparison
        comparison.changed.connect(self._on_comparison)
        combo.activated.connect(self._on_activated)
        real: Any = viewer()
        connect_to_viewer(
            self,
            real,
            {
                "layers.events.inserted": self._on_inserted,
                "layers.selection.events.active": self._on_view,
            },
        )
        connect_to_layers(self, real, "visible", self._on_visible)
        connect_to_layers(self, real, "name", self._on_name)

    def show(self, layer: Image) -> None:
        """Show a map, and hide the others."""
        viewer: Any = self._viewer()
        if viewer is None:
            return
        layer = unwrap_proxy(layer)
        layer.visible = True
        for other in viewer.layers:
            if other is not layer and is_map_layer(other) and other.visible:
                other.visible = False

    def _on_activated(self, _index: int) -> None:
        layer = self._combo.layer
        if layer is None:
            return
        if self._comparison.active and layer in self._comparison.maps:
            return
        self._comparison.leave()
        self.show(layer)

    def _on_inserted(self, event: Any) -> None:
        if is_map_layer(event.value):
            self._opened.append(ref(event.value))
        self._on_view()

    def _on_visible(self, event: Any) -> None:
        viewer = self._viewer()
        if viewer is not None and is_map_layer(event.source):
            for part in axes_layers.parts_of(viewer, event.source):
                part.visible = event.source.visible
        self._on_view()

    def _on_name(self, event: Any) -> None:
        viewer = self._viewer()
        if viewer is not None and is_map_layer(event.source):
            axes_layers.rename_parts(viewer, event.source)

    def _on_comparison(self) -> None:
        self._ended = not self._comparison.active
        self._timer.start()

    def _on_view(self, _event: Any = None) -> None:
        self._timer.start()

    def _follow(self) -> None:
        """Choose the map that is shown."""
        viewer: Any = self._viewer()
        opened, ended = self._opened, self._ended
        self._opened, self._ended = [], False
        if viewer is None or self._comparison.active or is_dock_hidden(self._combo):
            return
        chosen, active = self._combo.layer, viewer.layers.selection.active
        shown = [layer for layer in viewer.layers if is_map_layer(layer) and layer.visible]
        if ended and not opened and chosen is not None and not chosen.visible:
            self.show(chosen)
            return
        if any(layer is active for layer in shown):
            self._combo.choose(active)
            if len(opened) == 1 and opened[0]() is active:  # several: the classes of a run
                self.show(active)
        elif shown and (chosen is None or not chosen.visible):
            self._combo.choose(shown[-1])
