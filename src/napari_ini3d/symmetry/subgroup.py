"""Subgroup that is left of a pseudo-symmetry, from two independent difference maps."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d._types import Float64, FloatArray, Int64
from napari_ini3d.errors import SymmetryError
from napari_ini3d.fourier import FineMap
from napari_ini3d.geometry import PointGroup, product_table, symmetry_operators
from napari_ini3d.symmetry.breaks import name_of, subgroups
from napari_ini3d.symmetry.impose import closure
from napari_ini3d.symmetry.standard_setting import shortest_rotation

_LEAST_CORRELATION = 0.7  # over that of the half-maps as they are
_LEAST_HALVES = 0.1  # correlation of the half-maps: less is noise
_SAME = 1e-6


def remaining_subgroup(
    first: FloatArray, second: FloatArray, group: PointGroup, *, threads: int = 0
) -> Int64:
    """Return the operators of the largest subgroup that leaves a difference map as it is.

    One half-map is compared with the other, rotated: noise does not correlate. An operator keeps
    the map if this correlation reaches 70 % of that without rotation.

    Parameters
    ----------
    first, second : (n, n, n)
        Difference of two independent half-maps from the map with the group, on RELION's axes.
    group : PointGroup
    threads : int

    Returns
    -------
    (H,) int64
        Indices into `symmetry_operators(group)`; all of them where the half-maps have nothing in
        common, so that nothing is known to differ.
    """
    operators = symmetry_operators(group)
    fine, reference = FineMap.of(np.asarray(second, dtype=np.float32), threads=threads), first
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    if scale == 0 or float(np.vdot(first, second)) < _LEAST_HALVES * scale:
        return np.arange(group.order)
    found = np.array(
        [np.vdot(reference, fine.mean_of_rotated(one, threads=threads)) for one in operators]
    )
    kept = found >= _LEAST_CORRELATION * found[0]
    return next(members for members in subgroups(group) if kept[members].all())


def rotation_to_setting(operators: Float64) -> tuple[PointGroup, Float64]:
    """Return a point group, and the smallest rotation R of its operators to RELION's setting.

    Parameters
    ----------
    operators : (H, 3, 3)
        A group of rotations about any axes, the identity first.

    Returns
    -------
    group : PointGroup
    rotation : (3, 3) float64
        R g Rᵀ are the operators of the group, for all operators g.

    Raises
    ------
    SymmetryError
        If the operators are no point group.
    """
    group = PointGroup.parse(name_of(operators))
    setting = symmetry_operators(group)
    if len(operators) == 1:
        return group, np.eye(3)
    best: Float64 | None = None
    for rotation in _candidates(_generators(operators), setting):
        moved = rotation @ operators @ rotation.T
        apart = np.abs(moved[:, None] - setting).max(axis=(2, 3)).min(axis=1)
        if apart.max() < _SAME and (best is None or np.trace(rotation) > np.trace(best)):
            best = rotation
    if best is None:
        raise SymmetryError(
            f"the {len(operators)} rotations are not a point group; please report this bug"
        )
    return group, best


def _generators(operators: Float64) -> Float64:
    """Return one or two operators that generate a group, (1 or 2, 3, 3)."""
    table = product_table(operators)
    others = range(1, len(operators))
    pairs = ((i, j) for i in others for j in others if j >= i)
    for i, j in pairs:
        if len(closure(table, np.unique([0, i, j]))) == len(operators):
            return np.asarray(operators[np.unique([i, j])])
    raise SymmetryError(
        f"the {len(operators)} rotations are not a point group; please report this bug"
    )


def _candidates(generators: Float64, setting: Float64) -> list[Float64]:
    """Return rotations that take generators to operators of the setting by the same angles."""
    source = Rotation.from_matrix(generators).as_rotvec()  # (1 or 2, 3)
    vectors = Rotation.from_matrix(setting).as_rotvec()  # (H, 3)
    vectors = np.concatenate([vectors, -vectors[np.linalg.norm(vectors, axis=1) > np.pi - _SAME]])
    matching = [
        vectors[np.abs(np.linalg.norm(vectors, axis=1) - np.linalg.norm(one)) < _SAME]
        for one in source
    ]
    if len(source) == 1:
        return [shortest_rotation(_unit(source[0]), _unit(v)) for v in matching[0]]
    return [
        Rotation.align_vectors([v, w], source)[0].as_matrix()
        for v in matching[0]
        for w in matching[1]
        if abs(float(v @ w - source[0] @ source[1])) < _SAME
    ]


def _unit(vector: Float64) -> Float64:
    return np.asarray(vector / np.linalg.norm(vector))


def _no_group(operators: Float64) -> SymmetryError:
    return SymmetryError(
        f"the {len(operators)} rotations are not a point group; please report this bug"
    )
