"""Breaks of a symmetry: places where the copies of a map differ in density.

A subunit at 60 % of its density lowers the FSC of a tetramer's copies to 0.95, at every resolution,
as a little noise does. But noise is not correlated with the structure. About each voxel the
difference of the map v from the mean m of its copies is therefore compared with m::

    d = W[(v - m) m] / W[m²]

with W the mean in a Gaussian window of the size of a domain, or of half a subunit. d is the
relative difference in density there: -0.3 in a subunit whose density is 30 % below the mean. Noise
gives d a deviation in proportion to 1 / √W[m²]. That of d √W[m²], which is the same everywhere, is
measured with m rotated by angles of no point group. No noise model is needed, so this also holds
for maps with a flat solvent.

Where half or a third of the copies differ from the others, the mean of the copies of that subgroup
takes the place of the map: it has less noise, and what the subgroup does not explain, v less this
mean, is nothing but noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import BoolArray, Float64, FloatArray, Int64
from napari_ini3d.geometry import (
    PointGroup,
    RigidTransform,
    symmetry_axes,
    symmetry_operators,
)
from napari_ini3d.symmetry.density_copies import LEAST_RATIO, Comparison, DensityCopies
from napari_ini3d.symmetry.density_windows import WINDOWS
from napari_ini3d.symmetry.records import Subunit, SymmetryBreak
from napari_ini3d.symmetry.scores import deciding_waves
from napari_ini3d.symmetry.subgroup import name_of, subgroups

_CLEAR_DIFFERENCE = 0.2  # of the density: operators that change it by so much may break
_KNOWN_RATIO = 3.0  # at coarser detail, of a difference that is known
_KNOWN_SHARE = 0.5  # of a difference that is known: a subgroup whose copies differ by less holds
_RING_WINDOW = 12.0  # over n: in a ring of n subunits, the windows shrink by this
_WAVES = (4.0, 5.0, 6.0, 8.0, 10.0, 12.0)  # at which the resolution is looked for
_HALF = np.float32(0.5)
_CLEAR_CHANGE = 0.6  # of the largest: operators that change the density so much break
_AS_LARGE = 0.95  # of the largest difference: of equal ones the first is named


def find_break(
    volume: FloatArray,
    group: PointGroup,
    transform: RigidTransform,
    radius: float,
    *,
    voxel_size: float,
    agreeing: BoolArray | None = None,
    known: bool = False,
    subunits_around: int = 0,
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
    subunits_around : int
        Of a ring, which may be more than the group has: one of them may differ.
    threads : int

    Returns
    -------
    SymmetryBreak or None
        None where the copies differ by no more than noise, or by less than `WINDOWS` says.
    """
    if group.order == 1:
        return None
    fold = max(subunits_around, group.fold if group.family in "CD" else 1)
    waves = deciding_waves(group)
    copies = DensityCopies.of(
        volume, transform, radius, waves, min(1.0, _RING_WINDOW / fold), threads
    )
    compared = Comparison(copies, copies.mean(symmetry_operators(group), threads), threads)
    ratios = break_ratios(compared, group, np.arange(group.order), threads=threads)
    if not known and not _is_break(ratios):
        return None
    breaks = (w for w in _WAVES if compared.ratio(w) >= _KNOWN_RATIO)
    waves = next(breaks, copies.waves)
    resolution = 2 * radius * voxel_size / waves
    agree = np.ones(group.order, dtype=bool) if agreeing is None else agreeing
    found = _explain(compared, group, resolution, agree, threads)
    subunits = compared.subunits(symmetry_operators(group))
    return replace(found, subunits=_in_map(subunits, transform, len(volume), copies, voxel_size))


def break_ratios(
    compared: Comparison,
    group: PointGroup,
    members: Int64,
    *,
    share: float = 1.0,
    threads: int = 0,
) -> Iterator[float]:
    """Yield how clearly the copies under some operators differ in density, over noise.

    All of the copies together, then halves and thirds of them; a group breaks from `LEAST_RATIO`.

    Parameters
    ----------
    compared : Comparison
        With the mean of the copies under these operators.
    group : PointGroup
    members : (H,) int64
        Operators of the group, a subgroup or all.
    share : float
        Of the differences that count: less where the copies are known to differ.
    threads : int
    """
    yield from compared.ratios(share)
    operators, count = symmetry_operators(group), len(members)
    parts = [part for part in subgroups(group) if len(part) > 1 and np.isin(part, members).all()]
    for part in (part for part in parts if count in (2 * len(part), 3 * len(part))):
        average = compared.copies.mean(operators[part], threads)
        yield from compared.ratios_of_part(average, len(part), count, share)


def _is_break(ratios: Iterator[float]) -> bool:
    return any(ratio >= LEAST_RATIO for ratio in ratios)


def _explain(
    compared: Comparison,
    group: PointGroup,
    resolution: float,
    agree: BoolArray,
    threads: int,
) -> SymmetryBreak:
    """Return the operator that changes the density most, and the subgroup that holds."""
    operators, copies = symmetry_operators(group), compared.copies
    single = [copies.mean(operator[None], threads) for operator in operators]
    pairs = (Comparison(copies, (copies.values + one) * _HALF, threads) for one in single)
    changes = [2 * pair.largest() for pair in pairs]
    worst = int(np.argmax(np.array(changes) >= _AS_LARGE * max(changes)))
    rotation = Rotation.from_matrix(operators[worst]).as_rotvec()
    axis = max(symmetry_axes(group), key=lambda axis: abs(float(rotation @ axis.direction)))
    clear = max(_CLEAR_DIFFERENCE, _CLEAR_CHANGE * max(changes))
    large = np.flatnonzero(agree & (np.array(changes) >= clear))
    if len(large):  # by more than noise, which changes every copy
        agree = agree.copy()
        agree[large] = ~compared.changed([single[i] for i in large])
    for left in subgroups(group):  # C1 is the last
        if len(left) < group.order and agree[left].all():
            average = np.stack([single[i] for i in left]).mean(axis=0, dtype=np.float32)
            share = _share_of_known(changes[worst], len(left))
            rest = Comparison(copies, np.asarray(average), threads)
            if not _is_break(break_ratios(rest, group, left, share=share, threads=threads)):
                break
    return SymmetryBreak(
        resolution=resolution,
        difference=min(changes[worst] / (1 + changes[worst] / 2), 1.0),  # of the denser copy
        angle=float(np.rad2deg(np.linalg.norm(rotation))),
        axis_order=axis.order,
        axis=axis.direction,
        subgroup=name_of(operators[left]),
        members=tuple(left.tolist()),
    )


def _share_of_known(change: float, n_copies: int) -> float:
    """Return the share of the differences that count at which a subgroup breaks.

    One of h copies that differs by a from the others differs by a (h - 1) / h from their mean. Of a
    change that is known, a subgroup that holds leaves less than half.
    """
    if n_copies == 1:
        return 1.0
    least = _KNOWN_SHARE * change * (n_copies - 1) / n_copies
    return min(1.0, least / WINDOWS[0][1])


def _in_map(
    found: tuple[Float64, Float64],
    transform: RigidTransform,
    box_size: int,
    copies: DensityCopies,
    voxel_size: float,
) -> tuple[Subunit, ...]:
    """Return places of the resampled map on its axes as those of the map as given."""
    places = transform.inverse().apply(found[0] * box_size / len(copies.values)) * voxel_size
    return tuple(
        Subunit((float(x), float(y), float(z)), float(np.clip(difference, -1, 1)))
        for (x, y, z), difference in zip(places, found[1], strict=True)
    )
