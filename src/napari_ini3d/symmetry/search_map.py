"""Search map: the particle cut out of a map, masked, in Fourier space.

Lengths are in units of the side of the cut-out box, so frequencies are its shells, and moving
the origin to a point c multiplies component k by exp(2πi k·c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.fourier import FourierMap, cut_out, soft_mask
from napari_ini3d.symmetry.noise import HalfMaps, share_of_halves, signal_share
from napari_ini3d.symmetry.particle_extent import ParticleExtent

_MARGIN = 1.35  # side of the cut-out box over the diameter of the particle
_EDGE = 0.1  # of the mask, over that diameter
FIRST_SHELL = 2  # shell 1 shows the outline only
LEAST_POWER = 1e-4  # of the strongest shell: weaker shells are not scaled up to equal power


@dataclass(frozen=True, slots=True)
class SearchMap:
    """A particle cut out of a map.

    Attributes
    ----------
    ft : FourierMap
        About the middle of the box.
    share : (max_shell + 1,) float64
        Share of signal in the power of each shell, estimated from the solvent.
    side : float
        Of the cut-out box, voxels of the map.
    offset : (3,) float64
        Middle of that box in the map, voxels (x, y, z) from voxel n // 2.
    diameter : float
        Of the particle, in units of `side`.
    box_size : int
        Voxels per side of the map.
    """

    ft: FourierMap
    share: Float64
    side: float
    offset: Float64
    diameter: float
    box_size: int

    @property
    def max_shell(self) -> int:
        """The highest shell of the transform."""
        return self.ft.max_shell

    def components(self, last: int) -> Float64:
        """Return the number of independent components of shells 0 to `last`, (last + 1,)."""
        filled = np.pi / 6 * self.diameter**3  # share of the box that the particle fills
        counts = np.bincount(self.ft.shell, minlength=last + 1)[: last + 1]
        return np.asarray(counts * filled, dtype=np.float64)

    @classmethod
    def of(
        cls,
        volume: FloatArray,
        extent: ParticleExtent,
        max_detail: float,
        half_maps: HalfMaps | None = None,
    ) -> Self:
        """Cut a particle out of a map.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        extent : ParticleExtent
        max_detail : float
            Finest detail that will be compared, voxels.
        half_maps : two (n, n, n), optional
            Independent halves of the map, from which the noise is measured. Default: from the
            solvent.
        """
        middle = np.rint(extent.centre).astype(int)
        radius = extent.radius
        side = 2 * int(np.ceil(_MARGIN * radius)) + 4
        part = cut_out(np.asarray(volume, np.float32), middle, side)
        # about the centre of mass to a fraction of a voxel: an uneven mask is a false symmetry
        edge = max(2.0, 2 * radius * _EDGE)
        part *= soft_mask(side, radius, edge, 3, extent.centre - middle)
        max_shell = int(min(side / max_detail, side // 2 - 1))
        share = (
            signal_share(volume, radius, extent.centre, edge=edge)
            if half_maps is None
            else share_of_halves(half_maps, radius, extent.centre, edge=edge)
        )
        shells = np.arange(max_shell + 1) * (len(volume) / side)
        return cls(
            ft=FourierMap.of(part, max_shell),
            share=np.interp(shells, np.arange(len(share)), share),
            side=float(side),
            offset=middle.astype(np.float64),
            diameter=2 * radius / side,
            box_size=len(volume),
        )


def search_weight(search_map: SearchMap, last: int) -> Float64:
    """Return the weight of shells 0 to `last`: equal power, less where noise is strong."""
    power = search_map.ft.power[: last + 1]
    weight = search_map.share[: last + 1] / np.maximum(power, LEAST_POWER * power[1:].max())
    weight[:FIRST_SHELL] = 0
    return np.asarray(weight)
