"""The map as the search for symmetry sees it: cut out, masked, centred, in Fourier space.

Lengths are in units of the side of the cut-out box, so that frequencies are its shells and
a point c about which the map is seen turns the phase of component k by 2π k·c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, Int32, Int64
from napari_ini3d.fourier import gridding_profile, half_ball, map_to_cube, soft_mask
from napari_ini3d.kernels import read_points
from napari_ini3d.symmetry.noise import signal_share
from napari_ini3d.symmetry.particle_extent import ParticleExtent

PADDING = 2
_MARGIN = 1.35  # side of the cut-out box over the diameter of the particle
_EDGE = 0.1  # of the mask, over that diameter
FIRST_SHELL = 2  # lower ones tell the outline only
LEAST_POWER = 1e-4  # of the strongest shell: what is weaker is not brought up to equal power


@dataclass(frozen=True, slots=True)
class SearchMap:
    """A particle cut out of a map.

    Attributes
    ----------
    cube : (2m + 1, 2m + 1, m + 2) complex64
        Its transform about the middle, see `kernels.cpu`, `PADDING` samples a shell.
    points : (N, 3) float32
        Independent frequencies (x, y, z), in shells, up to `max_shell`, the low ones first.
    shell : (N,) int32
        Of each point.
    values : (N,) complex64
        Of the transform at the points.
    power : (max_shell + 1,) float64
        Mean power of each shell.
    share : (max_shell + 1,) float64
        What share of the power is signal, by shell, as far as the solvent tells.
    side : float
        Of the cut-out box, voxels of the map.
    offset : (3,) float64
        Where its middle lies in the map, voxels (x, y, z) from voxel n // 2.
    diameter : float
        Of the particle, in units of `side`.
    """

    cube: Complex64
    points: Float32
    shell: Int32
    values: Complex64
    power: Float64
    share: Float64
    side: float
    offset: Float64
    diameter: float

    @property
    def max_shell(self) -> int:
        """The highest shell that is held."""
        return len(self.share) - 1

    @classmethod
    def of(cls, volume: FloatArray, extent: ParticleExtent, max_detail: float) -> Self:
        """Cut a particle out of a map.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        extent : ParticleExtent
        max_detail : float
            Finest detail that will be looked at, voxels.
        """
        middle = np.rint(extent.centre).astype(int)
        radius = extent.radius
        side = 2 * int(np.ceil(_MARGIN * radius)) + 4
        part = _cut_out(np.asarray(volume, np.float32), middle, side)
        # about the centre of mass to a fraction of a voxel: an uneven mask is a false symmetry
        edge = max(2.0, 2 * radius * _EDGE)
        part *= soft_mask(side, radius, edge, 3, extent.centre - middle)
        max_shell = int(min(side / max_detail, side // 2 - 1))
        cube = map_to_cube(part / gridding_profile(side, PADDING), max_shell, PADDING)
        points, shell = half_ball(max_shell)
        order = np.argsort(shell, kind="stable")
        points, shell = points[order], shell[order]
        values = _components(map_to_cube(part, max_shell, 1), points)
        count = np.maximum(np.bincount(shell), 1)
        share = signal_share(volume, radius, extent.centre, edge=edge)
        shells = np.arange(max_shell + 1) * (len(volume) / side)
        return cls(
            cube=cube,
            points=points.astype(np.float32),
            shell=shell.astype(np.int32),
            values=values,
            power=np.bincount(shell, np.abs(values) ** 2) / count,
            share=np.interp(shells, np.arange(len(share)), share),
            side=float(side),
            offset=middle.astype(np.float64),
            diameter=2 * radius / side,
        )

    def read(self, rotations: FloatArray, points: FloatArray) -> Complex64:
        """Return the components at ``points @ rotations[r]``, (R, N), about the middle.

        Parameters
        ----------
        rotations : (R, 3, 3)
        points : (N, 3)
            In shells.
        """
        out = np.empty((len(rotations), len(points)), np.complex64)
        read_points(self.cube, np.asarray(rotations, np.float32),
                    np.asarray(points * PADDING, np.float32), out)  # fmt: skip
        return out


def search_weight(working: SearchMap, last: int) -> Float64:
    """Return the weight of shells 0 to `last`: equal power, less where noise is strong."""
    power = working.power[: last + 1]
    weight = working.share[: last + 1] / np.maximum(power, LEAST_POWER * power[1:].max())
    weight[:FIRST_SHELL] = 0
    return np.asarray(weight)


def _components(plain: Complex64, points: Float64) -> Complex64:
    """Return the components of an unpadded half cube at whole frequencies (x, y, z)."""
    m = plain.shape[0] // 2
    mate = np.where(points[:, 0] < 0, -1, 1)
    x, y, z = points.astype(np.int64).T * mate
    found = plain[z + m, y + m, x]
    return np.asarray(np.where(mate < 0, found.conj(), found), dtype=np.complex64)


def _cut_out(volume: Float32, middle: Int64, side: int) -> Float32:
    """Return the box of `side` voxels about a voxel (x, y, z from n // 2), 0 beyond the map."""
    n = volume.shape[0]
    low = middle[::-1] + n // 2 - side // 2
    source = [slice(max(start, 0), min(start + side, n)) for start in low]
    part = np.zeros((side,) * 3, np.float32)
    target = tuple(
        slice(s.start - start, s.stop - start) for s, start in zip(source, low, strict=True)
    )
    part[target] = volume[tuple(source)]
    return part
