"""Layers of maps that were made from the map of another layer."""

from __future__ import annotations

import uuid
from typing import Any

from napari.layers import Image

from napari_ini3d.plugin.viewer.layer_transform import Origin, base_affine, voxel_size_of
from napari_ini3d.plugin.viewer.map_axes import MapAxes, record_axes
from napari_ini3d.plugin.viewer.map_layers import show_map
from napari_ini3d.plugin.viewer.metadata import layer_metadata

_INHERITED = ("path", "class_index", "iteration", "density_scale", "file_origin")


def short_name_of(layer: Image) -> str:
    """Return the name of a map for maps made from it, such as ``run 3 class 2``."""
    return str(layer.name).removesuffix(", iterations").removesuffix(" aligned")


def add_derived_map(
    viewer: Any,
    layer: Image,
    origin: Origin,
    name: str,
    *,
    axes: MapAxes | None = None,
    key: str | None = None,
    colormap: str = "gray",
) -> Image:
    """Show a map that was computed from another layer, at the same place and level.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image
        The other layer.
    origin : Origin
        Its result is the map to show, scaled as the layer.
    name, colormap : str
        Of the new layer.
    axes : MapAxes, optional
        Its symmetry axes.
    key : str, optional
        A layer with this key is updated.
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
        metadata=inherited | {"origin": origin, "source": layer.unique_id},
    )
    record_axes(viewer, new, axes)
    new.scale, new.translate = layer.scale[-3:], layer.translate[-3:]
    new.units = layer.units[-3:]
    new.affine = base_affine(layer)
    new.contrast_limits_range = layer.contrast_limits_range
    new.contrast_limits = layer.contrast_limits
    new.iso_threshold = layer.iso_threshold
    return new
