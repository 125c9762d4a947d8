"""The map as the search for symmetry sees it: cut out, masked, centred, in Fourier space.

Lengths are in units of the side of the cut-out box, so that frequencies are its shells and
a point c about which the map is seen turns the phase of component k by 2π k·c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from napari_ini3d.fourier.shells import shell_sum
from napari_ini3d.fourier.spectrum import half_ball
from napari_ini3d.fourier.transforms import gridding_profile, map_to_cube
from napari_ini3d.kernels.points import read_points
from napari_ini3d.symmetry.extent import Extent

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Complex64 = npt.NDArray[np.complex64]
FloatArray = npt.NDArray[np.floating]

PADDING = 2
_MARGIN = 1.35  # side of the cut-out box over the diameter of the particle
_EDGE = 0.1  # of the mask, over that diameter
_FIRST_SHELL = 2  # lower ones tell the outline only
_LEAST_POWER = 1e-4  # of the strongest shell: what is weaker is not brought up to equal power
_SOLVENT = 1.2  # radii from the centre: farther out there is only noise
_NO_POWER = 1e-6  # of the strongest shell: the map ends before
_LEAST_ROOM = 0.02  # of the box, to measure noise in


@dataclass(frozen=True, slots=True)
class WorkingMap:
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
    share: Float64
    side: float
    offset: Float64
    diameter: float

    @property
    def max_shell(self) -> int:
        """The highest shell that is held."""
        return len(self.share) - 1

    @classmethod
    def of(cls, volume: FloatArray, extent: Extent, max_detail: float) -> Self:
        """Cut a particle out of a map.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        extent : Extent
        max_detail : float
            Finest detail that will be looked at, voxels.
        """
        middle = np.rint(extent.centre).astype(int)
        radius = extent.radius
        side = 2 * int(np.ceil(_MARGIN * radius)) + 4
        part = _cut_out(np.asarray(volume, np.float32), middle, side)
        # about the centre of mass to a fraction of a voxel: an uneven mask is a false symmetry
        distance = _distance(side, extent.centre - middle)
        edge = max(2.0, 2 * radius * _EDGE)
        mask = np.cos(np.pi / 2 * np.clip((distance - radius) / edge, 0, 1)) ** 2
        max_shell = int(min(side / max_detail, side // 2 - 1))
        cube = map_to_cube(part * mask / gridding_profile(side, PADDING), max_shell, PADDING)
        points, shell = half_ball(max_shell)
        order = np.argsort(shell, kind="stable")
        points, shell = points[order], shell[order]
        points32 = points.astype(np.float32)
        plain = map_to_cube(part * mask, max_shell, 1)
        x, y, z = points.astype(int).T
        m = plain.shape[0] // 2
        positive = np.where(x >= 0, 1, -1)
        values = plain[positive * z + m, positive * y + m, positive * x]
        values = np.where(x >= 0, values, values.conj())
        share = _signal_share(volume, extent, part, mask, max_shell)
        return cls(cube, points32, shell.astype(np.int32), values.astype(np.complex64), share,
                   float(side), middle.astype(np.float64), 2 * radius / side)  # fmt: skip

    def power(self) -> Float64:
        """Return the mean power of each shell, (max_shell + 1,)."""
        sums = np.bincount(self.shell, np.abs(self.values) ** 2, minlength=self.max_shell + 1)
        count = np.maximum(np.bincount(self.shell, minlength=self.max_shell + 1), 1)
        return np.asarray(sums / count)

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


def search_weight(working: WorkingMap, last: int) -> Float64:
    """Return the weight of shells 0 to `last`: equal power, less where noise is strong."""
    power = working.power()[: last + 1]
    weight = working.share[: last + 1] / np.maximum(power, _LEAST_POWER * power[1:].max())
    weight[:_FIRST_SHELL] = 0
    return np.asarray(weight)


def _cut_out(volume: Float32, middle: npt.NDArray[np.int_], side: int) -> Float32:
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


def _signal_share(
    volume: FloatArray, extent: Extent, part: Float32, mask: Float32, max_shell: int
) -> Float64:
    """Compare the power of the particle with that of what lies around it, by shell."""
    n = volume.shape[0]
    side = len(part)
    inside = _power_density(part * mask, float((mask**2).sum()))
    distance = _distance(n, extent.centre)
    away = np.clip((distance - _SOLVENT * extent.radius) / 3, 0, 1).astype(np.float32)
    room = float((away**2).sum())
    noise: FloatArray = np.zeros(max_shell + 1)
    if room > _LEAST_ROOM * n**3:
        solvent = (volume - (volume * away).sum() / away.sum()) * away
        outside = _power_density(solvent, room)
        shells = np.arange(max_shell + 1) / side
        noise = np.interp(shells, np.arange(1, len(outside)) / n, outside[1:])
    total = np.maximum(inside[: max_shell + 1], 1e-30)
    return np.where(total < _NO_POWER * total.max(), 0.0, np.clip(1 - noise / total, 0, 1))


def _distance(box_size: int, centre: FloatArray) -> Float32:
    """Return the distance of every voxel from a point (x, y, z from voxel n // 2), voxels."""
    line = np.arange(box_size, dtype=np.float32) - box_size // 2
    x, y, z = ((line - np.float32(c)) ** 2 for c in centre)
    return np.asarray(np.sqrt(z[:, None, None] + y[:, None] + x), dtype=np.float32)


def _power_density(volume: FloatArray, room: float) -> Float64:
    power = np.abs(np.fft.rfftn(volume)) ** 2
    return shell_sum(power) / np.maximum(shell_sum(np.ones_like(power)), 1) / room
