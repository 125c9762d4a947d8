"""Poses in cryoSPARC's datasets, and their conversion to RELION's angles and origins.

A pose in 3D is a rotation vector (rad), the inverse of the rotation of the axes that RELION's
angles describe; in 2D it is an angle (rad) with the sign of psi. A shift is in pixels of the
alignment (`psize_A`), and has the sign of RELION's origins: shifting the image by it centres the
particle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from napari_ini3d._types import AnyArray, Float64, IntArray
from napari_ini3d.errors import CryosparcError
from napari_ini3d.geometry import euler_to_matrix, matrix_to_euler
from napari_ini3d.io.cryosparc.dataset import Fields, read_field

_CLASS_RESULT = re.compile(r"(alignments_class_(\d+))/pose")
MULTI = "alignments3D_multi"
ALIGNMENT: dict[str, tuple[float, type[np.generic]]] = {
    "split": (0, np.uint32),
    "shift": (0, np.float32),
    "pose": (0, np.float32),
    "psize_A": (0, np.float32),
    "error": (0, np.float32),
    "error_min": (0, np.float32),
    "resid_pow": (0, np.float32),
    "slice_pow": (0, np.float32),
    "image_pow": (0, np.float32),
    "cross_cor": (0, np.float32),
    "alpha": (1, np.float32),
    "alpha_min": (0, np.float32),
    "weight": (0, np.float32),
    "pose_ess": (0, np.float32),
    "shift_ess": (0, np.float32),
    "class_posterior": (1, np.float32),
    "class": (0, np.uint32),
    "class_ess": (1, np.float32),
}
"""Fields of an alignment in cryoSPARC's order, with the value that means nothing is known."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Poses of N particles, from one result of a dataset.

    Attributes
    ----------
    result : str
        Name of the result, such as "alignments3D"; "alignments_class" for several of one class.
    angles : (N, 3) float64
        rot, tilt, psi in degrees, RELION's convention; rot and tilt are 0 in 2D.
    origins : (N, 2) float64
        x, y in Å, RELION's sign.
    split, class_index : (N,) int or None
        Half-set and class, from 0; None if they are not known.
    """

    result: str
    angles: Float64
    origins: Float64
    split: IntArray | None
    class_index: IntArray | None

    @property
    def is_2d(self) -> bool:
        """True if only psi is known."""
        return self.result == "alignments2D"


def read_alignment(path: Path, fields: Fields) -> Alignment | None:
    """Return the poses of a dataset; None if it has none.

    One pose is taken for each particle: that of `alignments3D`; else that of its most probable
    class (`alignments3D_multi`, `alignments_class_K`); else that in 2D.

    Raises
    ------
    CryosparcError
        If a field of the poses is missing, of another shape, or not finite.
    """
    if "alignments3D/pose" in fields:
        return _one_alignment(path, fields, "alignments3D")
    if f"{MULTI}/pose" in fields:
        return _best_class(path, split_classes(path, fields), MULTI)
    results = {int(m[2]): m[1] for m in map(_CLASS_RESULT.fullmatch, fields) if m}
    if results:
        parts = {
            k: {name.partition("/")[2]: fields[name] for name in fields if _is_of(name, result)}
            for k, result in sorted(results.items())
        }
        return _best_class(path, parts, "alignments_class")
    if "alignments2D/pose" in fields:
        return _one_alignment(path, fields, "alignments2D")
    return None


def _is_of(name: str, result: str) -> bool:
    return name.startswith(f"{result}/")


def split_classes(path: Path, fields: Fields) -> dict[int, dict[str, AnyArray]]:
    """Return the fields of `alignments3D_multi` for each class, without the class axis."""
    n = len(fields["uid"])
    widths = {"pose": 3, "shift": 2}
    poses = fields[f"{MULTI}/pose"].reshape(n, -1, 3) if fields[f"{MULTI}/pose"].size else None
    if poses is None:
        raise CryosparcError(f"{path}: {MULTI}/pose has no classes; export the particles again")
    n_classes = poses.shape[1]
    parts: dict[int, dict[str, AnyArray]] = {k: {} for k in range(n_classes)}
    for name in (name for name in fields if _is_of(name, MULTI)):
        short = name.partition("/")[2]
        values = fields[name].reshape(n, -1)
        per_class = values.shape[1] == n_classes * widths.get(short, 1)
        for k in range(n_classes):
            width = widths.get(short, 1)
            some = values[:, k * width : (k + 1) * width] if per_class else values
            parts[k][short] = some if width > 1 else some[:, 0]
    return parts


def _best_class(path: Path, parts: dict[int, dict[str, AnyArray]], result: str) -> Alignment:
    """Return for each particle the pose of its most probable class."""
    numbers = np.array(list(parts))
    one = {
        k: _one_alignment(path, {f"{result}/{name}": v for name, v in part.items()}, result)
        for k, part in parts.items()
    }
    if len(parts) > 1:
        posterior = np.stack(
            [
                read_field(
                    path,
                    {f"{result}_{k}/{name}": v for name, v in part.items()},
                    f"{result}_{k}/class_posterior",
                )
                for k, part in parts.items()
            ]
        )  # (K, N)
        best = posterior.argmax(axis=0)
    else:
        best = np.zeros(len(next(iter(one.values())).angles), dtype=np.int64)
    rows = np.arange(len(best))
    splits = [a.split for a in one.values()]
    return Alignment(
        result,
        np.stack([a.angles for a in one.values()])[best, rows],
        np.stack([a.origins for a in one.values()])[best, rows],
        splits[0],
        numbers[best],
    )


def _one_alignment(path: Path, fields: Fields, result: str) -> Alignment:
    is_2d = result == "alignments2D"
    pose = read_field(path, fields, f"{result}/pose")
    shift = read_field(path, fields, f"{result}/shift")
    expected = ((len(pose),) if is_2d else (len(pose), 3), (len(pose), 2))
    if (pose.shape, shift.shape) != expected:
        raise CryosparcError(
            f"{path}: {result}/pose and shift have the shapes {pose.shape[1:]} and "
            f"{shift.shape[1:]} for each particle; expected {expected[0][1:]} and (2,); export the "
            "particles again"
        )
    angles = np.zeros((len(pose), 3))
    angles[:, :] = np.rad2deg(pose)[:, None] * [0, 0, 1] if is_2d else rotation_to_angles(pose)
    return Alignment(
        result,
        angles,
        shift * pixel_size(path, fields, result)[:, None],
        _integers(fields, f"{result}/split"),
        _integers(fields, f"{result}/class"),
    )


def pixel_size(path: Path, fields: Fields, result: str) -> Float64:
    """Return Å per pixel (N,) of the shifts of a result; that of the images if it has none."""
    name = f"{result}/psize_A"
    return read_field(path, fields, name if name in fields else "blob/psize_A", positive=True)


def _integers(fields: Fields, name: str) -> IntArray | None:
    return fields[name].astype(np.int64) if name in fields else None


def rotation_to_angles(pose: AnyArray) -> Float64:
    """Return rot, tilt, psi (N, 3) in degrees for rotation vectors (N, 3) in rad."""
    return matrix_to_euler(
        scipy.spatial.transform.Rotation.from_rotvec(pose).as_matrix().transpose(0, 2, 1)
    )


def angles_to_rotation(angles: Float64) -> Float64:
    """Return rotation vectors (N, 3) in rad for rot, tilt, psi (N, 3) in degrees."""
    matrices = euler_to_matrix(*angles.T)
    vectors: Float64 = scipy.spatial.transform.Rotation.from_matrix(
        matrices.transpose(0, 2, 1)
    ).as_rotvec()
    return vectors
