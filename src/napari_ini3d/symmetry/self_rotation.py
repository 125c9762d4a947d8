"""Self-rotation function: agreement of a map with itself, rotated about any axis.

About an axis a, every shell of the transform is a sum of waves exp(i m φ) around a. A rotation
by α multiplies wave m by exp(i m α), so that the powers P_m of the waves give the correlation
with the map rotated by every angle at once. The mean over the copies of an n-fold axis keeps the
waves with m = 0, n, 2n, ... and cancels the others; the wave m = 0, which every axis keeps, is
ignored. For an axis, an order and a shell::

    kept(n) = Σ_{m = n, 2n, ...} P_m,    all = Σ_{m ≠ 0} P_m

and (kept / all - 1 / n) / (1 - 1 / n) is the mean correlation over the n - 1 rotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import scipy.fft

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, Int64
from napari_ini3d.fourier import map_in_threads
from napari_ini3d.geometry import pixel_directions
from napari_ini3d.symmetry.search_map import SearchMap

MAX_ORDER = 24
_CHUNK = 64  # axes at a time
_LEAST_WAVES = 2 * (MAX_ORDER + 2)  # samples around an axis


@dataclass(frozen=True, slots=True)
class AxisPower:
    """Power that each order of axis keeps, by axis and shell.

    Attributes
    ----------
    directions : (N, 3) float64
        Unit vectors (x, y, z).
    kept : (N, S, MAX_ORDER + 1) float32
        By axis, shell and order; orders 0 and 1 are 0.
    total : (N, S) float32
        Power of all waves but m = 0.
    still : (N, S) float32
        Power of the wave m = 0.
    """

    directions: Float64
    kept: Float32
    total: Float32
    still: Float32

    def expected(self, weight: FloatArray, share: FloatArray) -> Float64:
        """Return the correlation expected for a symmetric map with the same noise, (N,).

        Noise has the same power in every wave, m = 0 among them, so it weighs more where the map
        has little power in the other waves.

        Parameters
        ----------
        weight, share : (S,)
            Of each shell: weight of its power, and share of signal in its power.
        """
        weights = np.asarray(weight, np.float32)
        noise = (self.total + self.still) @ (weights * np.asarray(1 - share, np.float32))
        return np.asarray(1 - noise / np.maximum(self.total @ weights, 1e-30), np.float64)

    def varying(self, weight: FloatArray) -> Float64:
        """Return the share of power that varies around each axis, with m not 0, (N,).

        Parameters
        ----------
        weight : (S,)
            Of each shell's power.
        """
        weights = np.asarray(weight, np.float32)
        total = self.total @ weights
        return np.asarray(total / np.maximum(total + self.still @ weights, 1e-30), np.float64)

    def correlation(self, weight: FloatArray) -> Float64:
        """Return the mean correlation over the rotations of each order, (MAX_ORDER + 1, N).

        Parameters
        ----------
        weight : (S,)
            Of each shell's power.
        """
        weights = np.asarray(weight, np.float32)
        kept = np.einsum("nso,s->on", self.kept, weights)
        total = np.maximum(self.total @ weights, 1e-30)
        chance = 1 / np.maximum(np.arange(MAX_ORDER + 1), 2)[:, None]
        values = np.asarray((kept / total - chance) / (1 - chance), dtype=np.float64)
        values[:2] = 0
        return values


@lru_cache(maxsize=4)
def upper_half(nside: int) -> Float64:
    """Return the HEALPix directions of the upper half sphere, one of each axis, (N, 3)."""
    directions = pixel_directions(nside)
    x, y, z = np.round(directions, 9).T
    upper = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    return np.asarray(directions[upper])


def axis_power(
    search_map: SearchMap,
    directions: Float64,
    centre: Float64,
    max_shell: int,
    *,
    threads: int = 0,
) -> AxisPower:
    """Measure the power that each order of axis keeps, for axes through a point.

    Parameters
    ----------
    search_map : SearchMap
    directions : (N, 3)
        Unit vectors.
    centre : (3,)
        Where the axes meet, in units of the search box from its middle.
    max_shell : int
        Shells 1 to this one are measured.
    threads : int
        0 means as many as the process may use.
    """
    rings = _rings(max_shell, search_map.diameter)
    frames = _frames(directions)

    def measure(start: int) -> tuple[Float32, Float32, Float32]:
        part = frames[start : start + _CHUNK]
        values = search_map.ft.read(part, rings.points)
        shift = (centre @ part.transpose(0, 2, 1)).astype(np.float32)  # in each axis's frame
        values *= np.exp(np.complex64(2j * np.pi) * (shift @ rings.points.T))
        return rings.powers(values)

    parts = map_in_threads(measure, range(0, len(frames), _CHUNK), threads)
    return AxisPower(directions, *(np.concatenate(each) for each in zip(*parts, strict=True)))


@dataclass(frozen=True, slots=True)
class _Rings:
    """Points on shells, in rings about the axis Z; the upper half is enough (Friedel's law)."""

    points: Float32  # (rings * waves, 3)
    shell: Int64  # of each ring, from 0 for shell 1
    weight: Float32  # of each ring, its area
    waves: int

    @classmethod
    def of(cls, max_shell: int, diameter: float) -> Self:
        waves = max(_LEAST_WAVES, int(2 * np.pi * max_shell * diameter) + 8)
        waves = scipy.fft.next_fast_len(waves)
        phi = 2 * np.pi * np.arange(waves) / waves
        points, shells, weights = [], [], []
        for shell in range(1, max_shell + 1):
            count = max(4, int(np.ceil(np.pi / 2 * shell * diameter * 1.5)) + 2)
            nodes, area = np.polynomial.legendre.leggauss(count)
            cos = (nodes + 1) / 2
            sin = np.sqrt(1 - cos**2)
            for c, s, a in zip(cos, sin, area, strict=True):
                z = np.full(waves, c)
                points.append(shell * np.stack([s * np.cos(phi), s * np.sin(phi), z], axis=1))
                shells.append(shell - 1)
                weights.append(a * shell**2)
        return cls(
            np.concatenate(points).astype(np.float32),
            np.array(shells),
            np.array(weights, np.float32),
            waves,
        )

    def powers(self, values: Complex64) -> tuple[Float32, Float32, Float32]:
        """Return kept, total and still of `AxisPower`, from the values at the points for A axes."""
        waves = scipy.fft.fft(values.reshape(len(values), -1, self.waves), axis=2)
        power = (waves.real**2 + waves.imag**2) * self.weight[:, None]  # (A, rings, waves)
        shells = int(self.shell[-1]) + 1
        starts = np.searchsorted(self.shell, np.arange(shells))
        by_shell = np.add.reduceat(power, starts, axis=1)  # (A, S, waves)
        half = self.waves // 2
        by_wave = by_shell[:, :, : half + 1].copy()
        by_wave[:, :, 1 : (self.waves + 1) // 2] += by_shell[:, :, : self.waves // 2 : -1]
        kept = np.zeros((*by_wave.shape[:2], MAX_ORDER + 1), np.float32)
        for order in range(2, MAX_ORDER + 1):
            kept[:, :, order] = by_wave[:, :, order::order].sum(axis=2)
        return kept, by_wave[:, :, 1:].sum(axis=2), by_wave[:, :, 0]


@lru_cache(maxsize=4)
def _rings(max_shell: int, diameter: float) -> _Rings:
    return _Rings.of(max_shell, diameter)


def _frames(directions: Float64) -> Float64:
    """Return rotations whose third row is the axis, (N, 3, 3)."""
    helper = np.where(np.abs(directions[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(helper, directions)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(directions, first), directions], axis=1)
