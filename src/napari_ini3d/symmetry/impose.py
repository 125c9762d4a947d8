"""Impose a point group on a map: the mean of its copies under all operators.

The mean over a group is a mean over the cosets of a subgroup of the mean over that subgroup, so
it is taken along a chain of subgroups. Operators that map the voxels onto themselves (signed
permutations of the axes) come first and need no interpolation: I needs 12 operators by permutation
and 4 interpolations, not 59; O needs none.

Copies of density outside the sphere inscribed in the box may fall outside the box. Groups that
need interpolation therefore act on that sphere: outside it the map is set to its mean there (0 if
the solvent is 0), with a soft edge within the sphere, and components beyond Nyquist, in the corners
of the transform, are removed. A map that is flat outside the sphere already, for instance because
a group was imposed before, is used as it is. Groups that need no interpolation act on the whole
box, which is periodic: the plane at -n / 2 is also that at n / 2.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_ini3d._types import BoolArray, Float32, Float64, FloatArray, Int64
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import FineMap, cut_at_nyquist, radius_grid, soft_mask
from napari_ini3d.geometry import PointGroup, product_table, symmetry_operators
from napari_ini3d.symmetry.checks import check_volume

Indices = Int64

_EDGE, _EDGE_SHARE = 4.0, 16  # voxels and part of the box: the sphere's soft edge is the larger
_MOST_COSETS = 12  # of a step where fewer, in two steps, would do
_ANY_SIZE = 1.0  # Å: the operators do not depend on the voxel size
_SAME = 1e-6  # elements of matrices that differ by less are equal


def impose_symmetry(
    volume: FloatArray,
    group: str | PointGroup,
    *,
    mask: FloatArray | None = None,
    threads: int = 0,
) -> Float32:
    """Return the mean of a map over the operators of a point group.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x), n even, on RELION's axes of the group about voxel n // 2.
    group : str or PointGroup
    mask : (n, n, n), optional
        Multiplies the result.
    threads : int
        0 means as many as the process may use. The result is the same for any number.

    Returns
    -------
    (n, n, n) float32

    Raises
    ------
    MapError
        Where the map is not a finite cube of an even number of at least 16 voxels, or constant;
        where the mask has another shape or is not finite.
    SymmetryError
        For an unknown point group.
    """
    check_volume(volume, _ANY_SIZE)
    if mask is not None:
        _check_mask(mask, volume.shape)
    steps = coset_chain(group if isinstance(group, PointGroup) else PointGroup.parse(group))
    result = np.array(volume, dtype=np.float32)
    exact = [step for step in steps if _keeps_voxels(step)]
    for operators in exact:
        result = _mean_of_permuted(result, operators)
    if len(exact) < len(steps):
        result = _mean_within_sphere(result, steps[len(exact) :], threads)
    return result if mask is None else np.asarray(result * mask, dtype=np.float32)


def _check_mask(mask: FloatArray, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise MapError(
            f"the mask has the shape {mask.shape} and the map {shape}; expected the same: resample "
            "the mask to the map's box"
        )
    if not np.isfinite(mask).all():
        raise MapError("the mask contains NaN or infinite values; repair it")


def mean_of_copies(
    volume: Float32, operators: Float64, *, fine: FineMap | None = None, threads: int = 0
) -> Float32:
    """Return the mean of a map over a group of operators, or its copy under a single one.

    Parameters
    ----------
    volume : (n, n, n) float32
        0 outside a sphere within the box, without components beyond Nyquist.
    operators : (G, 3, 3)
        A group, or one operator.
    fine : FineMap, optional
        Of the map. Default: it is made if needed.
    threads : int
    """
    result = volume
    for step in [operators] if len(operators) == 1 else _coset_chain(operators):
        if _keeps_voxels(step):
            result = _mean_of_permuted(result, step)
        else:
            source = FineMap.of(result, threads=threads) if fine is None else fine
            result = source.mean_of_rotated(step, threads=threads)
        fine = None
    return result


@lru_cache(maxsize=64)
def coset_chain(group: PointGroup) -> tuple[Float64, ...]:
    """Return the steps that average over a group, those without interpolation first.

    Returns
    -------
    tuple of (K, 3, 3) float64
        Representatives, identity first, of the cosets of one subgroup in the next: each operator
        of the group is the product, last step first, of one matrix of each step, in one way.
    """
    return _coset_chain(symmetry_operators(group))


def _coset_chain(operators: Float64) -> tuple[Float64, ...]:
    table = product_table(operators)
    exact = np.array([_keeps_voxels(operator) for operator in operators])
    subgroup, steps = np.zeros(1, dtype=np.intp), []
    while len(subgroup) < len(operators):
        larger = _next_group(table, subgroup, exact)
        steps.append(operators[_coset_representatives(table, subgroup, larger, exact)])
        subgroup = larger
    return tuple(steps)


def _next_group(table: Indices, subgroup: Indices, exact: BoolArray) -> Indices:
    """Return the next group of the chain: by exact operators if there are any, in small steps.

    Each interpolated step loses a little at the edge of the sphere, so one that is not too large
    is better than two.
    """
    others = np.setdiff1d(np.arange(len(table)), subgroup)
    preferred = others[exact[others]]
    if not len(preferred) and len(table) <= _MOST_COSETS * len(subgroup):
        return np.arange(len(table))
    candidates = preferred if len(preferred) else others
    return min((closure(table, np.append(subgroup, i)) for i in candidates), key=len)


def closure(table: Indices, members: Indices) -> Indices:
    """Return the group that operators generate, as indices into a product table."""
    while True:
        larger = np.unique(table[np.ix_(members, members)])
        if len(larger) == len(members):
            return larger
        members = larger


def _coset_representatives(
    table: Indices, subgroup: Indices, larger: Indices, exact: BoolArray
) -> Indices:
    """Return one operator of each left coset of a subgroup, the identity first."""
    cosets = np.unique(np.sort(table[np.ix_(larger, subgroup)], axis=1), axis=0)
    return np.array([next((i for i in coset if exact[i]), coset[0]) for coset in cosets])


def _keeps_voxels(operators: Float64) -> bool:
    """Return whether operators only swap and reverse axes."""
    return bool(np.abs(operators - np.rint(operators)).max() < _SAME)


def _mean_of_permuted(volume: Float32, operators: Float64) -> Float32:
    total: Float32 = np.zeros(volume.shape, dtype=np.float32)
    for operator in operators:
        total += _permute(volume, operator)
    total /= len(operators)
    return total


def _permute(volume: Float32, operator: Float64) -> Float32:
    """Rotate a map by an operator that keeps voxels: what was at x goes to operator @ x."""
    signed = np.rint(operator[::-1, ::-1]).astype(int)  # for (z, y, x)
    for axis in range(3):
        if signed[:, axis].sum() < 0:  # -n / 2 stays where it is
            volume = np.roll(np.flip(volume, axis), 1, axis)
    return np.transpose(volume, np.abs(signed).argmax(axis=1))


def _mean_within_sphere(volume: Float32, steps: tuple[Float64, ...], threads: int) -> Float32:
    n = volume.shape[0]
    outside = radius_grid(n, 3) > n / 2  # (n, n, n)
    level = volume[outside].mean(dtype=np.float64)
    result = np.asarray(volume - level, dtype=np.float32)
    flat = np.ptp(volume[outside]) == 0
    if not flat:
        result = cut_at_nyquist(result, threads=threads)
    for i, operators in enumerate(steps):
        fine = FineMap.of(result, threads=threads)
        result = fine.mean_of_rotated(operators, radius=n / 2, threads=threads)
        if i == 0 and not flat:  # earlier, the edge would be rotated into the sphere
            edge = max(_EDGE, n / _EDGE_SHARE)
            result *= soft_mask(n, n / 2 - edge, edge, 3)
    imposed: Float32 = np.where(outside, level, result + level).astype(np.float32)
    return imposed
