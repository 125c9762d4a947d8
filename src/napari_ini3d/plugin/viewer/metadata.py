"""Entries that the plugin keeps in the metadata of a layer, under ``metadata["ini3d"]``.

They travel with the layer: one that was renamed, moved in the list or duplicated keeps them.
"""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from napari_ini3d.plugin import METADATA_KEY


def layer_metadata(layer: Layer) -> dict[str, Any]:
    """Return all entries of a layer; empty if it is not one of the plugin's."""
    entries: dict[str, Any] = layer.metadata.get(METADATA_KEY, {})
    return entries


def get_metadata(layer: Layer, entry: str) -> Any:
    """Return one entry of a layer; None if it has none of that name."""
    return layer_metadata(layer).get(entry)


def set_metadata(layer: Layer, **entries: Any) -> None:
    """Set entries of a layer; the others stay."""
    layer.metadata = {**layer.metadata, METADATA_KEY: {**layer_metadata(layer), **entries}}
