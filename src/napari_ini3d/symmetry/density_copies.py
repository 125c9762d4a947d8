"""Copies of a map under the operators of a group, and where their density differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from napari_ini3d._types import BoolArray, Float32, Float64, FloatArray
from napari_ini3d.fourier import FineMap, resize_map, soft_mask
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.symmetry.checks import unit_density
from napari_ini3d.symmetry.impose import mean_of_copies
from napari_ini3d.symmetry.scores import ODD_ROTATIONS

WINDOWS = ((0.1, 0.10), (0.15, 0.06))
"""Windows, and the least differences from the mean of the copies that are called a break in them.

Standard deviation of the window over the diameter, and share of the density. The chains of a true
tetramer (PDB 1FAT) differ by up to 7.5 % in the first and 3.2 % in the second; a whole subunit with
less density differs in both.
"""

LEAST_RATIO = 5.2
"""Of a difference over that of noise; see docs/method.md."""

_FIRST_WAVES = 3.0  # across the particle: coarser detail is that of the outline
_COARSE_WAVES = 8.0  # noise may hide at the finest what is seen here
_DENSE = 0.25  # of the highest local power of m: no difference is measured in empty places
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
    windows : tuple of (float, float)
        Standard deviation of Gaussian windows, voxels, and the differences that count in them.
    """

    values: Float32
    fine: FineMap
    radius: float
    waves: float
    windows: tuple[tuple[float, float], ...]

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
        small = resize_map(unit_density(volume), min(n, 2 * last + 4))
        scale = len(small) / n
        reach = min(_MARGIN * radius * scale, len(small) / 2 - _EDGE)
        moved = FineMap.of(small, threads=threads).mean_of_rotated(
            transform.rotation, transform.shift * scale, threads=threads
        )
        mask = soft_mask(len(small), reach, _EDGE, 3)
        values = np.asarray((moved - moved[mask < 0.5].mean()) * mask, dtype=np.float32)
        windows = tuple((shrunk * w * 2 * radius * scale, least) for w, least in WINDOWS)
        return cls(values, FineMap.of(values, threads=threads), radius * scale, waves, windows)

    def mean(self, operators: Float64, threads: int) -> Float32:
        """Return the mean of the copies under a group of operators (G, 3, 3), or under one."""
        return mean_of_copies(self.values, operators, fine=self.fine, threads=threads)

    def break_ratios(self, mean: Float32, share: float) -> Iterator[float]:
        """Yield how clearly the map differs from the mean of its copies, over noise.

        Parameters
        ----------
        mean : (k, k, k) float32
        share : float
            Of the differences that count: less where the copies are known to differ.
        """
        return (self.break_ratio(mean, waves, share) for waves in (_COARSE_WAVES, self.waves))

    def break_ratios_of_part(
        self, part: Float32, mean: Float32, n_part: int, n_all: int, share: float
    ) -> Iterator[float]:
        """Yield how clearly a subgroup's mean of copies differs from that of all, over noise.

        With noise of deviation σ the difference of the means over h and g copies has the deviation
        σ √(1/h - 1/g), and that of the map from the first has σ √(1 - 1/h).

        Parameters
        ----------
        part, mean : (k, k, k) float32
            Mean of the copies of the subgroup, and of all.
        n_part, n_all : int
            Number of these copies.
        share : float
            See `break_ratios`.
        """
        scale = np.sqrt((1 / n_part - 1 / n_all) / (1 - 1 / n_part))
        for waves in (_COARSE_WAVES, self.waves):
            m = self._detail(mean, waves)
            rest = self._detail(part, waves) - m
            noise = np.float32(scale) * self._detail(self.values - part, waves)
            yield self._clearest(rest, m, noise, share)

    def break_ratio(self, mean: Float32, waves: float, share: float = 1.0) -> float:
        """Return how clearly the map differs from the mean of its copies, over noise.

        In detail up to some waves across the particle; 0 where no difference counts.
        """
        m = self._detail(mean, waves)
        rest = self._detail(self.values, waves) - m
        return self._clearest(rest, m, rest, share)

    def changed(self, copies: list[Float32], mean: Float32) -> BoolArray:
        """Return which copies differ from the map by more than noise.

        Parameters
        ----------
        copies : list of (k, k, k) float32
            Under one operator each.
        mean : (k, k, k) float32
            Of all copies: its noise is lower than that of two.
        """
        m, values = self._detail(mean, self.waves), self._detail(self.values, self.waves)
        rotated = _wrongly_rotated(m)
        found = []
        for copy in copies:
            rest = (values - self._detail(copy, self.waves)) * np.float32(0.5)
            found.append(self._clearest(rest, m, rest, 0.0, rotated) >= LEAST_RATIO)
        return np.array(found)

    def _clearest(
        self,
        rest: Float32,
        m: Float32,
        noise: Float32,
        share: float,
        rotated: Sequence[Float32] = (),
    ) -> float:
        """Return the largest ratio to its deviation of a difference that counts in its window.

        The copies of m that are rotated wrongly are made if they are not given.
        """
        found = 0.0
        for window, least in self.windows:
            local, power, dense = self._local(rest, m, window)
            difference = np.abs(local[dense])
            counts = difference >= share * least
            if not counts.any():
                continue
            rotated = rotated or _wrongly_rotated(m)
            clear = float((difference * np.sqrt(power[dense]))[counts].max())
            found = max(found, clear / max(self._noise(noise, rotated, window), 1e-30))
        return found

    def largest(self, mean: Float32, waves: float) -> float:
        """Return the largest relative difference in density of the map from a mean of copies."""
        m = self._detail(mean, waves)
        local, _, dense = self._local(self._detail(self.values, waves) - m, m, self.windows[0][0])
        return float(np.abs(local[dense]).max())

    def subunits(self, mean: Float32, operators: Float64) -> tuple[Float64, Float64]:
        """Return where the map differs most from the mean of its copies, and equivalent places.

        Returns
        -------
        places : (G, 3) float64
            Voxels (x, y, z) from the middle.
        differences : (G,) float64
            Relative, the largest first.
        """
        m = self._detail(mean, self.waves)
        rest = self._detail(self.values, self.waves) - m
        local, _, dense = self._local(rest, m, self.windows[0][0])
        largest = np.argmax(np.abs(local) * dense)
        place = np.array(np.unravel_index(largest, local.shape))[::-1] - len(local) // 2
        places = operators @ place  # (G, 3)
        index = places[:, ::-1].T + len(local) // 2
        found = map_coordinates(local, index, order=1, mode="nearest").astype(np.float64)
        order = np.argsort(-np.abs(found), kind="stable")
        return places[order], found[order]

    def _noise(self, rest: Float32, rotated: Sequence[Float32], window: float) -> float:
        """Return the deviation of W[rest m] / √W[m²] that noise gives, from m rotated wrongly."""
        values = []
        for m in rotated:
            local, power, dense = self._local(rest, m, window)
            values.append(np.abs(local[dense] * np.sqrt(power[dense])))
        return _TO_DEVIATION * float(np.median(np.concatenate(values)))

    def _detail(self, values: Float32, waves: float) -> Float32:
        """Return a map without what is coarser than 3 waves or finer than given."""
        n = len(values)
        line, half = np.fft.fftfreq(n), np.fft.rfftfreq(n)
        frequency = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + half**2)
        across = frequency * 2 * self.radius  # waves
        band = np.clip(across - _FIRST_WAVES + 0.5, 0, 1) * np.clip(waves - across + 0.5, 0, 1)
        values_ft = scipy.fft.rfftn(values) * band.astype(np.float32)
        return np.asarray(scipy.fft.irfftn(values_ft, s=values.shape), dtype=np.float32)

    @staticmethod
    def _local(rest: Float32, m: Float32, window: float) -> tuple[Float32, Float32, BoolArray]:
        """Return W[rest m] / W[m²], W[m²], and where this is large enough."""
        power = gaussian_filter(m * m, window, mode="constant", truncate=3.0)
        product = gaussian_filter(rest * m, window, mode="constant", truncate=3.0)
        dense = power > _DENSE * power.max()
        local = np.asarray(product / np.maximum(power, 1e-30), dtype=np.float32)
        return local, np.asarray(power, dtype=np.float32), np.asarray(dense)


def _wrongly_rotated(m: Float32) -> list[Float32]:
    """Return a map rotated by angles of no point group.

    A window is so large that one map holds few independent values: with two rotations the deviation
    came out 30 % too small in one of fifty noisy maps.
    """
    fine = FineMap.of(m)
    rotations = Rotation.from_rotvec(ODD_ROTATIONS, degrees=True).as_matrix()
    return [fine.mean_of_rotated(rotation) for rotation in rotations]
