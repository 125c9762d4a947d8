"""Layers of axes: X, Y and Z, the symmetry axes of a map, and its self-rotation function.

X, Y, Z and the symmetry axes of a map are one mesh, and one entry of the layer list. It is drawn in
voxels of the map and placed by an affine. In the preview of a motion, X, Y and Z stay as in
RELION's convention, and the symmetry axes move with the map.

Axes that the map has are solid lines. Those of a group that does not hold are dashed, and those of
RELION's convention, which say nothing about the map, are dashed and grey, and a layer of their own;
both are named on the canvas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal
from weakref import ref

import numpy as np
from napari.layers import Layer, Points, Surface
from napari.utils import Colormap

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin import MAP_AXES, METADATA_KEY
from napari_ini3d.plugin.viewer.axes_mesh import (
    AXES_REACH,
    AxisLine,
    DrawnAxes,
    axes_mesh,
    difference_colour,
    frame_reach,
    letter_vertices,
    lines_of,
)
from napari_ini3d.plugin.viewer.connections import PerViewer
from napari_ini3d.plugin.viewer.dependent_layers import remove_dependent
from napari_ini3d.plugin.viewer.layer_transform import scene_from_map, trial_of, voxel_size_of
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.map_meshes import mesh_of
from napari_ini3d.plugin.viewer.map_results import MapResults
from napari_ini3d.plugin.viewer.meshes import sphere_mesh
from napari_ini3d.plugin.viewer.metadata import get_metadata, set_metadata
from napari_ini3d.plugin.viewer.screen import directions_in_layer, screen_directions
from napari_ini3d.plugin.viewer.shown_volume import shown_volume
from napari_ini3d.symmetry import SelfRotation, find_particle_extent

Part = Literal["axes", "ideal", "subunits", "sphere"]

LINE_PARTS: tuple[Part, ...] = ("axes", "ideal", "subunits")
ALL_PARTS: tuple[Part, ...] = (*LINE_PARTS, "sphere")

_SPHERE_REACH, _SUBUNIT_SIZE = 1.12, 0.34  # of the radius of the particle
_LEAST_REACH, _MOST_REACH = 0.2, 0.62  # of the box
_LEAST_ROOM = 100  # pixels; docks take nearly all of the window
_SMALL_BOX = 64  # voxels in which the radius of the particle is found
_SEE_THROUGH = Colormap(
    [[0.3, 0.2, 0.5, 0.1], [0.45, 0.1, 0.5, 0.3], [0.9, 0.4, 0.3, 0.8], [1.0, 0.95, 0.6, 1.0]],
    name="self-rotation",
)

_radii: MapResults[float] = MapResults()


def particle_radius(viewer: Any, layer: Layer) -> float:
    """Return the radius of the particle of a map about voxel n // 2, in voxels.

    It is found once for each map, and in a small box: the window waits for it.
    """
    known = _radii.find(viewer, layer)
    if known is None:
        try:
            known = _find_radius(shown_volume(viewer, layer))
        except (Ini3dError, OSError):  # of a file that is gone
            return float(layer.data.shape[-1] / 4)
        _radii.keep(viewer, layer, known)
    return known


def _find_radius(volume: FloatArray) -> float:
    n = volume.shape[0]
    step = -(-n // _SMALL_BOX)
    kept = n // step * step
    small = volume[:kept, :kept, :kept].reshape((kept // step, step) * 3).mean((1, 3, 5))
    if not np.isfinite(small).all() or small.min() == small.max():
        return float(0.35 * n)
    extent = find_particle_extent(small)
    radius = step * (extent.radius + float(np.linalg.norm(extent.centre)))
    return float(min(max(radius, _LEAST_REACH * n), _MOST_REACH * n / AXES_REACH))


def show_frame(viewer: Any, layer: Layer, radius: float, *, through: bool = True) -> Layer:
    """Show X, Y and Z with their letters at a map, beside its symmetry axes.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image
        The map.
    radius : float
        Of the particle, voxels.
    through : bool
        Visible through the map.
    """
    existing = find_part(viewer, layer, "axes")
    before = DrawnAxes(radius) if existing is None else get_metadata(existing, "drawn")
    return _show(viewer, layer, "axes", replace(before, radius=radius, frame=True), through=through)


def fit_frame(viewer: Any, layer: Layer, radius: float) -> None:
    """Zoom out if X, Y and Z at a map do not fit on the canvas, or in its cell of a grid."""
    room = min(viewer.canvas.viewbox_size(viewer.layers))
    if room >= _LEAST_ROOM:
        zoom = room / (2 * frame_reach(radius) * voxel_size_of(layer))
        viewer.scene.camera.zoom = min(viewer.scene.camera.zoom, zoom)


def show_symmetry_axes(
    viewer: Any,
    layer: Layer,
    found: MapAxes,
    radius: float,
    *,
    frame: bool = False,
    through: bool = True,
) -> Layer | None:
    """Show the symmetry axes of a map, with the symbol of their order at both ends.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image
        The map.
    found : MapAxes
        Those of RELION's convention are shown beside those of the map, not in their place.
    radius : float
        Of the particle, voxels.
    frame : bool
        With X, Y and Z, as `show_frame`, which stay if they are shown already.
    through : bool
        Visible through the map.
    """
    part: Part = "axes" if found.found else "ideal"
    existing = find_part(viewer, layer, part)
    frame = frame or (existing is not None and get_metadata(existing, "drawn").frame)
    if not found.axes and not frame:
        hide_parts(viewer, layer, (part,))
        return None
    drawn = DrawnAxes(radius, frame, found if found.axes else None)
    return _show(viewer, layer, part, drawn, through=through)


def _show(viewer: Any, layer: Layer, part: Part, drawn: DrawnAxes, *, through: bool) -> Layer:
    """Show axes at a map, in place of those shown before."""
    hide_parts(viewer, layer, (part,))
    vertices, faces, colours = axes_mesh(_placed(drawn, layer), *_screen(viewer, layer))
    axes = drawn.axes
    name = "X Y Z" if axes is None else axes.label
    new = Surface(
        (vertices, faces),
        vertex_colors=colours,
        shading="none",
        **_keywords(layer, part, name, through=through),
    )
    set_metadata(new, drawn=drawn)
    _insert(viewer, layer, new, scene_from_map(layer, moved=False))
    new.name_overlay.visible = axes is not None and not axes.holds
    if drawn.frame:
        _FacingLetters.of(viewer)
    return new


def show_subunits(
    viewer: Any, layer: Layer, found: MapAxes, radius: float, *, through: bool = True
) -> Layer:
    """Show where the copies of a group that does not hold differ, coloured by their density.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image
        The map.
    found : MapAxes
        With subunits.
    radius : float
        Of the particle, voxels.
    through : bool
        Visible through the map.
    """
    hide_parts(viewer, layer, ("subunits",))
    places = np.array([one.place for one in found.subunits])[:, ::-1]  # (G, 3), (z, y, x)
    points = Points(
        places,
        size=_SUBUNIT_SIZE * radius,
        face_color=[difference_colour(one.difference) for one in found.subunits],
        border_width=0.0,
        shading="spherical",
        **_keywords(layer, "subunits", f"density of {found.group} copies", through=through),
    )
    _insert(viewer, layer, points, scene_from_map(layer))
    return points


def has_symmetry_axes(layer: Layer) -> bool:
    """Tell whether a layer shows symmetry axes, of a map or of RELION's convention."""
    drawn: DrawnAxes | None = get_metadata(layer, "drawn")
    return drawn is not None and drawn.axes is not None


def axes_lines(layer: Layer, of_map: Layer) -> list[AxisLine]:
    """Return the lines of a layer of axes, in voxels of their map: see `scene_from_map`."""
    return lines_of(_placed(get_metadata(layer, "drawn"), of_map))


def _placed(drawn: DrawnAxes, layer: Layer) -> DrawnAxes:
    """Return axes where they are shown: symmetry axes of the map move in a preview."""
    if drawn.axes is None or not drawn.axes.found:
        return drawn
    return replace(drawn, axes=drawn.axes.moved(trial_of(layer)))


def _screen(viewer: Any, layer: Layer) -> FloatArray:
    """Return to the right and upwards on the screen, unit vectors (2, 3) of a map, (x, y, z)."""
    return directions_in_layer(screen_directions(viewer)[:2], scene_from_map(layer, moved=False))


class _FacingLetters:
    """Turns the letters of X, Y and Z to the camera of a viewer."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = ref(viewer)
        viewer.scene.camera.events.angles.connect(self._on_angles)

    @classmethod
    def of(cls, viewer: Any) -> _FacingLetters:
        """Return that of a viewer; the same object each time."""
        return _facing.of(viewer)

    def _on_angles(self, _event: Any) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        by_id = {layer.unique_id: layer for layer in viewer.layers}
        for other in viewer.layers:
            drawn, owner = get_metadata(other, "drawn"), by_id.get(get_metadata(other, "of"))
            if drawn is None or owner is None or not drawn.frame or not other.visible:
                continue
            letters = letter_vertices(drawn, *_screen(viewer, owner))
            other.vertices = np.concatenate([other.vertices[: -len(letters)], letters])


_facing = PerViewer(_FacingLetters)


def show_self_rotation(
    viewer: Any,
    layer: Layer,
    found: SelfRotation,
    order: int,
    *,
    radius: float,
    centre: FloatArray,
) -> Layer:
    """Show the self-rotation function on a sphere: the fit of the map to its rotated copy.

    Low values are transparent; a symmetry axis of that order is a bright spot.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image
        The map.
    found : SelfRotation
    order : int
        One of ``found.orders``.
    radius : float
        Of the particle, voxels.
    centre : (3,)
        Intersection of the axes, voxels (x, y, z).
    """
    corners, faces, source = sphere_mesh(found.directions)
    values = found.values[found.orders.index(order)][source]
    places = np.asarray(centre) + corners * _SPHERE_REACH * radius
    vertices = np.ascontiguousarray(places[:, ::-1], dtype=np.float32)
    existing = find_part(viewer, layer, "sphere")
    if existing is not None:
        existing.data = (vertices, faces, values)
        existing.name = f"{layer.name}: {order}-fold self-rotation"
        return existing
    sphere = Surface(
        (vertices, faces, values),
        colormap=_SEE_THROUGH,
        contrast_limits=(0.0, 1.0),
        shading="none",
        **_keywords(layer, "sphere", f"{order}-fold self-rotation", through=False),
    )
    _insert(viewer, layer, sphere, scene_from_map(layer))
    return sphere


def find_part(viewer: Any, layer: Layer, part: Part) -> Layer | None:
    """Return one of the axes layers of a map; None if it is not shown."""
    for other in viewer.layers:
        if get_metadata(other, "of") == layer.unique_id and get_metadata(other, "part") == part:
            return other
    return None


def parts_of(viewer: Any, layer: Layer) -> list[Layer]:
    """Return all axes layers of a map."""
    return [other for other in viewer.layers if get_metadata(other, "of") == layer.unique_id]


def hide_parts(viewer: Any, layer: Layer, parts: tuple[Part, ...]) -> None:
    """Remove axes layers of a map."""
    for part in parts:
        found = find_part(viewer, layer, part)
        if found is not None:
            viewer.layers.remove(found)


def follow_map(viewer: Any, layer: Layer) -> None:
    """Move the axes of a map to its current position."""
    for other in parts_of(viewer, layer):
        drawn = get_metadata(other, "drawn")
        other.affine = scene_from_map(layer, moved=drawn is None)
        if drawn is not None:
            other.vertices = axes_mesh(_placed(drawn, layer), *_screen(viewer, layer))[0]


def remove_orphans(viewer: Any) -> None:
    """Remove axes whose map is not in the viewer any more."""
    there = {layer.unique_id for layer in viewer.layers}
    for other in [*viewer.layers]:
        owner = get_metadata(other, "of")
        if owner is not None and owner not in there:
            remove_dependent(viewer, other)


def rename_parts(viewer: Any, layer: Layer) -> None:
    """Name what is drawn at a map after it."""
    for part in parts_of(viewer, layer):
        part.name = f"{layer.name}: {part.name.rpartition(': ')[2]}"


def _insert(viewer: Any, layer: Layer, new: Layer, affine: FloatArray) -> None:
    """Insert a layer above a map and its mesh."""
    selected = {*viewer.layers.selection}
    below = [layer, mesh_of(viewer, layer), *parts_of(viewer, layer)]
    place = max(viewer.layers.index(other) for other in below if other is not None)
    viewer.layers.insert(place + 1, new)
    new.affine = affine  # now in 3D
    viewer.layers.selection = selected  # keep the controls of the map


def _keywords(layer: Layer, part: Part, name: str, *, through: bool) -> Mapping[str, Any]:
    return {
        "name": f"{layer.name}: {name}",
        "units": layer.units[-3:],
        "axis_labels": MAP_AXES,
        "blending": "translucent_no_depth" if through else "translucent",
        "visible": layer.visible,
        "metadata": {METADATA_KEY: {"kind": "axes", "of": layer.unique_id, "part": part}},
    }
