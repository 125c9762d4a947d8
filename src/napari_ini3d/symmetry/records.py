"""What is found about the symmetry of a map, as values.

Directions and shifts are vectors (x, y, z) from the rotation centre, voxel n // 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari_ini3d._types import Float32, Float64, FloatArray, Vector
from napari_ini3d.fourier import rotate_map
from napari_ini3d.geometry import RigidTransform


@dataclass(frozen=True, slots=True)
class FoundAxis:
    """A rotation axis as it lies in a map.

    Attributes
    ----------
    order : int
        2 for a 2-fold axis, and so on.
    direction : tuple of float
        Unit vector (x, y, z) in the map as it came.
    score : float
        Correlation of the map with itself turned about this axis, mean over its turns: 1 where
        the symmetry is perfect, about 0 where there is none.
    """

    order: int
    direction: Vector
    score: float


@dataclass(frozen=True, slots=True)
class GroupCandidate:
    """How well one point group fits a map.

    Attributes
    ----------
    group : str
        "C4", "D2", "O", ...
    score : float
        HalfSetFSC of the map with its copies, of the kind of operators that agrees least, over
        that of a symmetric map with as much noise: 1 where the group holds; comparable between
        groups.
    axes : tuple of FoundAxis
        All axes of the group.
    rotation : (3, 3) float64
        Takes the map onto RELION's setting of the group.
    centre : tuple of float
        Å, where the axes meet; on the axis of Cn, the point nearest to the middle of the box.
    fsc : (n // 2 + 1,) float64
        Of the map with its copies, shell by shell, mean over the operators.
    fsc05 : float
        Å, where `fsc` first falls below 0.5.
    holds : bool
        True where the group is what the map shows, or a subgroup of it.
    verdict : str
        In words.
    """

    group: str
    score: float
    axes: tuple[FoundAxis, ...]
    rotation: Float64
    centre: Vector
    fsc: Float64
    fsc05: float
    holds: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class SelfRotation:
    """The self-rotation function: how well the map fits itself, for each axis and order.

    Attributes
    ----------
    directions : (N, 3) float64
        Axes, unit vectors over the upper half sphere.
    orders : tuple of int
        Orders that were tried.
    values : (len(orders), N) float32
        Correlation of the map with its copies turned about the axis, mean over the turns.
    """

    directions: Float64
    orders: tuple[int, ...]
    values: Float32


@dataclass(frozen=True, slots=True)
class SymmetryReport:
    """What symmetry a map has.

    Attributes
    ----------
    group : str
        The largest group that holds; "C1" where none does.
    candidates : tuple of GroupCandidate
        What was tried, the best first.
    verdict : str
        In words.
    self_rotation : SelfRotation
        What the axes were found in.
    diameter : float
        Å, of the particle, as it was taken for the search.
    voxel_size : float
        Å.
    warnings : tuple of str
        What may be wrong with the map.
    """

    group: str
    candidates: tuple[GroupCandidate, ...]
    verdict: str
    self_rotation: SelfRotation
    diameter: float
    voxel_size: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SymmetryAlignment:
    """How a map is brought onto RELION's setting of a point group.

    Attributes
    ----------
    group : str
    transform : RigidTransform
        Å. Of the equivalent rotations, the one with the smallest angle.
    score : float
        See `GroupCandidate`.
    axes : tuple of FoundAxis
        Where they lay before.
    fsc : (n // 2 + 1,) float64
        Of the map with its copies, mean over the operators.
    fsc05 : float
        Å, where `fsc` first falls below 0.5.
    voxel_size : float
        Å.
    holds : bool
        True where the map shows the group.
    verdict : str
        In words.
    warnings : tuple of str
        What may be wrong with the map.
    """

    group: str
    transform: RigidTransform
    score: float
    axes: tuple[FoundAxis, ...]
    fsc: Float64
    fsc05: float
    voxel_size: float
    holds: bool
    verdict: str
    warnings: tuple[str, ...] = ()

    def apply(self, volume: FloatArray, *, threads: int = 0) -> Float32:
        """Return a map (n, n, n) of the same voxel size, aligned; resampled once."""
        transform = self.transform.in_voxels(self.voxel_size)
        return rotate_map(volume, transform.rotation, transform.shift, threads=threads)
