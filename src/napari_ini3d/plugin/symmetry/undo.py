"""Changes of the values of map layers, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image

from napari_ini3d.plugin import map_statistics
from napari_ini3d.plugin.viewer import (
    MapAxes,
    Origin,
    get_metadata,
    set_metadata,
)

_MOST_STEPS = 5
_CHANGED = ("origin", "axes", "mean", "std", "density_scale")


@dataclass(frozen=True, eq=False)
class _Step:
    """What a layer was before a change."""

    data: Any
    entries: dict[str, Any]


class MapChanges:
    """Changes layers in place, and takes the changes back."""

    def __init__(self) -> None:
        self._steps: WeakKeyDictionary[Image, list[_Step]] = WeakKeyDictionary()

    def can_undo(self, layer: Image | None) -> bool:
        """Tell whether there is a change of a layer to be taken back."""
        return layer is not None and bool(self._steps.get(layer))

    def replace(self, layer: Image, origin: Origin, axes: MapAxes | None) -> None:
        """Give a layer other values, with what is known of them."""
        entries = {name: get_metadata(layer, name) for name in _CHANGED}
        steps = self._steps.setdefault(layer, [])
        steps.append(_Step(layer.data, entries))
        del steps[:-_MOST_STEPS]
        layer.data = origin.result
        set_metadata(layer, origin=origin, axes=axes, **map_statistics(origin.result))

    def undo(self, layer: Image) -> None:
        """Take the last change of a layer back."""
        step = self._steps[layer].pop()
        layer.data = step.data
        set_metadata(layer, **step.entries)
