"""Lines, symbols and letters of axes as one coloured mesh, in voxels of their map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.utils.colormaps.standardize_color import transform_color

from napari_ini3d._types import Float32, Float64, FloatArray, Int64
from napari_ini3d.plugin.viewer.colours import hex_colour
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.meshes import axis_mark, join_meshes, letter_mesh, rod_mesh

# Okabe and Ito's colours, distinguishable by the colour-blind; the axes have letters, too.
FRAME_COLOURS = {"X": "#d55e00", "Y": "#009e73", "Z": "#56b4e9"}
ORDER_COLOURS = {2: "#e0b000", 3: "#cc79a7", 4: "#3b82c4", 5: "#7a6ad8", 6: "#e08a2e"}
OTHER_COLOUR = "#8c8c8c"
IDEAL_COLOUR = "#b4b4b4"
LESS_COLOUR, EQUAL_COLOUR, MORE_COLOUR = "#e69f00", "#d0d0d0", "#56b4e9"  # of a subunit's density
_FULL_DIFFERENCE = 0.3  # relative, of a density, for the full colour

AXES_REACH, LETTER_REACH = 1.2, 1.5  # of the radius of the particle, as the following
_FRAME_REACH, _LETTER_HEIGHT = 1.4, 0.2
_FRAME_WIDTH, _AXES_WIDTH, _MARK_RADIUS = 0.04, 0.045, 0.1
_MANY_AXES = 10
_DASHES = 9  # of an axis, an odd number: one in the middle, and one at each end


@dataclass(frozen=True)
class DrawnAxes:
    """Axes to draw.

    Attributes
    ----------
    radius : float
        Of the particle, voxels.
    frame : bool
        X, Y and Z.
    axes : MapAxes or None
        Symmetry axes.
    """

    radius: float
    frame: bool = False
    axes: MapAxes | None = None


@dataclass(frozen=True, eq=False)
class AxisLine:
    """An axis, or a dash of it.

    Attributes
    ----------
    start, end : (3,)
        (x, y, z), voxels from the rotation centre.
    width : float
        Voxels.
    colour : (4,)
        RGBA, from 0 to 1.
    """

    start: FloatArray
    end: FloatArray
    width: float
    colour: FloatArray


def frame_reach(radius: float) -> float:
    """Return how far X, Y and Z reach with their letters, for the radius of a particle."""
    return (LETTER_REACH + _LETTER_HEIGHT) * radius


def order_colour(order: int) -> str:
    """Return the colour of axes of an order."""
    return ORDER_COLOURS.get(order, OTHER_COLOUR)


def difference_colour(difference: float) -> str:
    """Return the colour of a subunit, from its relative difference in density: #rrggbb."""
    share = min(abs(difference) / _FULL_DIFFERENCE, 1.0)
    equal, full = transform_color([EQUAL_COLOUR, LESS_COLOUR if difference < 0 else MORE_COLOUR])
    return hex_colour(equal + share * (full - equal))


def lines_of(drawn: DrawnAxes) -> list[AxisLine]:
    """Return the lines of axes: X, Y and Z, then the symmetry axes, in dashes or not."""
    radius, lines = drawn.radius, []
    if drawn.frame:
        for direction, colour in zip(np.eye(3), _frame_colours(), strict=True):
            end = _FRAME_REACH * radius * direction
            lines.append(AxisLine(-end, end, _FRAME_WIDTH * radius, colour))
    axes = drawn.axes
    if axes is None:
        return lines
    ends = np.linspace(-1, 1, 2 if axes.holds else 2 * _DASHES) * AXES_REACH * radius
    width = _AXES_WIDTH * radius * (0.5 if len(axes.axes) > _MANY_AXES else 1.0)
    for axis, colour in zip(axes.axes, _axis_colours(axes), strict=True):
        centre, direction = np.array(axes.centre), np.array(axis.direction)
        for low, high in zip(ends[::2], ends[1::2], strict=True):
            start, end = centre + low * direction, centre + high * direction
            lines.append(AxisLine(start, end, width, colour))
    return lines


def axes_mesh(
    drawn: DrawnAxes, right: FloatArray, up: FloatArray
) -> tuple[Float32, Int64, Float64]:
    """Return vertices (V, 3) in (z, y, x), faces (F, 3) and colours (V, 4) of axes.

    Parameters
    ----------
    drawn : DrawnAxes
    right, up : (3,)
        Unit vectors (x, y, z): to the right and upwards on the screen, for the letters. They are
        the last vertices, see `letter_vertices`.
    """
    tinted = [(rod_mesh(x.start, x.end, x.width), x.colour) for x in lines_of(drawn)]
    axes = drawn.axes
    if axes is not None:
        size = _MARK_RADIUS * drawn.radius * (0.65 if len(axes.axes) > _MANY_AXES else 1.0)
        for axis, colour in zip(axes.axes, _axis_colours(axes), strict=True):
            for end in (-AXES_REACH, AXES_REACH):
                place = np.array(axes.centre) + end * drawn.radius * np.array(axis.direction)
                tinted.append((axis_mark(axis.order, axis.direction, place, size), colour))
    tinted += zip(_letters(drawn, right, up), _frame_colours(), strict=False)
    vertices, faces = join_meshes([mesh[:2] for mesh, _ in tinted])
    colours = [
        np.column_stack([shade[:, None] * colour[:3], np.ones(len(shade))])
        for (_, _, shade), colour in tinted
    ]
    return vertices, faces, np.concatenate(colours)


def letter_vertices(drawn: DrawnAxes, right: FloatArray, up: FloatArray) -> Float32:
    """Return the vertices (L, 3) of the letters X, Y and Z, as `axes_mesh`."""
    return join_meshes([mesh[:2] for mesh in _letters(drawn, right, up)])[0]


def _letters(
    drawn: DrawnAxes, right: FloatArray, up: FloatArray
) -> list[tuple[Float32, Int64, Float32]]:
    height = _LETTER_HEIGHT * drawn.radius
    reach = LETTER_REACH * drawn.radius
    places = zip(FRAME_COLOURS, reach * np.eye(3), strict=True) if drawn.frame else ()
    return [letter_mesh(letter, at, height * right, height * up) for letter, at in places]


def _frame_colours() -> FloatArray:
    colours: FloatArray = transform_color(list(FRAME_COLOURS.values()))
    return colours


def _axis_colours(axes: MapAxes) -> FloatArray:
    """Return the colours of symmetry axes, (A, 4)."""
    colours: FloatArray = transform_color(
        [order_colour(axis.order) if axes.found else IDEAL_COLOUR for axis in axes.axes]
    )
    return colours
