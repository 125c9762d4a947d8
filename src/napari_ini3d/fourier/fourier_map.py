"""Fourier transform of a masked map, read at any frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, Int32, Int64
from napari_ini3d.fourier.transforms import gridding_profile, map_to_cube
from napari_ini3d.kernels import read_points

PADDING = 2
"""Samples of the cube per shell."""


@dataclass(frozen=True, slots=True)
class FourierMap:
    """Fourier components of a map in a box, about the middle of the box, up to a largest shell.

    Frequencies are in shells of the box, so a shift by s, in units of the box side, multiplies
    component k by exp(-2πi k·s).

    Attributes
    ----------
    cube : (2m + 1, 2m + 1, m + 2) complex64
        Transform with `PADDING` samples per shell, see `kernels.cpu`, of the map divided by
        what trilinear interpolation multiplies it by.
    points : (N, 3) float32
        Independent whole frequencies (x, y, z) up to `max_shell`, the lowest shells first.
    shell : (N,) int32
        Shell of each point, from 1.
    values : (N,) complex64
        Components at the points, without interpolation.
    power : (max_shell + 1,) float64
        Mean power of each shell; 0 for shell 0.
    """

    cube: Complex64
    points: Float32
    shell: Int32
    values: Complex64
    power: Float64

    @property
    def max_shell(self) -> int:
        """The highest shell of the points."""
        return len(self.power) - 1

    @classmethod
    def of(cls, volume: Float32, max_shell: int) -> Self:
        """Transform a map that is masked already.

        Parameters
        ----------
        volume : (n, n, n) float32
            Real space (z, y, x), n even.
        max_shell : int
            Largest frequency that will be read, less than n // 2.
        """
        # trilinear interpolation of the transform fades the map towards the border of the box
        cube = map_to_cube(volume / gridding_profile(len(volume), PADDING), max_shell, PADDING)
        points, shell = half_ball(max_shell)
        order = np.argsort(shell, kind="stable")
        points, shell = points[order], shell[order]  # (N, 3), (N,)
        values = components_at(volume, points)
        count = np.maximum(np.bincount(shell), 1)
        return cls(
            cube=cube,
            points=points.astype(np.float32),
            shell=shell.astype(np.int32),
            values=values,
            power=np.bincount(shell, np.abs(values) ** 2) / count,
        )

    def count_within(self, last: int) -> int:
        """Return how many of the points lie in shells 1 to `last`; they come first."""
        return int(np.searchsorted(self.shell, last, side="right"))

    def read(self, rotations: FloatArray, points: FloatArray) -> Complex64:
        """Return the components at ``points @ rotations[r]``, interpolated, in one thread.

        Parameters
        ----------
        rotations : (R, 3, 3)
        points : (N, 3)
            Frequencies (x, y, z) in shells, none longer than ``max_shell + 1/2``.

        Returns
        -------
        (R, N) complex64
        """
        out = np.empty((len(rotations), len(points)), np.complex64)
        samples = np.asarray(points * PADDING, np.float32)
        read_points(self.cube, np.asarray(rotations, np.float32), samples, out)
        return out


def half_ball(max_shell: int) -> tuple[Float64, Int64]:
    """Return the independent frequencies of a real map and the shell of each.

    Returns
    -------
    frequencies : (K, 3) float64
        (x, y, z), integers; of k and -k only one.
    shell : (K,) int64
        1 to `max_shell`.
    """
    line = np.arange(-max_shell, max_shell + 1)
    z, y, x = (grid.ravel() for grid in np.meshgrid(line, line, line, indexing="ij"))
    shell = np.rint(np.sqrt(x**2 + y**2 + z**2)).astype(np.int64)
    upper = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    kept = upper & (shell <= max_shell)
    return np.stack([x, y, z], axis=1)[kept].astype(np.float64), shell[kept]


def cut_out(volume: Float32, middle: Int64, side: int) -> Float32:
    """Return a box cut out of a map, filled with 0 beyond the map.

    Parameters
    ----------
    volume : (n, n, n) float32
        Real space (z, y, x).
    middle : (3,) int
        Voxel (x, y, z), from voxel n // 2, that becomes voxel ``side // 2`` of the box.
    side : int
        Voxels per side of the box.

    Returns
    -------
    (side, side, side) float32
    """
    n = volume.shape[0]
    low = middle[::-1] + n // 2 - side // 2  # (z, y, x) of the first voxel; may be negative
    source = [slice(max(start, 0), min(start + side, n)) for start in low]
    part = np.zeros((side,) * 3, np.float32)
    target = tuple(
        slice(s.start - start, s.stop - start) for s, start in zip(source, low, strict=True)
    )
    part[target] = volume[tuple(source)]
    return part


def components_at(volume: Float32, points: FloatArray) -> Complex64:
    """Return the Fourier components of a map at whole frequencies, without interpolation.

    Parameters
    ----------
    volume : (n, n, n) float32
        Real space (z, y, x), n even.
    points : (N, 3)
        (x, y, z), integers below n // 2.

    Returns
    -------
    (N,) complex64
    """
    plain = map_to_cube(volume, int(np.abs(points).max()), 1)
    mate = np.where(points[:, 0] < 0, -1, 1)  # the half cube has x >= 0 only: F(-k) = F(k)*
    x, y, z = points.astype(np.int64).T * mate
    centre = plain.shape[0] // 2
    found = plain[z + centre, y + centre, x]  # (N,)
    return np.asarray(np.where(mate < 0, found.conj(), found), dtype=np.complex64)
