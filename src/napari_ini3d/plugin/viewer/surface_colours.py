"""Colours of the mesh of a map: by height, distance from the centre, or agreement with others."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from napari.utils.colormaps import ensure_colormap
from scipy.ndimage import map_coordinates

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.plugin.viewer.map_surface import MapSurface

Colouring = Literal["plain", "height", "radius", "agreement", "starts"]
"""One colour; by height along Z; by distance from the rotation centre; by local correlation of the
half-maps; by that of the random starts."""

COLOURINGS: tuple[Colouring, ...] = get_args(Colouring)
BY_AGREEMENT: tuple[Colouring, ...] = ("agreement", "starts")

_COLOURS = "turbo"  # blue where low or near the centre, red where high or far from it
_BRIGHT_PART = (0.12, 0.88)  # of the colours, for agreement: most of a good map is at one end


def vertex_colours(
    surface: MapSurface, colouring: Colouring, box_size: int, agreement: FloatArray | None = None
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
    """
    if colouring == "plain" or not len(surface.vertices):
        return None
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
