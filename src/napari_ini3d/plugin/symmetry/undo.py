"""Changes of the values of map layers, and the way back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image

from napari_ini3d.plugin import map_statistics
from napari_ini3d.plugin.viewer import (
    MapAxes,
    Origin,
    base_affine,
    get_metadata,
    layer_metadata,
    set_metadata,
    show_map,
    voxel_size_of,
)

_MOST_STEPS = 5
_CHANGED = ("origin", "axes", "mean", "std", "density_scale")
_INHERITED = ("path", "class_index", "iteration", "density_scale")


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


def add_beside(
    viewer: Any,
    layer: Image,
    origin: Origin,
    name: str,
    *,
    axes: MapAxes | None = None,
    key: str | None = None,
    colormap: str = "gray",
) -> Image:
    """Show a map that was made from a layer's, in the same place and at the same level.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image
        Where it comes from.
    origin : Origin
        The map to be shown is its result, in the layer's values.
    name, colormap : str
        Of the layer, where it is new.
    axes : MapAxes, optional
        Its symmetry axes.
    key : str, optional
        A layer that was shown under this key is updated.
    """
    own = layer_metadata(layer)
    inherited = {entry: own[entry] for entry in _INHERITED if entry in own}
    new = show_map(
        viewer,
        origin.result,
        voxel_size_of(layer),
        name,
        key=key or uuid.uuid4().hex,
        colormap=colormap,
        metadata=inherited | {"origin": origin, "axes": axes, "source": layer.unique_id},
    )
    new.scale, new.translate = layer.scale[-3:], layer.translate[-3:]
    new.units = layer.units[-3:]
    new.affine = base_affine(layer)
    new.contrast_limits_range = layer.contrast_limits_range
    new.contrast_limits = layer.contrast_limits
    new.iso_threshold = layer.iso_threshold
    return new
