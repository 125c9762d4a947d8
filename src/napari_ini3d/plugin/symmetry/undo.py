"""Undo for changes of the values of map layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image

from napari_ini3d.plugin import METADATA_KEY, map_statistics
from napari_ini3d.plugin.viewer import (
    Origin,
    layer_metadata,
    set_metadata,
)

_MOST_STEPS = 5
_CHANGED = ("origin", "axes", "mean", "std", "density_scale")


@dataclass(frozen=True, eq=False)
class _Step:
    """A layer before a change."""

    data: Any
    entries: dict[str, Any]


class MapChanges:
    """Changes layers in place, with undo."""

    def __init__(self) -> None:
        self._steps: WeakKeyDictionary[Image, list[_Step]] = WeakKeyDictionary()

    def can_undo(self, layer: Image | None) -> bool:
        """Tell whether a change of a layer can be undone."""
        return layer is not None and bool(self._steps.get(layer))

    def replace(self, layer: Image, origin: Origin) -> None:
        """Replace the values of a layer, and their metadata; its axes are forgotten."""
        own = layer_metadata(layer)
        entries = {name: own[name] for name in _CHANGED if name in own}
        steps = self._steps.setdefault(layer, [])
        steps.append(_Step(layer.data, entries))
        del steps[:-_MOST_STEPS]
        layer.data = origin.result
        set_metadata(layer, origin=origin, axes=None, **map_statistics(origin.result))

    def undo(self, layer: Image) -> None:
        """Undo the last change of a layer."""
        step = self._steps[layer].pop()
        layer.data = step.data
        kept = {name: x for name, x in layer_metadata(layer).items() if name not in _CHANGED}
        layer.metadata = {**layer.metadata, METADATA_KEY: kept | step.entries}
