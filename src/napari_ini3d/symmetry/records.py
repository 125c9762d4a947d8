"""Records of the symmetry of a map: axes, candidates, reports, alignments, validations.

Directions and shifts are vectors (x, y, z) from the rotation centre, voxel n // 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Float32, Float64, FloatArray, Vector
from napari_ini3d.fourier import rotate_map
from napari_ini3d.geometry import RigidTransform


@dataclass(frozen=True, slots=True)
class FoundAxis:
    """A rotation axis in a map.

    Attributes
    ----------
    order : int
        2 for a 2-fold axis, and so on.
    direction : tuple of float
        Unit vector (x, y, z) in the map as given.
    score : float
        Correlation of the map with its copies rotated about this axis, mean over the copies: 1
        for perfect symmetry, about 0 for none.
    """

    order: int
    direction: Vector
    score: float


@dataclass(frozen=True, slots=True)
class Subunit:
    """A place of a map, its equivalents under a point group, and how its density differs.

    Attributes
    ----------
    place : tuple of float
        Å, (x, y, z) from voxel n // 2 of the map as given.
    difference : float
        Of the density about this place from the mean over all equivalent places, as a share of
        it: -0.3 for a subunit with 30 % less density.
    """

    place: Vector
    difference: float


@dataclass(frozen=True, slots=True)
class SymmetryBreak:
    """Where and how a point group breaks, of which only a subgroup holds.

    Attributes
    ----------
    resolution : float
        Å, the coarsest at which the copies differ.
    difference : float
        Largest difference in density between two copies, as a share of the denser one.
    angle : float
        Degrees, of the rotation under which they differ most.
    axis_order : int
        Of the axis of that rotation.
    axis : tuple of float
        Its direction in RELION's setting of the group.
    subgroup : str
        The largest subgroup on these axes that does not break; "C1" where none is left.
    members : tuple of int
        Its operators, indices into those of the group; empty where its axes are not those of the
        group.
    subunits : tuple of Subunit
        Where the copies differ most, and the equivalent places; those that differ most first.
    """

    resolution: float
    difference: float
    angle: float
    axis_order: int
    axis: Vector
    subgroup: str
    members: tuple[int, ...] = (0,)
    subunits: tuple[Subunit, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupCandidate:
    """Fit of one point group to a map.

    Attributes
    ----------
    group : str
        "C4", "D2", "O", ...
    score : float
        FSC of the map with its copies, for the kind of operators that agrees least, over that
        of a symmetric map with the same noise: 1 where the group holds; comparable between
        groups.
    axes : tuple of FoundAxis
        All axes of the group.
    rotation : (3, 3) float64
        Rotates the map to RELION's setting of the group.
    centre : tuple of float
        Å, where the axes meet; on the axis of Cn, the point nearest to the middle of the box.
    fsc : (n // 2 + 1,) float64
        Of the map with its copies, mean over the operators.
    fsc05 : float
        Å, where `fsc` first falls below 0.5.
    holds : bool
        True for the group of the map and its subgroups.
    verdict : str
        In words.
    pseudo : SymmetryBreak or None
        Where and how the group breaks if the map is only close to it.
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
    pseudo: SymmetryBreak | None = None


@dataclass(frozen=True, slots=True)
class SelfRotation:
    """Self-rotation function: agreement of the map with itself, for each axis and order.

    Attributes
    ----------
    directions : (N, 3) float64
        Axes, unit vectors over the upper half sphere.
    orders : tuple of int
        Orders that were tried.
    values : (len(orders), N) float32
        Correlation of the map with its copies rotated about the axis, mean over the copies.
    """

    directions: Float64
    orders: tuple[int, ...]
    values: Float32


@dataclass(frozen=True, slots=True)
class SymmetryReport:
    """Point group of a map.

    Attributes
    ----------
    group : str
        The largest group that holds; "C1" where none does.
    candidates : tuple of GroupCandidate
        The groups that fit best, the best first.
    verdict : str
        In words.
    self_rotation : SelfRotation
        In which the axes were found.
    diameter : float
        Å, of the particle, as used in the search.
    voxel_size : float
        Å.
    warnings : tuple of str
        Possible problems of the map.
    featureless : bool
        True where any rotation fits, about one axis or all, so that no group can be told.
    """

    group: str
    candidates: tuple[GroupCandidate, ...]
    verdict: str
    self_rotation: SelfRotation
    diameter: float
    voxel_size: float
    warnings: tuple[str, ...] = ()
    featureless: bool = False


@dataclass(frozen=True, slots=True)
class SymmetryAlignment:
    """Alignment of a map to RELION's setting of a point group.

    Attributes
    ----------
    group : str
    transform : RigidTransform
        Å. Of the equivalent rotations, the one with the smallest angle.
    score : float
        See `GroupCandidate`.
    axes : tuple of FoundAxis
        In the map before alignment.
    fsc : (n // 2 + 1,) float64
        Of the map with its copies, mean over the operators.
    fsc05 : float
        Å, where `fsc` first falls below 0.5.
    voxel_size : float
        Å.
    holds : bool
        True where the map has the group.
    verdict : str
        In words.
    warnings : tuple of str
        Possible problems of the map.
    pseudo : SymmetryBreak or None
        Where and how the group breaks if the map is only close to it.
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
    pseudo: SymmetryBreak | None = None

    def apply(self, volume: FloatArray, *, threads: int = 0) -> Float32:
        """Return a map (n, n, n) of the same voxel size, aligned; resampled once."""
        transform = self.transform.in_voxels(self.voxel_size)
        return rotate_map(volume, transform.rotation, transform.shift, threads=threads)


@dataclass(frozen=True, slots=True)
class SymmetryValidation:
    """Comparison of a map with itself after a point group was imposed.

    Attributes
    ----------
    group : str
    voxel_size, diameter : float
        Å; of the sphere within which all was compared.
    imposed : (n, n, n) float32
        The mean of all copies.
    difference : (n, n, n) float32
        The map minus the imposed one.
    local_correlation : (n, n, n) float32
        Of the map with the imposed one about each voxel, in a Gaussian window as wide as the
        resolution (a quarter of the diameter at most); 0 outside the sphere and where a map is
        flat.
    fsc : (n // 2 + 1,) float64
        Of the map with the imposed one.
    copies_fsc : (n // 2 + 1,) float64
        Of the map with the mean of its other copies.
    expected_fsc : (n // 2 + 1,) float64
        `copies_fsc` expected for true symmetry with the same noise.
    axes : tuple of FoundAxis
        Each axis of the group. The score is the correlation of the map with its rotated copies,
        mean over the copies, of Fourier components scaled to equal power, up to 14 waves across
        the particle.
    correlation : float
        Of the densities of the map and the imposed one, within the sphere.
    agreement : float
        Correlation of the worst rotation over that expected with this noise; 1 for true symmetry.
    resolution : float
        Å, up to which the group holds.
    limited_by_noise : bool
        True where noise limits `resolution`, not a difference between subunits.
    holds : bool
    verdict : str
        In words.
    pseudo : SymmetryBreak or None
        Where and how the group breaks if the map is only close to it.
    featureless : bool
        True where any rotation fits, about one axis or all, so that no group can be told.
    """

    group: str
    voxel_size: float
    diameter: float
    imposed: Float32
    difference: Float32
    local_correlation: Float32
    fsc: Float64
    copies_fsc: Float64
    expected_fsc: Float64
    axes: tuple[FoundAxis, ...]
    correlation: float
    agreement: float
    resolution: float
    limited_by_noise: bool
    holds: bool
    verdict: str
    pseudo: SymmetryBreak | None = None
    featureless: bool = False

    @property
    def frequency(self) -> Float64:
        """Spatial frequency of each shell, 1/Å."""
        return np.asarray(np.arange(len(self.fsc)) / (len(self.imposed) * self.voxel_size))
