"""The surface of a map at a level as a mesh, and the volume that it encloses; no napari, no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from napari_ini3d._types import BoolArray, Float32, FloatArray, Int64

PROTEIN_VOLUME = 1.21
"""Å³ per dalton of protein (Harpaz, Gerstein & Chothia, Structure 2, 641, 1994)."""

LIGHT = (0.466, 0.65, 0.6)
"""Unit vector to the light: to the right, upwards, and towards the user."""

_LEAST_BRIGHTNESS = 0.2
_FULL_BOX = 160  # voxels; the mesh of a larger map would have too many faces to turn smoothly
_TOUCHING = np.ones((3, 3, 3), dtype=np.int8)  # also at edges and corners


@dataclass(frozen=True, eq=False)
class MapSurface:
    """The surface of a map at a level.

    Attributes
    ----------
    vertices : (V, 3) float32
        (z, y, x), voxels from the first one; without vertices where nothing reaches the level.
    faces : (F, 3) int64
    brightness : (V,) float32
        From 0 to 1; at first as lit from the upper right in front of the map as it was opened.
    enclosed : int
        Number of voxels above the level.
    normals : (V, 3) float32
        Unit vectors (z, y, x), outwards.
    """

    vertices: Float32
    faces: Int64
    brightness: Float32
    enclosed: int
    normals: Float32

    @classmethod
    def nowhere(cls, enclosed: int) -> Self:
        """Return a surface without vertices."""
        nothing = np.zeros((0, 3), np.float32)
        return cls(nothing, np.zeros((0, 3), np.int64), nothing[:, 0], enclosed, nothing)

    def lit_from(self, light: FloatArray) -> Self:
        """Return the surface with light from a direction: a unit vector (z, y, x)."""
        return replace(self, brightness=_brightness(self.normals, light))


def enclosed_mass(volume: float) -> float:
    """Return the mass of protein that fills a volume (Å³), in kDa."""
    return volume / PROTEIN_VOLUME / 1000


def find_surface(volume: FloatArray, level: float, *, smallest: int = 0) -> MapSurface:
    """Find the surface of a map at a level, by marching cubes.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    level : float
    smallest : int
        Parts of fewer voxels (dust) are left out.
    """
    densities = np.require(volume, np.float32, ["C", "W"])  # as scikit-image needs them
    above = densities > level  # (n, n, n); False for NaN
    if smallest > 1:
        dust = above & ~_large_parts(above, smallest)
        densities = np.where(dust, np.float32(level), densities)
        above = above & ~dust
    enclosed = int(np.count_nonzero(above))
    if not 0 < enclosed < above.size or not np.isfinite(densities).all():
        return MapSurface.nowhere(enclosed)
    step = surface_step(len(densities))
    low, high = float(densities.min()), float(densities.max())
    if not low < level < high:
        return MapSurface.nowhere(enclosed)
    vertices, faces, normals, _ = marching_cubes(  # type: ignore[no-untyped-call]
        densities, level, step_size=step
    )
    outwards = np.sign(np.sum(normals * (vertices - vertices.mean(0))) or 1.0)
    normals = (outwards * normals).astype(np.float32)
    return MapSurface(
        vertices.astype(np.float32),
        faces.astype(np.int64),
        _brightness(normals, np.array(LIGHT[::-1])),
        enclosed,
        normals,
    )


def _brightness(normals: Float32, light: FloatArray) -> Float32:
    """Return the brightness of vertices (V,): dim where the surface faces away, but never black."""
    facing = 0.5 + 0.5 * (normals @ light.astype(np.float32))  # (V,), 0 to 1
    brightness: Float32 = (_LEAST_BRIGHTNESS + (1 - _LEAST_BRIGHTNESS) * facing**2).astype(
        np.float32
    )
    return brightness


def surface_step(box_size: int) -> int:
    """Return the voxels per step of the mesh of a map: more than 1 for large boxes."""
    return -(-box_size // _FULL_BOX)


def _large_parts(above: BoolArray, smallest: int) -> BoolArray:
    """Return where voxels belong to parts of at least `smallest` voxels, (n, n, n)."""
    parts, _ = ndimage.label(above, _TOUCHING)
    large = np.bincount(parts.ravel()) >= smallest
    large[0] = False
    return np.asarray(large[parts])
