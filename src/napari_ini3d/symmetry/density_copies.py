"""Copies of a map under the operators of a group, and where their density differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import scipy.fft
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from napari_ini3d._types import BoolArray, Float32, Float64, FloatArray
from napari_ini3d.fourier import FineMap, resize_map, soft_mask
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.symmetry.checks import unit_density
from napari_ini3d.symmetry.density_windows import WINDOWS, LocalPower, Window
from napari_ini3d.symmetry.impose import mean_of_copies
from napari_ini3d.symmetry.scores import ODD_ROTATIONS

LEAST_RATIO = 5.5
"""Of a difference over that of noise; see docs/method.md."""

_FIRST_WAVES = 3.0  # across the particle: coarser detail is that of the outline
_COARSE_WAVES = 8.0  # noise may hide at the finest what is seen here
_EDGE = 3.0  # voxels, of the mask
_MARGIN = 1.05  # of the particle's radius
_TO_DEVIATION = 1.4826  # of normal values, over their median absolute value


@dataclass(frozen=True, slots=True)
class DensityCopies:
    """A map on the axes of a group, resampled to the detail that decides.

    Attributes
    ----------
    values : (k, k, k) float32
        Masked.
    fine : FineMap
        To make copies from.
    radius : float
        Of the particle, voxels.
    waves : float
        Across the particle, of the finest detail.
    windows : tuple of Window
    """

    values: Float32
    fine: FineMap
    radius: float
    waves: float
    windows: tuple[Window, ...]

    @classmethod
    def of(
        cls,
        volume: FloatArray,
        transform: RigidTransform,
        radius: float,
        waves: float,
        shrunk: float,
        threads: int,
    ) -> Self:
        n = len(volume)
        last = min(n // 2 - 2, round(waves * n / (2 * radius)))
        small = unit_density(resize_map(volume, min(n, 2 * last + 4)))
        scale = len(small) / n
        reach = min(_MARGIN * radius * scale, len(small) / 2 - _EDGE)
        moved = FineMap.of(small, threads=threads).mean_of_rotated(
            transform.rotation, transform.shift * scale, threads=threads
        )
        mask = soft_mask(len(small), reach, _EDGE, 3)
        values = np.asarray((moved - moved[mask < 0.5].mean()) * mask, dtype=np.float32)
        windows = tuple(
            Window.of(shrunk * width * 2 * radius * scale, least, len(small))
            for width, least in WINDOWS
        )
        return cls(values, FineMap.of(values, threads=threads), radius * scale, waves, windows)

    def mean(self, operators: Float64, threads: int) -> Float32:
        """Return the mean of the copies under a group of operators (G, 3, 3), or under one."""
        return mean_of_copies(self.values, operators, fine=self.fine, threads=threads)

    def detail(self, values: Float32, waves: float) -> Float32:
        """Return a map without what is coarser than 3 waves across the particle or finer."""
        n = len(values)
        line, half = np.fft.fftfreq(n), np.fft.rfftfreq(n)
        frequency = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + half**2)
        across = frequency * 2 * self.radius  # waves
        band = np.clip(across - _FIRST_WAVES + 0.5, 0, 1) * np.clip(waves - across + 0.5, 0, 1)
        values_ft = scipy.fft.rfftn(values) * band.astype(np.float32)
        return np.asarray(scipy.fft.irfftn(values_ft, s=values.shape), dtype=np.float32)


class Comparison:
    """A map compared with a mean of its copies.

    What noise gives is measured with that mean rotated by angles of no point group.

    Parameters
    ----------
    copies : DensityCopies
    mean : (k, k, k) float32
    threads : int
    """

    def __init__(self, copies: DensityCopies, mean: Float32, threads: int) -> None:
        self.copies = copies
        self._mean, self._threads = mean, threads
        self._at: dict[float, _Detail] = {}  # by waves across the particle

    def ratio(self, waves: float, share: float = 1.0) -> float:
        """Return how clearly the map differs from the mean, over noise; 0 where nothing counts.

        Parameters
        ----------
        waves : float
            Across the particle, of the finest detail that is compared.
        share : float
            Of the differences that count: less where the copies are known to differ.
        """
        detail = self._detail(waves)
        rest = self.copies.detail(self.copies.values - self._mean, waves)
        return detail.clearest(rest, rest, share)

    def ratios(self, share: float) -> Iterator[float]:
        """Yield `ratio` in coarse and in fine detail."""
        return (self.ratio(waves, share) for waves in (_COARSE_WAVES, self.copies.waves))

    def ratios_of_part(
        self, part: Float32, n_part: int, n_all: int, share: float
    ) -> Iterator[float]:
        """Yield how clearly a subgroup's mean of copies differs from that of all, over noise.

        With noise of deviation σ the difference of the means over h and g copies has the deviation
        σ √(1/h - 1/g), and that of the map from the first has σ √(1 - 1/h).

        Parameters
        ----------
        part : (k, k, k) float32
            Mean of the copies of the subgroup.
        n_part, n_all : int
            Number of these copies, and of all.
        share : float
            See `ratio`.
        """
        scale = np.float32(np.sqrt((1 / n_part - 1 / n_all) / (1 - 1 / n_part)))
        for waves in (_COARSE_WAVES, self.copies.waves):
            detail = self._detail(waves)
            rest = self.copies.detail(part - self._mean, waves)
            noise = scale * self.copies.detail(self.copies.values - part, waves)
            yield detail.clearest(rest, noise, share)

    def changed(self, copies: list[Float32]) -> BoolArray:
        """Return which copies, under one operator each, differ from the map by more than noise.

        They are compared with the mean, whose noise is lower than that of two copies.
        """
        waves, detail = self.copies.waves, self._detail(self.copies.waves)
        found = []
        for copy in copies:
            rest = self.copies.detail((self.copies.values - copy) * np.float32(0.5), waves)
            found.append(detail.clearest(rest, rest, 0.0) >= LEAST_RATIO)
        return np.array(found)

    def largest(self) -> float:
        """Return the largest relative difference in density, in the smaller window."""
        local, dense = self._local()
        return float(np.abs(local[dense]).max())

    def subunits(self, operators: Float64) -> tuple[Float64, Float64]:
        """Return where the map differs most from the mean of its copies, and equivalent places.

        Returns
        -------
        places : (G, 3) float64
            Voxels (x, y, z) from the middle.
        differences : (G,) float64
            Relative, the largest first.
        """
        local, dense = self._local()
        largest = np.argmax(np.abs(local) * dense)
        place = np.array(np.unravel_index(largest, local.shape))[::-1] - len(local) // 2
        places = operators @ place  # (G, 3)
        index = places[:, ::-1].T + len(local) // 2
        found = map_coordinates(local, index, order=1, mode="nearest").astype(np.float64)
        order = np.argsort(-np.abs(found), kind="stable")
        return places[order], found[order]

    def _local(self) -> tuple[Float32, BoolArray]:
        """Return the differences in the smaller window (k, k, k), and where they are measured."""
        m = self.copies.detail(self._mean, self.copies.waves)
        compared = LocalPower.of(m, self.copies.windows[0])
        rest = self.copies.detail(self.copies.values - self._mean, self.copies.waves)
        return compared.difference(rest), compared.dense

    def _detail(self, waves: float) -> _Detail:
        if waves not in self._at:
            self._at[waves] = _Detail(self, self.copies.detail(self._mean, waves), waves)
        return self._at[waves]

    @cached_property
    def rotated(self) -> list[Float32]:
        """The mean, rotated by angles of no point group.

        A window is so large that one map holds few independent values: with two rotations the
        deviation came out 30 % too small in one of fifty noisy maps.
        """
        fine = FineMap.of(self._mean, threads=self._threads)
        rotations = Rotation.from_rotvec(ODD_ROTATIONS, degrees=True).as_matrix()
        return [fine.mean_of_rotated(one, threads=self._threads) for one in rotations]


class _Detail:
    """The mean of a comparison, in detail up to some waves across the particle, in all windows."""

    def __init__(self, comparison: Comparison, m: Float32, waves: float) -> None:
        self.m = m
        self._comparison, self._waves = comparison, waves

    def clearest(self, rest: Float32, noise: Float32, share: float) -> float:
        """Return the largest ratio to its deviation of a difference that counts in its window.

        Parameters
        ----------
        rest : (k, k, k) float32
            The difference of a map from m.
        noise : (k, k, k) float32
            With the deviation of the noise in it.
        share : float
            See `Comparison.ratio`.
        """
        found = 0.0
        for compared in self._true:
            local = np.abs(compared.difference(rest)[compared.dense])
            counts = local >= share * compared.window.least
            if counts.any():
                clear = float((local * compared.root)[counts].max())
                found = max(found, clear / max(self._deviation(noise, compared.window), 1e-30))
        return found

    @cached_property
    def _true(self) -> list[LocalPower]:
        return [LocalPower.of(self.m, window) for window in self._comparison.copies.windows]

    @cached_property
    def _wrong(self) -> list[LocalPower]:
        """As `_true`, with the rotated maps."""
        copies = self._comparison.copies
        maps = [copies.detail(rotated, self._waves) for rotated in self._comparison.rotated]
        return [LocalPower.of(m, window) for window in copies.windows for m in maps]

    def _deviation(self, noise: Float32, window: Window) -> float:
        """Return the deviation of W[noise m] / √W[m²]."""
        wrong = [one for one in self._wrong if one.window is window]
        values = [np.abs(one.difference(noise)[one.dense] * one.root) for one in wrong]
        return _TO_DEVIATION * float(np.median(np.concatenate(values)))
