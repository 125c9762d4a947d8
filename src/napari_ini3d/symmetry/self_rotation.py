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
"""The highest order of axis that the search looks for: finer waves show beyond its resolution."""

_CHUNK = 64  # axes at a time
_LEAST_WAVES = 2 * (MAX_ORDER + 2)  # samples around an axis


@dataclass(frozen=True, slots=True)
class AxisPower:
    """Power of the waves around each axis.

    Attributes
    ----------
    directions : (N, 3) float64
        Unit vectors (x, y, z).
    waves : (N, S, M + 1) float32
        By axis, shell and number m of the wave; the map has no power in waves beyond M.
    """

    directions: Float64
    waves: Float32

    def expected(self, weight: FloatArray, share: FloatArray) -> Float64:
        """Return the correlation expected for a symmetric map with the same noise, (N,).

        Noise has the same power in every wave, m = 0 among them, so it weighs more where the map
        has little power in the other waves.

        Parameters
        ----------
        weight, share : (S,)
            Of each shell: weight of its power, and share of signal in its power.
        """
        noise = self.spectrum(np.asarray(weight) * (1 - np.asarray(share))).sum(axis=1)
        total = self.spectrum(weight)[:, 1:].sum(axis=1)
        return np.asarray(1 - noise / np.maximum(total, 1e-30), np.float64)

    def varying(self, weight: FloatArray) -> Float64:
        """Return the share of power that varies around each axis, with m not 0, (N,).

        Parameters
        ----------
        weight : (S,)
            Of each shell's power.
        """
        spectrum = self.spectrum(weight)
        return np.asarray(spectrum[:, 1:].sum(axis=1) / np.maximum(spectrum.sum(axis=1), 1e-30))

    def correlation(self, weight: FloatArray, highest: int = MAX_ORDER) -> Float64:
        """Return the mean correlation over the rotations of each order, (highest + 1, N).

        Parameters
        ----------
        weight : (S,)
            Of each shell's power.
        highest : int
            Order.
        """
        spectrum = self.spectrum(weight)  # (N, M + 1)
        total = np.maximum(spectrum[:, 1:].sum(axis=1), 1e-30)
        values = np.zeros((highest + 1, len(spectrum)))
        for order in range(2, highest + 1):
            kept = spectrum[:, order::order].sum(axis=1)
            values[order] = (kept / total - 1 / order) / (1 - 1 / order)
        return values

    def spectrum(self, weight: FloatArray) -> Float64:
        """Return the power of each wave, summed over the shells, (N, M + 1).

        Parameters
        ----------
        weight : (S,)
            Of each shell's power.
        """
        weights = np.asarray(weight, np.float32)
        return np.asarray(np.einsum("nsm,s->nm", self.waves, weights), np.float64)


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
    """Measure the power of the waves around axes through a point.

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

    def measure(start: int) -> Float32:
        return rings.powers(_read_rings(search_map, rings, frames[start : start + _CHUNK], centre))

    parts = map_in_threads(measure, range(0, len(frames), _CHUNK), threads)
    return AxisPower(directions, np.concatenate(parts))


def flip_overlap(search_map: SearchMap, frame: Float64, centre: Float64, max_shell: int) -> Float64:
    """Compare the waves around Z with those after a rotation by 180° about X, without m = 0.

    The rotation takes wave m, of amplitude c, to one of (-1)^m c*. What does not vary around Z
    would agree in any case.

    Parameters
    ----------
    search_map : SearchMap
    frame : (3, 3)
        Its columns are X, Y and Z in the map.
    centre : (3,)
        In units of the search box from its middle.
    max_shell : int
        Shells 1 to this one are compared.

    Returns
    -------
    (S,) float64
        In units of the power of `AxisPower.waves`.
    """
    rings = _rings(max_shell, search_map.diameter)
    waves, numbers = _waves_around(search_map, rings, frame, centre)
    return rings.by_shell((waves**2).real @ (-1.0) ** numbers)


def mirror_overlap(
    search_map: SearchMap, frame: Float64, centre: Float64, max_shell: int, order: int
) -> Float64:
    """Compare the waves around Z with those of the mirror image in the plane XZ.

    The mirror takes wave m to wave -m. Of the waves m = n, 2n, ... of an n-fold axis.

    Parameters
    ----------
    search_map, frame, centre, max_shell
        As of `flip_overlap`.
    order : int
        n

    Returns
    -------
    (S,) float64
        In units of the power of `AxisPower.waves`.
    """
    rings = _rings(max_shell, search_map.diameter)
    waves, numbers = _waves_around(search_map, rings, frame, centre)
    return rings.by_shell((waves * waves[:, ::-1].conj()).real @ (numbers % order == 0))


def _waves_around(
    search_map: SearchMap, rings: _Rings, frame: Float64, centre: Float64
) -> tuple[Complex64, Float64]:
    """Return the waves of each ring around Z of a frame, (rings, M), and their numbers, (M,).

    Without wave 0.
    """
    values = _read_rings(search_map, rings, frame.T[None], centre)[0].reshape(-1, rings.waves)
    numbers = np.rint(np.fft.fftfreq(rings.waves, 1 / rings.waves))
    return scipy.fft.fft(values, axis=1)[:, 1:], numbers[1:]


def _read_rings(
    search_map: SearchMap, rings: _Rings, frames: Float64, centre: Float64
) -> Complex64:
    """Return the components on rings about the third rows of frames (A, 3, 3)."""
    values = search_map.ft.read(frames, rings.points)
    shift = (centre @ frames.transpose(0, 2, 1)).astype(np.float32)  # in each axis's frame
    values *= np.exp(np.complex64(2j * np.pi) * (shift @ rings.points.T))
    return values


@dataclass(frozen=True, slots=True)
class _Rings:
    """Points on shells, in rings about the axis Z; the upper half is enough (Friedel's law)."""

    points: Float32  # (rings * waves, 3)
    shell: Int64  # of each ring, from 0 for shell 1
    weight: Float32  # of each ring, its area
    waves: int

    def by_shell(self, values: FloatArray) -> Float64:
        """Return values of rings (rings,) times their weights, summed over each shell."""
        return np.asarray(np.bincount(self.shell, values * self.weight), dtype=np.float64)

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

    def powers(self, values: Complex64) -> Float32:
        """Return the waves of `AxisPower`, from the values at the points for A axes."""
        waves = scipy.fft.fft(values.reshape(len(values), -1, self.waves), axis=2)
        power = (waves.real**2 + waves.imag**2) * self.weight[:, None]  # (A, rings, waves)
        shells = int(self.shell[-1]) + 1
        starts = np.searchsorted(self.shell, np.arange(shells))
        by_shell = np.add.reduceat(power, starts, axis=1)  # (A, S, waves)
        half = self.waves // 2
        by_wave = by_shell[:, :, : half + 1].copy()
        by_wave[:, :, 1 : (self.waves + 1) // 2] += by_shell[:, :, : self.waves // 2 : -1]
        return by_wave


@lru_cache(maxsize=4)
def _rings(max_shell: int, diameter: float) -> _Rings:
    return _Rings.of(max_shell, diameter)


def _frames(directions: Float64) -> Float64:
    """Return rotations whose third row is the axis, (N, 3, 3)."""
    helper = np.where(np.abs(directions[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(helper, directions)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(directions, first), directions], axis=1)
