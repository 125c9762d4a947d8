"""Layers of maps: handedness of the scene, updates in place, levels of isosurfaces.

By default napari shows data[z, y, x] left-handed in (x, y, z), so that a map appears as its mirror
image. Here x points right, y up and z towards the viewer, as in ChimeraX and Coot. (Napari's
button calls this left-handed, because it orders the axes z, y, x.)

The state of a layer is kept in its metadata, see `viewer.metadata`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from napari import current_viewer
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin import (
    METADATA_KEY,
    LayerData,
    LazyFrames,
    contour_level,
    density_scale,
    density_scale_of,
    map_layer,
    map_placement,
    map_statistics,
)
from napari_ini3d.plugin.viewer.hidden_sliders import HiddenSliders
from napari_ini3d.plugin.viewer.level_wheel import LevelWheel
from napari_ini3d.plugin.viewer.map_level import (
    level_in_sigma,
    set_level_in_sigma,
    statistics_of,
)
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes
from napari_ini3d.plugin.viewer.metadata import get_metadata, set_metadata
from napari_ini3d.plugin.viewer.prepared_mesh import PreparedMesh
from napari_ini3d.plugin.viewer.rendering import map_rendering
from napari_ini3d.plugin.viewer.shown_volume import frame_axis, iteration_number

MAP_ORIENTATION = ("towards", "up", "right")  # of z, y, x
FLAT_KINDS = (
    "particles",
    "ctf",
    "particle mask",
    "mask circle",
    "particle average",
    "placeholder",
)
"""Kinds of layers that are shown in 2D."""


def prepare_viewer(viewer: ViewerModel) -> None:
    """Prepare a viewer for maps: 3D, right-handed, centred on the rotation centre.

    Maps are drawn as meshes from then on if volumes would be drawn too slowly. The camera is
    changed only once: if the scene is right-handed already, the view is the user's.
    """
    viewer.layers.events.inserted.connect(_on_layer_inserted)
    LevelWheel.of(viewer)
    HiddenSliders.of(viewer)
    if hasattr(viewer, "window") and map_rendering() == "mesh":
        MapMeshes.of(viewer).start()
    if tuple(str(direction) for direction in viewer.scene.camera.orientation) == MAP_ORIENTATION:
        return
    viewer.dims.ndisplay = 3
    viewer.scene.camera.orientation = MAP_ORIENTATION
    centre_camera(viewer)


def prepare_for_opened_maps(viewer: ViewerModel, layers: Sequence[LayerData]) -> None:
    """Prepare a viewer for layers that are opened, if there are maps, unless it shows others.

    Particles are hidden: in 3D they would cut through the map.
    """
    if not any(keywords.get("rendering") for _, keywords, _ in layers):
        return
    flat = [layer for layer in viewer.layers if get_metadata(layer, "kind") in FLAT_KINDS]
    others = [layer for layer in viewer.layers if layer not in flat]
    if any(layer.visible or METADATA_KEY not in layer.metadata for layer in others):
        viewer.layers.events.inserted.connect(_on_layer_inserted)
        return
    prepare_viewer(viewer)
    if flat:
        viewer.dims.ndisplay = 3
        _fit_next_layer(viewer)
    for layer in flat:
        layer.visible = False


def _fit_next_layer(viewer: ViewerModel) -> None:
    """Fit the view to the next layer, as napari does only for the first."""

    def fit(_event: Any) -> None:
        viewer.layers.events.inserted.disconnect(fit)
        viewer.reset_view()
        centre_camera(viewer)

    viewer.layers.events.inserted.connect(fit, position="last")


def centre_camera(viewer: ViewerModel) -> None:
    """Centre the camera on the rotation centre of the maps, the origin of the world.

    Napari would centre it on the extent, half a voxel away.
    """
    viewer.scene.camera.center = (0.0, 0.0, 0.0)


def add_layers(viewer: ViewerModel, layers: Sequence[LayerData]) -> list[Layer]:
    """Add layers, and prepare the viewer for maps; runs are shown at their last iteration.

    Particles are shown as napari shows images, in 2D if there is nothing else.
    """
    HiddenSliders.of(viewer)
    added = []
    for layer in layers:
        if layer[1].get("rendering"):
            prepare_viewer(viewer)
        added.append(viewer.add_layer(Layer.create(*layer)))
        _show_new(viewer, added[-1])
    return added


def show_map(
    viewer: ViewerModel,
    volume: FloatArray,
    voxel_size: float,
    name: str,
    *,
    key: str | None = None,
    colormap: str = "gray",
    metadata: Mapping[str, Any] | None = None,
    scale: float | None = 1.0,
    prepared: PreparedMesh | None = None,
) -> Image:
    """Show a map, in place of the one with the same key.

    An update keeps camera, visibility, colour, name and whatever the user has set. The isosurface
    keeps its level in standard deviations. The contrast limits change only if the level has left
    the part of their range in which a surface is shaded well.

    Parameters
    ----------
    viewer : napari viewer
    volume : (n, n, n)
        Real space (z, y, x), rotation centre at voxel n // 2.
    voxel_size : float
        Å.
    name, colormap : str
        Of a new layer.
    key : str, optional
        Identifies the layer, such as ``run 3, class 1``. Default: the name.
    metadata : mapping, optional
        More entries for ``metadata["ini3d"]``, such as the iteration.
    scale : float, optional
        Factor of the displayed values; None: chosen so that they are drawn well, see
        `layers.density_scale`.
    prepared : PreparedMesh, optional
        The mesh of the map, if it is known already; see `prepared_mesh`.

    Returns
    -------
    napari.layers.Image
    """
    layer = find_layer(viewer, key or name)
    statistics = map_statistics(volume)
    if scale is None:
        present = None if layer is None else density_scale_of(layer.metadata)
        scale = density_scale(statistics["std"], present)
    entries = {"density_scale": scale, **(metadata or {}), "key": key or name}
    if scale != 1:
        volume = volume * np.float32(scale)
    if layer is None:
        new = map_layer(volume, voxel_size, name, colormap=colormap, metadata=entries)
        (added,) = add_layers(viewer, [new])
        return added
    shown = {name: value * scale for name, value in statistics.items()}
    with _mesh_replaced(viewer, layer, prepared):
        _update_placement(layer, volume.shape, voxel_size)
        sigma = level_in_sigma(layer)
        layer.data = volume
        set_metadata(layer, **entries, voxel_size=voxel_size, **shown)
        set_level_in_sigma(layer, sigma)
    return layer


def _mesh_replaced(
    viewer: ViewerModel, layer: Image, prepared: PreparedMesh | None
) -> AbstractContextManager[None]:
    """Return the context in which a map is replaced, with its mesh if that is known."""
    mesh = None if prepared is None else MapMeshes.of(viewer).find(layer)
    if mesh is None or prepared is None:
        return nullcontext()
    return mesh.replaced_by(prepared.surface, prepared.level)


def show_iteration(viewer: ViewerModel, layer: Image, iteration: int) -> int:
    """Show the last map of a run up to `iteration`, or else the first; return its iteration."""
    iterations = layer.metadata[METADATA_KEY]["iterations"]
    frame = max(int(np.searchsorted(iterations, iteration, side="right")) - 1, 0)
    _show_frame(viewer, layer, int(iterations[frame]))
    return int(iterations[frame])


def shown_iteration(viewer: ViewerModel, layer: Image) -> int:
    """Return the iteration that a layer of a run shows."""
    return iteration_number(viewer, layer)


def find_layer(viewer: ViewerModel, key: str) -> Image | None:
    """Return the layer with a key; None if it was removed."""
    for layer in viewer.layers:
        if get_metadata(layer, "key") == key:
            return layer
    return None


def _update_placement(layer: Image, shape: Sequence[int], voxel_size: float) -> None:
    """Update the placement of a layer if the box or voxel size has changed."""
    placement = map_placement(shape, voxel_size)
    if layer.data.shape != tuple(shape) or not np.allclose(layer.scale, placement["scale"]):
        layer.scale = placement["scale"]
        layer.translate = placement["translate"]


def _show_frame(viewer: ViewerModel, layer: Image, frame: int) -> None:
    viewer.dims.set_point(frame_axis(viewer, layer), float(frame))


def _show_new(viewer: ViewerModel, layer: Layer) -> None:
    """Show a run at its last iteration; centre the camera if the layer is the first."""
    if len(viewer.layers) == 1 and viewer.dims.ndisplay == 3:
        centre_camera(viewer)
    if _is_run(layer):
        _show_frame(viewer, layer, len(layer.data) - 1)


def _is_run(layer: Layer) -> bool:
    return bool(get_metadata(layer, "kind") == "run")


def _on_layer_inserted(event: Any) -> None:
    """Let the level of a run follow the iteration that is shown.

    Layers opened from napari's File menu are handled only here.
    """
    layer = event.value
    if not _is_run(layer):
        return
    layer.events.set_data.connect(_on_frame_shown)
    _keep_level(layer)
    viewer = current_viewer()
    if viewer is not None and viewer.layers is event.source:
        _show_new(viewer, layer)


def _on_frame_shown(event: Any) -> None:
    _keep_level(event.source)


def _keep_level(layer: Image) -> None:
    """Keep the level of a run in standard deviations when another iteration is shown.

    The contrast limits are scaled, too, so that all iterations are shaded alike.
    """
    volume = layer.data.latest if isinstance(layer.data, LazyFrames) else None
    if volume is None:
        return
    statistics = map_statistics(volume)
    if statistics != statistics_of(layer):
        sigma, before = level_in_sigma(layer), float(layer.iso_threshold)
        set_metadata(layer, **statistics)
        level = contour_level(statistics, sigma)
        if before > 0 and level > 0:
            limits = [limit * level / before for limit in layer.contrast_limits]
            layer.contrast_limits_range = layer.contrast_limits = limits
        set_level_in_sigma(layer, sigma)
