"""Layers of maps that were made from the map of another layer."""

from __future__ import annotations

import uuid
from typing import Any

from napari.layers import Image

from napari_ini3d.plugin.viewer.layer_transform import Origin, base_affine, voxel_size_of
from napari_ini3d.plugin.viewer.map_axes import MapAxes, record_axes
from napari_ini3d.plugin.viewer.map_layers import show_map, shown_iteration
from napari_ini3d.plugin.viewer.metadata import get_metadata, layer_metadata

_INHERITED = (
    "path",
    "class_index",
    "iteration",
    "density_scale",
    "file_origin",
    "imposed_on",
    "imposed_group",
)


def short_name_of(layer: Image) -> str:
    """Return the name of a map for maps made from it, such as ``run 3 class 2``."""
    return str(layer.name).removesuffix(", iterations").removesuffix(" aligned")


def is_map_of_file(layer: Image) -> bool:
    """Tell whether the map of a layer is that of its file, apart from motions and the hand."""
    return get_metadata(layer, "source") is None or bool(get_metadata(layer, "only_moved"))


def add_derived_map(
    viewer: Any,
    layer: Image,
    origin: Origin,
    name: str,
    *,
    axes: MapAxes | None = None,
    key: str | None = None,
    colormap: str = "gray",
    only_moved: bool = False,
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
    only_moved : bool
        The map is that of the other layer, moved or mirrored: the files of its run belong to it.
    """
    own = layer_metadata(layer)
    inherited = {entry: own[entry] for entry in _INHERITED if entry in own}
    if "iterations" in own:
        inherited["iteration"] = shown_iteration(viewer, layer)
    inherited["only_moved"] = only_moved and is_map_of_file(layer)
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
