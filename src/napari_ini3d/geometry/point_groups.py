"""Point groups of rotations, with their axes in RELION's setting.

========  ==========================================================================
group     setting
========  ==========================================================================
Cn        n-fold on Z
Dn        n-fold on Z, 2-fold on X
T         3-fold on Z, another 3-fold in the plane YZ, below -Y
O         4-folds on X, Y and Z
I, I2     2-folds on X, Y and Z; the 5-folds nearest to Z lie in the plane XZ
I1        I2 rotated by 90° about Z: the 5-folds nearest to Z lie in the plane YZ
I3        5-fold on Z, another 5-fold in the plane XZ towards -X (63.4° from Z)
I4        5-fold on Z, another 5-fold in the plane XZ towards +X (63.4° from Z)
========  ==========================================================================

Matrices act on column vectors (x, y, z). Groups with mirrors are refused: molecules are handed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import scipy

from napari_ini3d._types import BoolArray, Float64, FloatArray, Int64, IntArray
from napari_ini3d.errors import SymmetryError

Matrices = Float64

_KNOWN = "Cn, Dn (n = 1, 2, 3, ...), T, O, I, I1, I2, I3 or I4"
_TIE = 1e-6  # directions closer than this to a border of the asymmetric unit count as on it
_POLYHEDRAL = {"T", "O", "I", "I1", "I2", "I3", "I4"}

_SHORT, _LONG = np.sqrt((5 - np.sqrt(5)) / 10), np.sqrt((5 + np.sqrt(5)) / 10)
_Z_AXIS = (0.0, 0.0, 1.0)
_GENERATORS: dict[str, tuple[tuple[int, tuple[float, float, float]], ...]] = {
    "T": ((3, _Z_AXIS), (3, (0.0, -np.sqrt(8) / 3, 1 / 3))),
    "O": ((4, _Z_AXIS), (4, (1.0, 0.0, 0.0))),
    "I1": ((5, (0.0, _SHORT, _LONG)), (5, (0.0, -_SHORT, _LONG))),
    "I2": ((5, (_SHORT, 0.0, _LONG)), (5, (-_SHORT, 0.0, _LONG))),
    "I3": ((5, _Z_AXIS), (5, (-2 / np.sqrt(5), 0.0, 1 / np.sqrt(5)))),
    "I4": ((5, _Z_AXIS), (5, (2 / np.sqrt(5), 0.0, 1 / np.sqrt(5)))),
}


@dataclass(frozen=True, slots=True)
class PointGroup:
    """A group of rotations in one setting of its axes.

    Attributes
    ----------
    name : str
        As written, in capitals: "C1", "D7", "T", "O", "I", "I3".
    family : str
        "C", "D", "T", "O" or "I".
    fold : int
        n of Cn and Dn; the setting (1 to 4) of I; 0 for T and O.
    """

    name: str
    family: str
    fold: int

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read the name of a point group, such as "d2" or "C12".

        Raises
        ------
        SymmetryError
            Where the name is unknown or the group holds a mirror.
        """
        text = name.strip().upper()
        if text in ("T", "O"):
            return cls(text, text, 0)
        if text in _POLYHEDRAL:
            return cls(text, "I", int(text[1:] or 2))
        match = re.fullmatch(r"([CD])0*([1-9][0-9]*)", text)
        if match is None:
            raise SymmetryError(_explain_refusal(name, text))
        return cls(f"{match[1]}{match[2]}", match[1], int(match[2]))

    @property
    def order(self) -> int:
        """Number of operators."""
        return {"C": self.fold, "D": 2 * self.fold, "T": 12, "O": 24, "I": 60}[self.family]

    @property
    def setting(self) -> str:
        """Name with the setting of the axes: as `name`, but "I2" for "I"."""
        return f"I{self.fold}" if self.family == "I" else self.name


@dataclass(frozen=True, slots=True)
class Axis:
    """A rotation axis of a point group.

    Attributes
    ----------
    order : int
        2 for a 2-fold axis, and so on.
    direction : tuple of float
        Unit vector (x, y, z), the end in the upper half space.
    """

    order: int
    direction: tuple[float, float, float]


def symmetry_operators(name: str | PointGroup) -> Matrices:
    """Return the rotation matrices of a point group, identity first.

    Parameters
    ----------
    name : str or PointGroup

    Returns
    -------
    (G, 3, 3) float64
        Acting on column vectors (x, y, z); closed under product and inverse.

    Raises
    ------
    SymmetryError
        Where the name is unknown or the group holds a mirror.
    """
    group = name if isinstance(name, PointGroup) else PointGroup.parse(name)
    return _operators(group).copy()


def symmetry_axes(name: str | PointGroup) -> list[Axis]:
    """Return each rotation axis of a point group once, the highest orders first.

    Raises
    ------
    SymmetryError
        Where the name is unknown or the group holds a mirror.
    """
    operators = symmetry_operators(name)[1:]
    if not len(operators):  # C1; SciPy 1.15 refuses empty arrays of rotations
        return []
    rotations = scipy.spatial.transform.Rotation.from_matrix(operators).as_rotvec()  # (G - 1, 3)
    directions = _upper_half(rotations / np.linalg.norm(rotations, axis=1, keepdims=True))
    same = np.abs(directions @ directions.T) > 1 - 1e-6  # (G - 1, G - 1)
    first = same.argmax(axis=1)  # the first operator that rotates about the same axis
    axes = [
        Axis(1 + int(same[i].sum()), (float(x), float(y), float(z)))
        for i, (x, y, z) in enumerate(directions)
        if first[i] == i
    ]
    return sorted(axes, key=lambda axis: (-axis.order, -axis.direction[2]))


def product_table(operators: Matrices) -> Int64:
    """Return the index of the product of each two operators of a group (G, 3, 3), (G, G)."""
    products = (operators[:, None] @ operators[None]).reshape(-1, 9)  # (G², 9)
    _, index = scipy.spatial.KDTree(operators.reshape(-1, 9)).query(products)
    return np.asarray(index, dtype=np.int64).reshape(len(operators), -1)


def in_asymmetric_unit(
    directions: FloatArray, name: str | PointGroup, *, margin: float = 0.0
) -> BoolArray:
    """Find which directions are in the asymmetric unit: one of each orbit.

    The unit is the part of the sphere that is nearer to a reference direction than to any of its
    images (a Dirichlet cell): a sector about the plane XZ for Cn, its upper half for Dn.

    Parameters
    ----------
    directions : (N, 3)
        Unit vectors (x, y, z).
    name : str or PointGroup
    margin : float
        Degrees, by which a direction may be outside; then several of an orbit are found.

    Returns
    -------
    (N,) bool

    Raises
    ------
    SymmetryError
        Where the name is unknown or the group holds a mirror.
    """
    group = name if isinstance(name, PointGroup) else PointGroup.parse(name)
    operators = _operators(group)
    vectors = np.asarray(directions, dtype=np.float64).reshape(-1, 3)
    best = np.ones(len(vectors), dtype=bool)
    undecided = np.ones((len(vectors), len(operators)), dtype=bool)
    references = _references(group)
    # the second and third decide ties on a border
    for reference in references[:1] if margin else references:
        away = operators @ reference - reference  # (G, 3)
        lead = -vectors @ away.T  # (N, G), over each image of the reference
        outside = np.sin(np.deg2rad(margin)) * np.linalg.norm(away, axis=1)  # (G,)
        best &= ~np.any(undecided & (lead < -outside - _TIE), axis=1)
        undecided &= np.abs(lead) <= _TIE
    return best


def operator_into_unit(matrices: FloatArray, name: str | PointGroup) -> IntArray:
    """Find the operator that brings each rotation into the asymmetric unit.

    Of the equivalent rotations ``A g``, the one whose viewing direction, the third row, is in the
    unit of `in_asymmetric_unit`. Views along an axis have several such rotations; their image
    axes decide in the same way, so that all equivalent rotations lead to the same one.

    Parameters
    ----------
    matrices : (N, 3, 3)
        Rotations A of Euler angles.
    name : str or PointGroup

    Returns
    -------
    (N,) int64
        Index of g in `symmetry_operators`.

    Raises
    ------
    SymmetryError
        Where the name is unknown or the group holds a mirror.
    """
    group = name if isinstance(name, PointGroup) else PointGroup.parse(name)
    operators = _operators(group)
    undecided = np.ones((len(matrices), len(operators)), dtype=bool)
    for row in (2, 0):  # the viewing direction, then the x axis of the image
        for reference in _references(group):
            lead = matrices[:, row] @ (operators @ reference).T  # (N, G)
            best = np.where(undecided, lead, -np.inf).max(axis=1, keepdims=True)
            undecided &= lead >= best - _TIE
    return np.asarray(undecided.argmax(axis=1))


def _explain_refusal(name: str, text: str) -> str:
    if not text:
        return f"no point group given; write one of {_KNOWN}"
    if re.fullmatch(r"[CD](\d+)(V|H|D)|[CD][VHSI]|S\d+|T[HD]|OH|I\d?H", text):
        return (
            f"point group {name!r} holds a mirror or an inversion, which handed molecules "
            f"cannot have; write one of {_KNOWN}"
        )
    return f"unknown point group {name!r}; write one of {_KNOWN}"


@lru_cache(maxsize=64)
def _operators(group: PointGroup) -> Matrices:
    if group.setting == "C1":
        return np.eye(3)[None]
    if group.family in "CD":
        return _dihedral_operators(group.fold, flipped=group.family == "D")
    generators = [
        scipy.spatial.transform.Rotation.from_rotvec(2 * np.pi / n * np.array(axis)).as_matrix()
        for n, axis in _GENERATORS[group.setting]
    ]
    return _close(generators)


def _dihedral_operators(fold: int, *, flipped: bool) -> Matrices:
    angles = 2 * np.pi * np.arange(fold) / fold
    rotations = scipy.spatial.transform.Rotation.from_euler("z", angles[:, None]).as_matrix()
    if not flipped:
        return rotations
    return np.concatenate([rotations, rotations @ np.diag([1.0, -1.0, -1.0])])


def _close(generators: list[Matrices]) -> Matrices:
    """Multiply by the generators until no new operator is found."""
    found = [np.eye(3)]
    for matrix in found:  # grows while it is walked
        for generator in generators:
            product = matrix @ generator
            if np.abs(np.array(found) - product).max(axis=(1, 2)).min() > 1e-6:
                found.append(product)
    return np.array(found)


def _references(group: PointGroup) -> Matrices:
    if group.family in "CD":
        return np.array([[1.0, 0.0, 1.0 if group.family == "D" else 0.0], [0, 1, 0], [0, 0, 1]])
    return np.array([[0.31, 0.17, 1.0], [1.0, -0.23, 0.11], [0.13, 1.0, -0.37]])


def _upper_half(directions: Matrices) -> Matrices:
    """Flip each axis so that its last coordinate that is not zero is positive."""
    rounded = np.round(directions, 9)
    last = np.where(rounded[:, 2] != 0, rounded[:, 2], rounded[:, 1])
    last = np.where(last != 0, last, rounded[:, 0])
    return directions * np.sign(last)[:, None]
