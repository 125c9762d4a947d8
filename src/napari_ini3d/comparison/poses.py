"""Compare the poses of the same particles in two files: angles and shifts between them.

The maps of two reconstructions differ by a rotation, a shift and perhaps the hand, which the data
do not determine. They are fitted first (`common_rotation`); what is left are the errors, as
CryoBench defines them (M. Jeon et al., NeurIPS 2024, arXiv:2408.05526): the angle of the rotation
from one pose to the other, and the angle between the viewing directions, in the frame of one map.
For a symmetric map the smallest of the angles to the equivalent poses counts. The point group may
be in its setting in either file, so that a reconstruction in C1 can be compared with a symmetric
one.
"""

from __future__ import annotations

import logging
import posixpath
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from napari_ini3d._types import Float64, FloatArray, Int64
from napari_ini3d.comparison.common_rotation import (
    CommonRotation,
    agreement_angle,
    find_common_rotation,
    fit_common_shift,
)
from napari_ini3d.errors import StarError
from napari_ini3d.geometry import (
    RigidTransform,
    euler_to_matrix,
    flip_angles,
    symmetry_operators,
    uniform_rotations,
)
from napari_ini3d.kernels import blas_threads
from napari_ini3d.particles import ParticlePoses

logger = logging.getLogger(__name__)

Setting = Literal["first", "second"]

_MIRROR = np.diag([1.0, 1.0, -1.0])
_RANDOM_POSES = 5000
_CLEAR = 2.0  # standard deviations between the counts of the hands
_TIE = 1e-6  # of the score per particle


@dataclass(frozen=True, slots=True, eq=False)
class PoseComparison:
    """Difference between two sets of poses, M particles of which are in both.

    Attributes
    ----------
    first_index, second_index : (M,) int64
        Positions of the particles in the two sets.
    n_first_only, n_second_only : int
        Particles that are in one set only.
    symmetry : str
        Point group modulo which poses are compared.
    setting : "first" or "second"
        Set whose map has the point group in RELION's setting.
    mirrored : bool
        True where the second set had the other hand.
    transform : RigidTransform
        Å; takes the second map, mirrored (z -> -z) where `mirrored`, to the first.
    angle : (M,) float64
        Degrees from one pose to the other.
    out_of_plane : (M,) float64
        Degrees between the viewing directions.
    shift : (M,) float64
        Å between the positions of the particle in its image.
    n_agreeing, n_other_hand : int
        Particles whose angle is within `agreement`; the same in the best fit of the other hand.
    agreement : float
        Degrees.
    random_angle : float
        Degrees; the median `angle` of random poses.
    """

    first_index: Int64
    second_index: Int64
    n_first_only: int
    n_second_only: int
    symmetry: str
    setting: Setting
    mirrored: bool
    transform: RigidTransform
    angle: Float64
    out_of_plane: Float64
    shift: Float64
    n_agreeing: int
    n_other_hand: int
    agreement: float
    random_angle: float

    def __len__(self) -> int:
        return len(self.angle)

    @property
    def hand_is_clear(self) -> bool:
        """True where clearly more particles agree than in the other hand."""
        apart = self.n_agreeing - self.n_other_hand
        return apart > _CLEAR * float(np.sqrt(self.n_agreeing + self.n_other_hand))


@dataclass(frozen=True, slots=True)
class _Poses:
    angles: Float64  # (M, 3) degrees
    origins: Float64  # (M, 2) Å
    operators: Float64  # (G, 3, 3) if the map has the point group in its setting

    @property
    def matrices(self) -> Float64:
        """(M, 3, 3)."""
        return euler_to_matrix(*self.angles.T)

    def mirrored(self) -> _Poses:
        """Return the poses that belong to the mirrored map."""
        operators = _MIRROR @ self.operators @ _MIRROR
        return _Poses(flip_angles(self.angles), self.origins, operators)


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    mirrored: bool
    setting: Setting
    fit: CommonRotation  # from the other set to the one in whose frame the point group is


def compare_poses(
    first: ParticlePoses, second: ParticlePoses, *, symmetry: str = "C1"
) -> PoseComparison:
    """Compare the poses of the particles that are in both sets.

    Particles are matched by image name (stack and number). If no stack has the same name in both,
    the stacks are matched by their file name without the folder.

    Parameters
    ----------
    first, second : ParticlePoses
        The first is the reference, such as true poses; the second is moved to it.
    symmetry : str
        Point group, such as "D2". Poses are equivalent if an operator takes one to the other.

    Returns
    -------
    PoseComparison

    Raises
    ------
    StarError
        If no particle is in both, or an image is listed twice.
    SymmetryError
        If the point group is unknown or holds a mirror.
    """
    operators = symmetry_operators(symmetry)
    index = match_particles(first, second)  # two (M,)
    a = _Poses(first.angles[index[0]], first.origins[index[0]], operators)
    b = _Poses(second.angles[index[1]], second.origins[index[1]], operators)
    with blas_threads(1):  # the same sums on any number of cores; products are small
        hands = [_fit_hand(a, b, mirrored=mirrored) for mirrored in (False, True)]
        tie = _TIE * len(a.angles)
        best, other = hands[::-1] if hands[1].fit.score > hands[0].fit.score + tie else hands
        transform, angle, out_of_plane, shift = _measure(
            a, b.mirrored() if best.mirrored else b, best
        )
    return PoseComparison(
        first_index=index[0],
        second_index=index[1],
        n_first_only=len(first) - len(angle),
        n_second_only=len(second) - len(angle),
        symmetry=symmetry.strip().upper(),
        setting=best.setting,
        mirrored=best.mirrored,
        transform=transform,
        angle=angle,
        out_of_plane=out_of_plane,
        shift=shift,
        n_agreeing=_count_agreeing(best.fit, len(operators)),
        n_other_hand=_count_agreeing(other.fit, len(operators)),
        agreement=agreement_angle(len(operators)),
        random_angle=_random_angle(operators),
    )


def match_particles(first: ParticlePoses, second: ParticlePoses) -> tuple[Int64, Int64]:
    """Return the positions (M,) in both sets of the particles that both have.

    Raises
    ------
    StarError
        If there are none, or an image is listed twice.
    """
    names = [[posixpath.normpath(name) for name in poses.stack_names] for poses in (first, second)]
    if not set(names[0]) & set(names[1]):
        files = [[posixpath.basename(name) for name in group] for group in names]
        if all(len(set(group)) == len(group) for group in files):
            logger.info("no stack has the same name in both files; matched without folders")
            names = files
    rows, others = (_rows_of(*pair) for pair in zip((first, second), names, strict=True))
    common = [(row, others[key]) for key, row in rows.items() if key in others]
    if not common:
        raise StarError(
            f"{first.source} and {second.source} have no image in common ({_example(first)} and "
            f"{_example(second)}); expected poses of the same particles, with the same image "
            "numbers and stacks"
        )
    index = np.array(common, dtype=np.int64)  # (M, 2)
    return index[:, 0], index[:, 1]


def _rows_of(poses: ParticlePoses, names: list[str]) -> dict[tuple[str, int], int]:
    rows: dict[tuple[str, int], int] = {}
    pairs = zip(poses.stack_index.tolist(), poses.image_index.tolist(), strict=True)
    for row, (stack, image) in enumerate(pairs):
        if rows.setdefault((names[stack], image), row) != row:
            raise StarError(
                f"{poses.source}: the image {image + 1}@{names[stack]} is listed twice; expected "
                "each particle once; remove the duplicates"
            )
    return rows


def _example(poses: ParticlePoses) -> str:
    return f"{poses.image_index[0] + 1:06d}@{poses.stack_names[poses.stack_index[0]]}"


def _fit_hand(first: _Poses, second: _Poses, *, mirrored: bool) -> _Hypothesis:
    """Fit one hand, with the point group in the frame of the first or of the second map."""
    second = second.mirrored() if mirrored else second
    a, b = first.matrices, second.matrices
    found = _Hypothesis(mirrored, "first", find_common_rotation(a, b, first.operators))
    if len(first.operators) == 1:
        return found
    other = _Hypothesis(mirrored, "second", find_common_rotation(b, a, second.operators))
    return other if other.fit.score > found.fit.score + _TIE * len(a) else found


def _measure(
    first: _Poses, second: _Poses, best: _Hypothesis
) -> tuple[RigidTransform, Float64, Float64, Float64]:
    """Return the transform of the second map, and angle, out-of-plane angle and shift (M,)."""
    a, b = first.matrices, second.matrices
    if best.setting == "first":
        rotation = best.fit.rotation
        out_of_plane = _between_views(a[:, 2], b[:, 2] @ rotation.T, first.operators)
        a = a @ first.operators[best.fit.nearest]  # the equivalent poses nearest to the others
    else:
        rotation = best.fit.rotation.T
        out_of_plane = _between_views(b[:, 2], a[:, 2] @ rotation, second.operators)
        b = b @ second.operators[best.fit.nearest]
    agree = best.fit.cosines >= np.cos(np.deg2rad(agreement_angle(len(first.operators))))
    differences = second.origins - first.origins  # (B s)_xy
    transform = RigidTransform(rotation, fit_common_shift(b[agree], differences[agree]))
    left = differences - b[:, :2] @ transform.shift  # (M, 2)
    turn = a.transpose(0, 2, 1) @ b @ rotation.T  # (M, 3, 3), from B Rᵀ to A
    angle = np.rad2deg(scipy.spatial.transform.Rotation.from_matrix(turn).magnitude())
    return transform, np.asarray(angle), out_of_plane, np.linalg.norm(left, axis=1)


def _between_views(grouped: FloatArray, others: FloatArray, operators: Float64) -> Float64:
    """Return the smallest angles (M,) between the copies of directions and other directions."""
    copies = np.einsum("mi,gij->mgj", grouped, operators)  # (M, G, 3)
    cosines = np.einsum("mgj,mj->mg", copies, others).max(axis=1)
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosines, -1, 1))))


def _count_agreeing(fit: CommonRotation, order: int) -> int:
    return int((fit.cosines >= np.cos(np.deg2rad(agreement_angle(order)))).sum())


def _random_angle(operators: Float64) -> float:
    """Return the median angle in degrees between random poses, modulo a point group."""
    rotations = uniform_rotations(_RANDOM_POSES).reshape(-1, 9)
    traces = (rotations @ operators.reshape(-1, 9).T).max(axis=1)
    return float(np.rad2deg(np.arccos(np.clip((np.median(traces) - 1) / 2, -1, 1))))
