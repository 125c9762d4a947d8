"""Colours of the mesh of a map: by place, agreement with others, or density of its copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from napari.utils.colormaps import ensure_colormap
from napari.utils.colormaps.standardize_color import transform_color
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.plugin.viewer.axes_mesh import difference_colour
from napari_ini3d.plugin.viewer.map_surface import MapSurface
from napari_ini3d.symmetry import Subunit

Colouring = Literal["plain", "height", "radius", "agreement", "starts", "copies"]
"""One colour; by height along Z; by distance from the rotation centre; by local correlation of the
half-maps; by that of the random starts; by density of the copies of a pseudo-symmetry."""

COLOURINGS: tuple[Colouring, ...] = get_args(Colouring)
BY_AGREEMENT: tuple[Colouring, ...] = ("agreement", "starts")

_COLOURS = "turbo"  # blue where low or near the centre, red where high or far from it
_BRIGHT_PART = (0.12, 0.88)  # of the colours, for agreement: most of a good map is at one end


def vertex_colours(
    surface: MapSurface,
    colouring: Colouring,
    box_size: int,
    *,
    agreement: FloatArray | None = None,
    subunits: Sequence[Subunit] = (),
) -> Float32 | None:
    """Return the colours of the vertices, (V, 4), RGBA; None for one colour.

    Parameters
    ----------
    surface : MapSurface
    colouring : Colouring
    box_size : int
        Voxels; the rotation centre is at voxel `box_size` // 2.
    agreement : (n, n, n), optional
        Local correlation of the half-maps or of the starts, for these colourings: blue where it is
        1, red where it is 0 or less.
    subunits : sequence of Subunit
        Voxels, for the colouring by copies: a vertex belongs to the one that is nearest.
    """
    if colouring == "plain" or not len(surface.vertices):
        return None
    if colouring == "copies":
        return _colours_of_copies(surface, box_size, subunits) if subunits else None
    if colouring in BY_AGREEMENT:
        if agreement is None:
            return None
        found = map_coordinates(agreement, surface.vertices.T, order=1, mode="nearest")
        low, high = _BRIGHT_PART
        share = high - (high - low) * np.clip(found, 0, 1)  # (V,)
    else:
        place = surface.vertices - box_size // 2  # (V, 3), (z, y, x)
        values = place[:, 0] if colouring == "height" else np.linalg.norm(place, axis=1)
        low, high = float(values.min()), float(values.max())
        share = (values - low) / max(high - low, 1e-6)
    colours: Float32 = np.array(ensure_colormap(_COLOURS).map(share), np.float32)
    colours[:, :3] *= surface.brightness[:, None]
    return colours


def _colours_of_copies(surface: MapSurface, box_size: int, subunits: Sequence[Subunit]) -> Float32:
    """Return the colours of the nearest subunits: equivalent places share a map out evenly."""
    places = np.array([one.place for one in subunits])[:, ::-1]  # (G, 3), (z, y, x)
    nearest = cKDTree(places).query(surface.vertices - box_size // 2)[1]  # (V,)
    of_copies = transform_color([difference_colour(one.difference) for one in subunits])
    colours: Float32 = np.array(of_copies[nearest], np.float32)
    colours[:, :3] *= surface.brightness[:, None]
    return colours
