"""The meshes of all maps of a viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari.layers import Image, Layer, Surface
from qtpy.QtCore import QObject, Signal

from napari_ini3d.plugin.viewer.connections import PerViewer, unwrap_proxy
from napari_ini3d.plugin.viewer.mesh_layers import MapMesh
from napari_ini3d.plugin.viewer.metadata import get_metadata

if TYPE_CHECKING:
    import napari


class MapMeshes(QObject):
    """The meshes of the maps of a viewer.

    Signals
    -------
    updated : Image
        The mesh of a map is up to date.
    """

    updated = Signal(object)

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._meshes: WeakKeyDictionary[Image, MapMesh] = WeakKeyDictionary()
        self._started = False

    @classmethod
    def of(cls, viewer: napari.Viewer) -> MapMeshes:
        """Return the meshes of a viewer; the same object each time."""
        return _meshes.of(viewer)

    def start(self) -> None:
        """Draw maps as meshes from now on, also those that are there already."""
        viewer: Any = self._viewer()
        if viewer is None or self._started:
            return
        self._started = True
        # last, when napari has finished adding or removing a map
        viewer.layers.events.inserted.connect(self._on_inserted, position="last")
        viewer.layers.events.removed.connect(self._on_removed, position="last")
        for layer in [*viewer.layers]:
            self._add(layer)

    def find(self, layer: Image) -> MapMesh | None:
        """Return the mesh of a map; None if it is drawn as a volume."""
        found = self._meshes.get(unwrap_proxy(layer))
        return None if found is None or found.ended else found

    def _on_inserted(self, event: Any) -> None:
        self._add(event.value)

    def _add(self, layer: Any) -> None:
        viewer: Any = self._viewer()
        if viewer is not None and get_metadata(layer, "kind") in ("map", "run"):
            mesh = self._meshes[layer] = MapMesh(viewer, layer)
            of_layer = ref(layer)
            mesh.updated.connect(lambda: self.updated.emit(of_layer()))

    def _on_removed(self, event: Any) -> None:
        gone = event.value
        own = self._meshes.pop(gone, None)
        if own is not None:
            own.end()
            return
        for layer, mesh in [*self._meshes.items()]:
            if mesh.mesh is gone:
                del self._meshes[layer]
                mesh.end()


_meshes = PerViewer(MapMeshes)


def mesh_of(viewer: Any, layer: Layer) -> Surface | None:
    """Return the layer of the mesh of a map; None if the map is drawn as a volume."""
    for other in viewer.layers:
        if get_metadata(other, "mesh_of") == layer.unique_id:
            return other
    return None
