"""Breaks of a symmetry: places where the copies of a map differ in density.

A subunit at 60 % of its density lowers the FSC of a tetramer's copies to 0.95, at every resolution,
as a little noise does. But noise is not correlated with the structure. About each voxel the
difference of the map v from the mean m of its copies is therefore compared with m::

    d = W[(v - m) m] / W[m²]

with W the mean in a Gaussian window of the size of a domain. d is the relative difference in
density there: -0.3 in a subunit whose density is 30 % below the mean. What noise alone would give
is measured with m rotated by angles of no point group. No noise model is needed, so this also holds
for maps with a flat solvent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from napari_ini3d._types import BoolArray, Float32, Float64, FloatArray, Int64
from napari_ini3d.fourier import FineMap, resize_map, soft_mask, upright_density
from napari_ini3d.geometry import (
    PointGroup,
    RigidTransform,
    product_table,
    symmetry_axes,
    symmetry_operators,
)
from napari_ini3d.symmetry.impose import closure
from napari_ini3d.symmetry.records import Subunit, SymmetryBreak
from napari_ini3d.symmetry.scores import DECIDING_WAVES, ODD_ROTATIONS

LEAST_DIFFERENCE = 0.1
"""Of the density: smaller differences from the mean of the copies are not called a break.

Chains of a true tetramer (PDB 1FAT) differ by up to 8 %.
"""

_LEAST_RATIO = 7.0  # of a difference over that of noise; of true groups at most 5.6
_KNOWN_RATIO = 3.0  # at coarser detail, of a difference that is known
_WINDOW = 0.1  # of the diameter, standard deviation
_FIRST_WAVES = 3.0  # across the particle: coarser detail is that of the outline
_WAVES = (4.0, 5.0, 6.0, 8.0, 10.0, 12.0, DECIDING_WAVES)  # at which the resolution is looked for
_DECIDING = (8.0, DECIDING_WAVES)  # noise may hide at the finer what is seen at the coarser
_DENSE = 0.25  # of the highest local power of m: no difference is measured in empty places
_EDGE = 3.0  # voxels, of the mask
_MARGIN = 1.05  # of the particle's radius
_ROUNDING = 1e-6
_HALF = np.float32(0.5)
_CLEAR_CHANGE = 0.6  # of the largest: operators that change the density so much break
_AS_LARGE = 0.95  # of the largest difference: of equal ones the first is named
_TO_DEVIATION = 1.4826  # of normal values, over their median absolute value


def find_break(
    volume: FloatArray,
    group: PointGroup,
    transform: RigidTransform,
    radius: float,
    *,
    voxel_size: float,
    agreeing: BoolArray | None = None,
    known: bool = False,
    threads: int = 0,
) -> SymmetryBreak | None:
    """Find where the copies of a map differ in density, and which operators are to blame.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    group : PointGroup
    transform : RigidTransform
        Voxels; moves the map to RELION's axes of the group.
    radius : float
        Voxels, of the particle about the centre of the axes.
    voxel_size : float
        Å.
    agreeing : (G,) bool, optional
        Operators whose copies agree as well as noise allows; the others belong to no subgroup that
        holds.
    known : bool
        Describe the break even if the copies differ by little: the group does not hold.
    threads : int

    Returns
    -------
    SymmetryBreak or None
        None where the copies differ by no more than noise, or by less than 10 %.
    """
    if group.order == 1:
        return None
    copies = _Copies.of(volume, transform, radius, threads)
    mean = copies.mean(symmetry_operators(group), threads)
    if not known and not any(copies.is_break(mean, waves) for waves in _DECIDING):
        return None
    breaks = (w for w in _WAVES if copies.is_break(mean, w, _KNOWN_RATIO))
    waves = next(breaks, DECIDING_WAVES)
    resolution = 2 * radius * voxel_size / waves
    agree = np.ones(group.order, dtype=bool) if agreeing is None else agreeing
    found = _explain(copies, group, resolution, agree, threads)
    subunits = copies.subunits(mean, symmetry_operators(group))
    return replace(found, subunits=_in_map(subunits, transform, len(volume), copies, voxel_size))


@dataclass(frozen=True, slots=True)
class _Copies:
    """A map on the axes of a group, resampled to the detail that decides.

    Attributes
    ----------
    values : (k, k, k) float32
        Masked.
    fine : FineMap
        To make copies from.
    radius : float
        Of the particle, voxels.
    """

    values: Float32
    fine: FineMap
    radius: float

    @classmethod
    def of(cls, volume: FloatArray, transform: RigidTransform, radius: float, threads: int) -> Self:
        n = len(volume)
        last = min(n // 2 - 2, round(DECIDING_WAVES * n / (2 * radius)))
        small = resize_map(upright_density(volume), min(n, 2 * last + 4))
        scale = len(small) / n
        reach = min(_MARGIN * radius * scale, len(small) / 2 - _EDGE)
        moved = FineMap.of(small, threads=threads).mean_of_rotated(
            transform.rotation, transform.shift * scale, threads=threads
        )
        mask = soft_mask(len(small), reach, _EDGE, 3)
        values = np.asarray((moved - moved[mask < 0.5].mean()) * mask, dtype=np.float32)
        return cls(values, FineMap.of(values, threads=threads), radius * scale)

    def mean(self, operators: Float64, threads: int) -> Float32:
        """Return the mean of the copies under some operators (G, 3, 3)."""
        return self.fine.mean_of_rotated(operators, threads=threads)

    def is_break(self, mean: Float32, waves: float, ratio: float = _LEAST_RATIO) -> bool:
        """Return whether the map differs from the mean of its copies, by more than noise.

        In detail up to some waves across the particle.
        """
        largest = self.largest(mean, waves)
        if largest < LEAST_DIFFERENCE:
            return False
        return largest >= ratio * self._noise(mean, waves)

    def largest(self, mean: Float32, waves: float) -> float:
        """Return the largest relative difference in density of the map from a mean of copies."""
        m = self._detail(mean, waves)
        local, dense = self._local(self._detail(self.values, waves) - m, m)
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
        m = self._detail(mean, DECIDING_WAVES)
        local, dense = self._local(self._detail(self.values, DECIDING_WAVES) - m, m)
        largest = np.argmax(np.abs(local) * dense)
        place = np.array(np.unravel_index(largest, local.shape))[::-1] - len(local) // 2
        places = operators @ place  # (G, 3)
        index = places[:, ::-1].T + len(local) // 2
        found = map_coordinates(local, index, order=1, mode="nearest").astype(np.float64)
        order = np.argsort(-np.abs(found), kind="stable")
        return places[order], found[order]

    def _noise(self, mean: Float32, waves: float) -> float:
        """Return the deviation of the relative difference that noise gives."""
        m = self._detail(mean, waves)
        rest, fine = self._detail(self.values, waves) - m, FineMap.of(m)
        values = []
        for rotation in Rotation.from_rotvec(ODD_ROTATIONS[:2], degrees=True).as_matrix():
            local, dense = self._local(rest, fine.mean_of_rotated(rotation))
            values.append(np.abs(local[dense]))
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

    def _local(self, rest: Float32, m: Float32) -> tuple[Float32, BoolArray]:
        """Return W[rest m] / W[m²], and where the second is large enough."""
        width = _WINDOW * 2 * self.radius
        power = gaussian_filter(m * m, width, mode="constant", truncate=3.0)
        product = gaussian_filter(rest * m, width, mode="constant", truncate=3.0)
        dense = power > _DENSE * power.max()
        local = np.asarray(product / np.maximum(power, 1e-30), dtype=np.float32)
        return local, np.asarray(dense)


def _explain(
    copies: _Copies,
    group: PointGroup,
    resolution: float,
    agree: BoolArray,
    threads: int,
) -> SymmetryBreak:
    """Return the operator that changes the density most, and the subgroup that holds."""
    operators = symmetry_operators(group)
    single = [copies.mean(operator[None], threads) for operator in operators]
    changes = [2 * copies.largest((copies.values + one) * _HALF, DECIDING_WAVES) for one in single]
    worst = int(np.argmax(np.array(changes) >= _AS_LARGE * max(changes)))
    rotation = Rotation.from_matrix(operators[worst]).as_rotvec()
    axis = max(symmetry_axes(group), key=lambda axis: abs(float(rotation @ axis.direction)))
    clear = max(2 * LEAST_DIFFERENCE, _CLEAR_CHANGE * max(changes))
    agree = agree & (np.array(changes) < clear)
    subgroup = "C1"
    for members in subgroups(group):
        if len(members) < group.order and agree[members].all():
            average = np.stack([single[i] for i in members]).mean(axis=0, dtype=np.float32)
            average = np.asarray(average)
            if not any(copies.is_break(average, waves) for waves in _DECIDING):
                subgroup = name_of(operators[members])
                break
    return SymmetryBreak(
        resolution=resolution,
        difference=min(changes[worst] / (1 + changes[worst] / 2), 1.0),  # of the denser copy
        angle=float(np.rad2deg(np.linalg.norm(rotation))),
        axis_order=axis.order,
        axis=axis.direction,
        subgroup=subgroup,
    )


def _in_map(
    found: tuple[Float64, Float64],
    transform: RigidTransform,
    box_size: int,
    copies: _Copies,
    voxel_size: float,
) -> tuple[Subunit, ...]:
    """Return places of the resampled map on its axes as those of the map as given."""
    places = transform.inverse().apply(found[0] * box_size / len(copies.values)) * voxel_size
    return tuple(
        Subunit((float(x), float(y), float(z)), float(np.clip(difference, -1, 1)))
        for (x, y, z), difference in zip(places, found[1], strict=True)
    )


@lru_cache(maxsize=32)
def subgroups(group: PointGroup) -> tuple[Int64, ...]:
    """Return the operators of each subgroup, as indices; the largest first, the trivial last.

    Every group of rotations is generated by two of its operators.
    """
    operators = symmetry_operators(group)
    table = product_table(operators)
    cyclic = {tuple(closure(table, np.array([0, i]))) for i in range(len(operators))}
    pairs = _pairs(sorted(cyclic))
    found = cyclic | {tuple(closure(table, np.union1d(a, b))) for a, b in pairs}
    ordered = sorted(found, key=lambda members: (-len(members), members))
    return tuple(np.array(members) for members in ordered)


def _pairs(items: list[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for i, first in enumerate(items):
        for second in items[i + 1 :]:
            yield first, second


def name_of(operators: Float64) -> str:
    """Return the name of the point group that operators (G, 3, 3) form."""
    count = len(operators)
    traces = np.clip(np.trace(operators, axis1=1, axis2=2), -1, 3)
    angles = np.rad2deg(np.arccos((traces - 1) / 2))
    axes = Rotation.from_matrix(operators).as_rotvec()[angles > _ROUNDING]
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    if not len(axes) or np.abs(np.abs(axes @ axes[0]) - 1).max() < _ROUNDING:
        return f"C{count}"
    two_folds = int((np.abs(angles - 180) < 1e-3).sum())
    if count == 12 and two_folds == 3:
        return "T"
    if count in (24, 60) and {24: 9, 60: 15}[count] == two_folds:
        return {24: "O", 60: "I"}[count]
    return f"D{count // 2}"
