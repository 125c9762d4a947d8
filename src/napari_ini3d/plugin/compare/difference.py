"""Difference of two maps as one surface layer: orange where it is positive, blue where negative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
from napari.layers import Image, Surface
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import QObject

from napari_ini3d._types import Float32, FloatArray, Int64
from napari_ini3d.plugin import MAP_AXES, METADATA_KEY, density_scale_of
from napari_ini3d.plugin.viewer import (
    Task,
    TaskRunner,
    base_affine,
    find_surface,
    join_meshes,
    mesh_data,
    set_metadata,
    standard_deviation,
)

DIFFERENCE_COLOURS = {1: "#e69f00", -1: "#0072b2"}
"""By sign, of map minus imposed map."""

_LEVEL = 0.4  # of the level of the maps


@dataclass(frozen=True, eq=False)
class Difference:
    """A difference map, shown in a cell of its own.

    Attributes
    ----------
    volume : (n, n, n)
        First map minus second.
    voxel_size : float
        Å.
    on_axes : bool
        It is where the preview of an alignment moves the map, and not moved with it.
    """

    volume: FloatArray
    voxel_size: float
    on_axes: bool = False


@dataclass(frozen=True, eq=False)
class ShownDifference:
    """A difference map as a layer shows it.

    Attributes
    ----------
    volume : (n, n, n)
        In units of the layers.
    level : float
        Of the orange surface, in these units; the blue one is at minus this level.
    scale : float
        Of these units, over the densities of the maps.
    """

    volume: FloatArray
    level: float
    scale: float


class DifferenceLayer(QObject):
    """The layer of a difference, at a share of the level of a map.

    Its name, which is shown on the canvas, says the level, and where nothing reaches it.

    Parameters
    ----------
    viewer : napari viewer
    difference : Difference
    like : Image
        The map.

    Attributes
    ----------
    layer : Surface
    tasks : TaskRunner
        Computes the surface.
    """

    def __init__(self, viewer: Any, difference: Difference, like: Image) -> None:
        super().__init__()
        self.tasks = TaskRunner(self, quiet=True)
        self._volume = difference.volume
        self._largest = float(np.abs(difference.volume).max())
        self._level = 0.0
        self._outdated = False
        voxel_size = difference.voxel_size
        affine = base_affine(like) if difference.on_axes else like.affine.affine_matrix
        self.layer = Surface(
            mesh_data(None),
            shading="none",  # as the meshes of maps
            contrast_limits=(0.0, 1.0),
            units=("angstrom",) * 3,
            axis_labels=MAP_AXES,
            scale=(voxel_size,) * 3,
            translate=(-(len(self._volume) // 2) * voxel_size,) * 3,
            affine=np.asarray(affine)[-4:, -4:],
            metadata={METADATA_KEY: {"comparison": True, "kind": "difference"}},
        )
        self._viewer: ReferenceType[Any] = ref(viewer)
        viewer.add_layer(self.layer)
        self.follow(like)

    def follow(self, like: Image) -> None:
        """Follow the level of a map."""
        level = abs(float(like.iso_threshold)) * _LEVEL
        one_sigma = standard_deviation(like)
        at = f"{level / one_sigma:.1f} σ"
        if self._largest < level:
            largest = self._largest / one_sigma
            self.layer.name = f"difference: none above {at} (max. {largest:.2g} σ)"
        else:
            self.layer.name = f"difference at ±{at} (orange +, blue −)"
        if level != self._level:
            self._level = level
            shown = ShownDifference(self._volume, level, density_scale_of(like.metadata))
            set_metadata(self.layer, difference=shown)
            self._compute()

    def _compute(self) -> None:
        """Compute the surface in a thread; while it is computed, only the last level counts."""
        self._outdated = self.tasks.busy
        if self._outdated:
            return
        volume, level = self._volume, self._level
        self.tasks.start(
            Task("Difference"), lambda _: signed_surface(volume, level), self._show_surface
        )

    def _show_surface(self, found: tuple[Float32, Int64, Float32] | None) -> None:
        viewer = self._viewer()
        if viewer is None or self.layer not in viewer.layers:
            return
        if self.layer.vertex_colors is not None:
            self.layer.vertex_colors = None  # they belong to the vertices of before
        if found is None:
            self.layer.data = mesh_data(None)
        else:
            vertices, faces, colours = found
            self.layer.data = (vertices, faces, np.ones(len(vertices), np.float32))
            self.layer.vertex_colors = colours
        if self._outdated:
            self._compute()


def signed_surface(volume: FloatArray, level: float) -> tuple[Float32, Int64, Float32] | None:
    """Return the surfaces of a map at plus and minus a level as one mesh; None if there is none.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    level : float

    Returns
    -------
    vertices : (V, 3) float32
        (z, y, x), voxels.
    faces : (F, 3) int64
    colours : (V, 4) float32
        RGBA.
    """
    found = [
        (find_surface(sign * volume, level), colour) for sign, colour in DIFFERENCE_COLOURS.items()
    ]
    found = [(surface, colour) for surface, colour in found if len(surface.faces)]
    if not found:
        return None
    vertices, faces = join_meshes([(surface.vertices, surface.faces) for surface, _ in found])
    colours = []
    for surface, colour in found:
        shaded = np.repeat(transform_color(colour), len(surface.vertices), axis=0)
        shaded[:, :3] *= surface.brightness[:, None]
        colours.append(shaded)
    return vertices, faces, np.concatenate(colours).astype(np.float32)
