"""The mesh of a map that is not shown yet, at the level of the one that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from napari.layers import Image

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin import contour_level, density_scale, density_scale_of, map_statistics
from napari_ini3d.plugin.viewer.map_level import level_in_sigma
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes
from napari_ini3d.plugin.viewer.map_surface import MapSurface, find_surface


@dataclass(frozen=True, eq=False)
class PreparedMesh:
    """The surface of a map at a level, in the values of its layer."""

    surface: MapSurface
    level: float


@dataclass(frozen=True)
class MeshRequest:
    """What the mesh of the next map of a layer depends on, besides the map.

    Attributes
    ----------
    sigma : float
        Level in standard deviations.
    scale : float
        Between densities and the values of the layer.
    dust : int
        Voxels; smaller parts are left out.
    """

    sigma: float
    scale: float
    dust: int

    @classmethod
    def of(cls, viewer: Any, layer: Image | None) -> Self | None:
        """Return that of a layer; None if the layer is not drawn as a mesh."""
        mesh = None if layer is None else MapMeshes.of(viewer).find(layer)
        if layer is None or mesh is None:
            return None
        return cls(level_in_sigma(layer), density_scale_of(layer.metadata), mesh.dust)

    def compute(self, volume: FloatArray) -> PreparedMesh:
        """Compute the mesh of a map (n, n, n), as `show_map` will scale it; for a thread."""
        statistics = map_statistics(volume)
        scale = density_scale(statistics["std"], self.scale)
        scaled = {name: value * scale for name, value in statistics.items()}
        level = contour_level(scaled, self.sigma)
        surface = find_surface(volume * np.float32(scale), level, smallest=self.dust)
        return PreparedMesh(surface, level)
