"""Surfaces of bodies of revolution on a grid of voxels: how far are they from round, and why?

A rod of whole voxels is no rod but a stack of pixelated discs, which have the 4-fold axis of the
grid in truth, and keep it when the map is smoothed. Two things give it away. Its surface is out of
place by less than a voxel: where the surfaces of a map m that does not vary around an axis are
shifted by u along their normals, the map changes by u |∇m|, so that the root mean square of what
varies around the axis, over that of |∇m|, is the shift that explains it. And the grid has mirror
planes through its axes, which proteins have not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Float64
from napari_ini3d.symmetry.search_map import SearchMap
from napari_ini3d.symmetry.self_rotation import axis_power, mirror_overlap

_LARGEST_SHIFT = 0.4  # voxels; of bodies of whole voxels up to 0.3
_LEAST_MIRRORED = 0.9  # of what varies
_LEAST_SHARE = 0.143  # of signal in a shell that is looked at


@dataclass(frozen=True, slots=True)
class Surface:
    """How a map varies around an n-fold axis of the grid, in the waves m = n, 2n, ...

    The other waves are noise if the map has that axis, so they tell how much of it is in these.

    Attributes
    ----------
    shift : float
        Root mean square, voxels, of surfaces; infinite where all is noise.
    mirrored : float
        Share of what varies that a mirror plane of the grid through the axis keeps; 1 where no more
        than noise varies.
    """

    shift: float
    mirrored: float

    @property
    def is_of_voxels(self) -> bool:
        """Whether the map may be a body of revolution of whole voxels."""
        return self.shift <= _LARGEST_SHIFT and self.mirrored >= _LEAST_MIRRORED

    @classmethod
    def about(cls, search_map: SearchMap, axis: Float64, order: int, centre: Float64) -> Self:
        """Measure a map about an axis of the grid.

        Parameters
        ----------
        search_map : SearchMap
        axis : (3,)
            Unit vector (x, y, z), near an axis of the grid.
        order : int
            n
        centre : (3,)
            A point on the axis, in units of the search box from its middle.
        """
        frame, last = _frame_of_grid(axis), search_map.max_shell
        power = axis_power(search_map, frame[:, 2][None], centre, last, threads=1).waves[0]
        share = search_map.share[1 : last + 1]  # (S,)
        seen = share >= _LEAST_SHARE
        waves = power[seen].astype(np.float64)  # (seen shells, M + 1)
        slope = 2 * np.pi * np.arange(1, last + 1)[seen] / search_map.side  # 1/voxel
        gradient = float((slope**2 * waves[:, 0] * share[seen]).sum())
        kept, all_of_them = float(waves[:, order::order].sum()), float(waves[:, 1:].sum())
        varying = kept - (all_of_them - kept) / (order - 1)
        if gradient <= 0:
            return cls(np.inf, 0.0)
        if varying <= 0:
            return cls(0.0, 1.0)
        overlap = mirror_overlap(search_map, frame, centre, last, order)[seen].sum()
        return cls(float(np.sqrt(varying / gradient)), float(overlap) / varying)


def _frame_of_grid(axis: Float64) -> Float64:
    """Return a frame whose Z is the axis of the grid next to an axis, and XZ a mirror plane."""
    along = np.rint(axis / np.abs(axis).max())
    along /= np.linalg.norm(along)
    side = np.eye(3)[np.abs(along).argmin()]
    across = side - along * (side @ along)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(along, across), along], axis=1)
