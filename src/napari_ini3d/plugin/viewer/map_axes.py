"""Symmetry axes of a map, and on which grounds they are drawn.

The axes of a layer are kept in its metadata as the entry ``axes``, with the map for which they
were found: as soon as the layer shows another map, they do not count any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from napari.layers import Layer

from napari_ini3d._types import FloatArray, Vector
from napari_ini3d.geometry import RigidTransform, symmetry_axes
from napari_ini3d.plugin.viewer.map_results import MapToken
from napari_ini3d.plugin.viewer.metadata import get_metadata, set_metadata
from napari_ini3d.symmetry import FoundAxis, Subunit, SymmetryBreak

AxesStatus = Literal["detected", "rejected", "imposed", "ideal"]

_LEAST_COSINE = 0.998  # of an axis and that of the setting: 3.6 degrees
_MOST_SHIFT = 1.0  # voxels


@dataclass(frozen=True)
class MapAxes:
    """Symmetry axes of a map.

    Attributes
    ----------
    group : str
    axes : tuple of FoundAxis
        Directions (x, y, z).
    centre : tuple of float
        Their intersection, voxels (x, y, z) from voxel n // 2.
    status : {"detected", "rejected", "imposed", "ideal"}
        Found in the map, and the group holds; found in the map as the best fit of a group that
        does not hold; of a map on which the group was imposed; or those of RELION's convention,
        which say nothing about the map and do not move in a preview.
    subunits : tuple of Subunit
        Equivalent places of a group that does not hold, voxels (x, y, z) from voxel n // 2, with
        their differences in density.
    """

    group: str
    axes: tuple[FoundAxis, ...]
    centre: Vector = (0.0, 0.0, 0.0)
    status: AxesStatus = "detected"
    subunits: tuple[Subunit, ...] = ()

    @classmethod
    def of_setting(cls, group: str, status: AxesStatus = "ideal") -> Self:
        """Return the axes of a group in RELION's convention."""
        axes = symmetry_axes(group)
        known = tuple(FoundAxis(a.order, a.direction, float("nan")) for a in axes)
        return cls(group, known, status=status)

    @property
    def found(self) -> bool:
        """True for axes of the map, False for those of RELION's convention."""
        return self.status != "ideal"

    @property
    def holds(self) -> bool:
        """True if the map has these axes."""
        return self.status in ("detected", "imposed")

    @property
    def label(self) -> str:
        """Name of the axes that says on which grounds they are drawn."""
        return {
            "detected": f"{self.group} axes",
            "rejected": f"{self.group} axes ({self.group} does not hold)",
            "imposed": f"{self.group} axes",
            "ideal": f"ideal {self.group} axes (not of this map)",
        }[self.status]

    def moved(self, motion: RigidTransform) -> Self:
        """Return the axes of the map after a motion."""
        directions = [motion.rotation @ np.array(axis.direction) for axis in self.axes]
        axes = tuple(
            FoundAxis(axis.order, _vector(direction), axis.score)
            for axis, direction in zip(self.axes, directions, strict=True)
        )
        subunits = tuple(
            replace(one, place=_vector(motion.apply(np.array(one.place)))) for one in self.subunits
        )
        centre = _vector(motion.apply(np.array(self.centre)))
        return replace(self, axes=axes, centre=centre, subunits=subunits)

    def mirrored(self) -> Self:
        """Return the axes of the mirror image of the map."""
        axes = tuple(FoundAxis(a.order, _flip(a.direction), a.score) for a in self.axes)
        subunits = tuple(replace(one, place=_flip(one.place)) for one in self.subunits)
        return replace(self, axes=axes, centre=_flip(self.centre), subunits=subunits)

    def fits_setting(self, group: str) -> bool:
        """Tell whether these are the axes of a group in RELION's convention, within 4 degrees."""
        if self.group != group or not self.found:
            return False
        own = np.array([axis.direction for axis in self.axes])  # (A, 3)
        orders = np.array([axis.order for axis in self.axes])
        for axis in symmetry_axes(group):
            cosines = np.abs(own @ np.array(axis.direction))
            if not (cosines[orders == axis.order] > _LEAST_COSINE).any():
                return False
        across = np.array(self.centre)
        if len(self.axes) == 1:  # any point of a single axis will do
            across = across - own[0] * float(own[0] @ across)
        return bool(np.linalg.norm(across) <= _MOST_SHIFT)


@dataclass(frozen=True, eq=False)
class _Record:
    """Axes, and the map in which they were found."""

    axes: MapAxes
    token: MapToken


def broken_subunits(found: SymmetryBreak | None, voxel_size: float) -> tuple[Subunit, ...]:
    """Return the subunits of a break with their places in voxels; none if nothing breaks."""
    if found is None:
        return ()
    return tuple(
        replace(one, place=_vector(np.array(one.place) / voxel_size)) for one in found.subunits
    )


def record_axes(viewer: Any, layer: Layer, axes: MapAxes | None) -> None:
    """Record the axes of the map that a layer shows; None forgets them."""
    record = None if axes is None else _Record(axes, MapToken.of(viewer, layer))
    set_metadata(layer, axes=record)


def recorded_axes(viewer: Any, layer: Layer) -> MapAxes | None:
    """Return the axes of the map that a layer shows; None if none were found in this map."""
    record: _Record | None = get_metadata(layer, "axes")
    if record is None or not record.token.is_shown(viewer, layer):
        return None
    return record.axes


def _flip(vector: Vector) -> Vector:
    x, y, z = vector
    return (x, y, -z)


def _vector(values: FloatArray) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
