"""What was found for the map of a layer, until the layer shows another map.

A layer shows another map when its values are replaced, when the slider of a run is moved, or when
it is given another voxel size: results are in ångström.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

from napari.layers import Layer

from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.plugin.viewer.shown_volume import all_frames, frame_number, iteration_number

Result = TypeVar("Result")

_KEPT = 5  # maps of one layer


@dataclass(frozen=True, eq=False)
class MapToken:
    """Identity of the map that a layer shows.

    Attributes
    ----------
    data : weak reference, or None
        To the values; None for the maps of a run, which grows by iterations.
    frame : int or None
        Iteration of a run, or number of the map in a stack of maps.
    """

    data: ReferenceType[Any] | None
    frame: int | None
    voxel: tuple[Any, ...] = ()
    """Sides of a voxel with their units."""

    @classmethod
    def of(cls, viewer: Any, layer: Layer) -> Self:
        """Return the identity of the map that a layer shows now."""
        voxel = (*(float(side) for side in layer.scale[-3:]), *(str(u) for u in layer.units[-3:]))
        if layer.ndim <= 3:
            return cls(ref(layer.data), None, voxel)
        if get_metadata(layer, "iterations") is None:
            return cls(ref(all_frames(layer)), frame_number(viewer, layer), voxel)
        return cls(None, iteration_number(viewer, layer), voxel)

    def is_shown(self, viewer: Any, layer: Layer) -> bool:
        """Tell whether a layer still shows the map."""
        now = MapToken.of(viewer, layer)
        same_data = self.data is None or self.data() is (now.data and now.data())
        same_place = (self.frame, self.voxel) == (now.frame, now.voxel)
        return same_data and same_place and (self.data is None) == (now.data is None)


class MapResults(Generic[Result]):
    """Results by map, for the last few maps of every layer."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Layer, list[tuple[MapToken, Result]]] = WeakKeyDictionary()

    def keep(self, viewer: Any, layer: Layer, result: Result) -> None:
        """Keep the result for the map that a layer shows, in place of an earlier one."""
        others = [
            (token, kept)
            for token, kept in self._kept.get(layer, ())
            if not token.is_shown(viewer, layer)
        ]
        self._kept[layer] = [*others, (MapToken.of(viewer, layer), result)][-_KEPT:]

    def find(self, viewer: Any, layer: Layer | None) -> Result | None:
        """Return the result for the map that a layer shows; None if there is none."""
        if layer is None or viewer is None:
            return None
        for token, result in self._kept.get(layer, ()):
            if token.is_shown(viewer, layer):
                return result
        return None
