"""Colours of the mesh of a map: by height, or by distance from the centre of the map."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from napari.utils.colormaps import ensure_colormap

from napari_ini3d._types import Float32
from napari_ini3d.plugin.viewer.map_surface import MapSurface

Colouring = Literal["plain", "height", "radius"]
"""One colour; by height along Z; by distance from the rotation centre."""

COLOURINGS: tuple[Colouring, ...] = get_args(Colouring)

_COLOURS = "turbo"  # blue where low or near the centre, red where high or far from it


def vertex_colours(surface: MapSurface, colouring: Colouring, box_size: int) -> Float32 | None:
    """Return the colours of the vertices, (V, 4), RGBA; None for one colour.

    Parameters
    ----------
    surface : MapSurface
    colouring : Colouring
    box_size : int
        Voxels; the rotation centre is at voxel `box_size` // 2.
    """
    if colouring == "plain" or not len(surface.vertices):
        return None
    place = surface.vertices - box_size // 2  # (V, 3), (z, y, x)
    values = place[:, 0] if colouring == "height" else np.linalg.norm(place, axis=1)
    low, high = float(values.min()), float(values.max())
    share = (values - low) / max(high - low, 1e-6)
    colours: Float32 = np.array(ensure_colormap(_COLOURS).map(share), np.float32)
    colours[:, :3] *= surface.brightness[:, None]
    return colours
