"""Layers of axes: X, Y and Z, the symmetry axes of a map, and its self-rotation function.

They are drawn in voxels of the map and placed by an affine. In the preview of a motion, X, Y and Z
stay as in RELION's convention, and the symmetry axes move with the map.

Axes that the map has are solid lines. Those of a group that does not hold are dashed, and those of
RELION's convention, which say nothing about the map, are dashed and grey; both are named on the
canvas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from napari.layers import Layer, Points, Surface, Vectors
from napari.utils import Colormap
from napari.utils.colormaps.standardize_color import transform_color

from napari_ini3d._types import FloatArray, IntArray
from napari_ini3d.plugin import MAP_AXES, METADATA_KEY
from napari_ini3d.plugin.viewer.layer_transform import scene_from_map
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.map_results import MapResults
from napari_ini3d.plugin.viewer.meshes import axis_mark, join_meshes, sphere_mesh
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.plugin.viewer.shown_volume import shown_volume
from napari_ini3d.symmetry import SelfRotation, find_particle_extent

Part = Literal["frame", "letters", "axes", "marks", "ideal", "ideal marks", "subunits", "sphere"]

# Okabe and Ito's colours, distinguishable by the colour-blind; the axes have letters, too.
FRAME_COLOURS = {"X": "#d55e00", "Y": "#009e73", "Z": "#56b4e9"}
ORDER_COLOURS = {2: "#e0b000", 3: "#cc79a7", 4: "#3b82c4", 5: "#7a6ad8", 6: "#e08a2e"}
OTHER_COLOUR = "#8c8c8c"
IDEAL_COLOUR = "#b4b4b4"

FRAME_PARTS: tuple[Part, ...] = ("frame", "letters")
SYMMETRY_PARTS: tuple[Part, ...] = ("axes", "marks")
IDEAL_PARTS: tuple[Part, ...] = ("ideal", "ideal marks")
LINE_PARTS: tuple[Part, ...] = (*FRAME_PARTS, *SYMMETRY_PARTS, *IDEAL_PARTS, "subunits")
ALL_PARTS: tuple[Part, ...] = (*LINE_PARTS, "sphere")

_FIXED: tuple[Part, ...] = FRAME_PARTS + IDEAL_PARTS  # do not move in a preview
_FRAME_REACH, _AXES_REACH, _SPHERE_REACH = 1.4, 1.2, 1.12  # of the radius of the particle
LETTER_REACH = 1.5
_LEAST_REACH, _MOST_REACH = 0.2, 0.62  # of the box
_FRAME_WIDTH, _AXES_WIDTH, _MARK_RADIUS = 0.04, 0.045, 0.1  # of the radius of the particle
_MANY_AXES = 10
LESS_COLOUR, EQUAL_COLOUR, MORE_COLOUR = "#e69f00", "#d0d0d0", "#56b4e9"  # of a subunit's density
_SUBUNIT_SIZE, _FULL_DIFFERENCE = 0.34, 0.3  # of the radius; of the density, in full colour
_SMALL_BOX = 64  # voxels in which the radius of the particle is found
_DASHES = 9  # of an axis, an odd number: one in the middle, and one at each end
_SEE_THROUGH = Colormap(
    [[0.3, 0.2, 0.5, 0.1], [0.45, 0.1, 0.5, 0.3], [0.9, 0.4, 0.3, 0.8], [1.0, 0.95, 0.6, 1.0]],
    name="self-rotation",
)


_radii: MapResults[float] = MapResults()


def order_colour(order: int) -> str:
    """Return the colour of axes of an order."""
    return ORDER_COLOURS.get(order, OTHER_COLOUR)


def difference_colour(difference: float) -> str:
    """Return the colour of a subunit, from its relative difference in density: #rrggbb."""
    share = min(abs(difference) / _FULL_DIFFERENCE, 1.0)
    equal, full = transform_color([EQUAL_COLOUR, LESS_COLOUR if difference < 0 else MORE_COLOUR])
    red, green, blue = np.rint(255 * (equal + share * (full - equal)))[:3].astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def particle_radius(viewer: Any, layer: Layer) -> float:
    """Return the radius of the particle of a map about voxel n // 2, in voxels.

    It is found once for each map, and in a small box: the window waits for it.
    """
    known = _radii.find(viewer, layer)
    if known is None:
        known = _find_radius(shown_volume(viewer, layer))
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
    return float(min(max(radius, _LEAST_REACH * n), _MOST_REACH * n / _AXES_REACH))


def show_frame(viewer: Any, layer: Layer, radius: float, *, through: bool = True) -> list[Layer]:
    """Show X, Y and Z with their letters at a map.

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
    reach = _FRAME_REACH * radius
    lines = np.zeros((3, 2, 3))
    letters = np.zeros((3, 3))
    for row in range(3):
        lines[row, 0, 2 - row] = -reach
        lines[row, 1, 2 - row] = 2 * reach
        letters[row, 2 - row] = LETTER_REACH * radius
    colours = transform_color(list(FRAME_COLOURS.values()))
    frame = Vectors(
        lines,
        edge_color=colours,
        edge_width=_FRAME_WIDTH * radius,
        vector_style="line",
        **_keywords(layer, "frame", "X Y Z", through=through),
    )
    marks = Points(
        letters,
        size=0.01,
        face_color="transparent",
        border_color="transparent",
        features={"letter": list(FRAME_COLOURS)},
        text={"string": "{letter}", "size": 15, "color": {"array": colours, "default": "white"}},
        **_keywords(layer, "letters", "letters", through=True),
    )
    return [_put(viewer, layer, "frame", frame), _put(viewer, layer, "letters", marks)]


def show_symmetry_axes(
    viewer: Any, layer: Layer, found: MapAxes, radius: float, *, through: bool = True
) -> list[Layer]:
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
    through : bool
        Visible through the map.
    """
    lines, marks = SYMMETRY_PARTS if found.found else IDEAL_PARTS
    hide_parts(viewer, layer, (lines, marks))
    if not found.axes:
        return []
    many = len(found.axes) > _MANY_AXES
    colours = transform_color(
        [order_colour(axis.order) if found.found else IDEAL_COLOUR for axis in found.axes]
    )
    segments = _axis_lines(found, radius)  # (A, D, 2, 3)
    axes = Vectors(
        segments.reshape(-1, 2, 3),
        edge_color=np.repeat(colours, segments.shape[1], axis=0),
        edge_width=_AXES_WIDTH * radius * (0.5 if many else 1.0),
        vector_style="line",
        **_keywords(layer, lines, found.label, through=through),
    )
    vertices, faces, tints = _axis_marks(found, colours, radius * (0.65 if many else 1.0), radius)
    name = found.label.replace("axes", "marks", 1)
    symbols = Surface(
        (vertices, faces),
        vertex_colors=tints,
        shading="none",
        **_keywords(layer, marks, name, through=through),
    )
    shown = [_put(viewer, layer, lines, axes), _put(viewer, layer, marks, symbols)]
    shown[0].name_overlay.visible = not found.holds
    return shown


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
    places = np.array([one.place for one in found.subunits])[:, ::-1]  # (G, 3), (z, y, x)
    points = Points(
        places,
        size=_SUBUNIT_SIZE * radius,
        face_color=[difference_colour(one.difference) for one in found.subunits],
        border_width=0.0,
        shading="spherical",
        **_keywords(layer, "subunits", f"density of {found.group} copies", through=through),
    )
    return _put(viewer, layer, "subunits", points)


def _axis_lines(found: MapAxes, radius: float) -> FloatArray:
    """Return each axis as lines (start, vector) in (z, y, x): (A, D, 2, 3), dashed or not."""
    directions = np.array([axis.direction for axis in found.axes])[:, None]  # (A, 1, 3)
    reach = _AXES_REACH * radius
    pieces = 1 if found.holds else 2 * _DASHES - 1
    starts = np.linspace(-reach, reach, pieces + 1)[:-1:2, None]  # (D, 1)
    vectors = np.broadcast_to(2 * reach / pieces * directions, (len(found.axes), len(starts), 3))
    lines = np.stack([np.array(found.centre) + starts * directions, vectors], axis=2)
    return np.ascontiguousarray(lines[..., ::-1])


def _axis_marks(
    found: MapAxes, colours: FloatArray, size: float, radius: float
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return vertices, faces and colours of the symbols at both ends of the axes."""
    meshes, tints = [], []
    for axis, colour in zip(found.axes, colours, strict=True):
        for end in (-1, 1):
            direction = end * np.array(axis.direction)
            place = np.array(found.centre) + _AXES_REACH * radius * direction
            vertices, faces, shade = axis_mark(
                axis.order, direction.tolist(), place, _MARK_RADIUS * size
            )
            meshes.append((vertices, faces))
            tints.append(np.column_stack([shade[:, None] * colour[:3], np.ones(len(shade))]))
    return *join_meshes(meshes), np.concatenate(tints)


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
    return _put(viewer, layer, "sphere", sphere)


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
        other.affine = scene_from_map(layer, moved=not get_metadata(other, "fixed"))


def remove_orphans(viewer: Any) -> None:
    """Remove axes whose map is not in the viewer any more."""
    there = {layer.unique_id for layer in viewer.layers}
    for other in [*viewer.layers]:
        owner = get_metadata(other, "of")
        if owner is not None and owner not in there:
            viewer.layers.remove(other)


def _put(viewer: Any, layer: Layer, part: Part, new: Layer) -> Layer:
    hide_parts(viewer, layer, (part,))
    selected = {*viewer.layers.selection}
    viewer.add_layer(new)
    new.affine = scene_from_map(layer, moved=not get_metadata(new, "fixed"))  # now in 3D
    viewer.layers.selection = selected  # keep the controls of the map
    return new


def _keywords(layer: Layer, part: Part, name: str, *, through: bool) -> Mapping[str, Any]:
    own = {"kind": "axes", "of": layer.unique_id, "part": part, "fixed": part in _FIXED}
    return {
        "name": f"{layer.name}: {name}",
        "units": layer.units[-3:],
        "axis_labels": MAP_AXES,
        "blending": "translucent_no_depth" if through else "translucent",
        "visible": layer.visible,
        "metadata": {METADATA_KEY: own},
    }
