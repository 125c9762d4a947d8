"""What images are compared with in an iteration: slices, shifts, the null model, pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.images import real_pairs
from napari_ini3d.fourier import FrequencyDisk
from napari_ini3d.geometry import RotationGrid
from napari_ini3d.kernels import Backend


@dataclass(frozen=True, slots=True)
class Pruning:
    """Poses that are kept: from the coarse pass for the fine pass, and from that for the sums.

    Attributes
    ----------
    rotation_weight : float
        Weight of a coarse rotation over that of the best, from which it is refined.
    max_rotations : int
        Coarse rotations that are refined for an image, at most.
    pose_weight : float
        Weight of a fine pose over that of the best, from which it enters the sums.
    """

    rotation_weight: float = 2e-3
    max_rotations: int = 64
    pose_weight: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class FineReferences:
    """The grid of the fine pass: Q rotations and T shifts, children of the coarse ones.

    Attributes
    ----------
    grid : RotationGrid
        Rotations 8 r ... 8 r + 7 are the children of the coarse rotation r.
    slices : (K·Q, P) complex64 or None
        None where they are computed when they are needed, to save memory.
    shifts : (T, 2) float32
        Pixels, about each coarse shift.
    step_px : float
        Step of these shifts, pixels.
    phase : (T, P) complex64
        exp(-2πi k·t / n), which shifts an image by t.
    """

    grid: RotationGrid
    slices: Complex64 | None
    shifts: Float32
    step_px: float
    phase: Complex64


@dataclass(frozen=True, slots=True, kw_only=True)
class NullModel:
    """What an image without a particle is compared with (`expectation.junk`).

    Attributes
    ----------
    ball_pairs : (K, 2 C) float32
        Slices of the rotational average of each class, real as it is centred, as pairs of a real
        and an imaginary part.
    ball_power : (K, C) float32
        Their squares.
    count : (n_shells,) float64
        Independent components of each shell of a masked image, up to the radius compared.
    limit : (n_shells,) float64
        Excess beyond which the power of a shell stands out.
    """

    ball_pairs: Float32
    ball_power: Float32
    count: Float64
    limit: Float64

    @classmethod
    def of(cls, ball: Float32, count: Float64, limit: Float64) -> Self:
        """Return the null model of the slices (K, C) of rotational averages."""
        return cls(
            ball_pairs=real_pairs(ball.astype(np.complex64)),
            ball_power=ball * ball,
            count=count,
            limit=limit,
        )


@dataclass(frozen=True, slots=True)
class PoseGrid:
    """The grids from which the pass with the sums chooses poses, on the host.

    Attributes
    ----------
    matrices : (R, 3, 3) float32
    shifts : (S, 2) float32
        Pixels.
    fine_shifts : (T, 2) float32
        Pixels, about each of these shifts; a single zero without a fine pass.
    """

    matrices: Float32
    shifts: Float32
    fine_shifts: Float32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSet:
    """Slices of all classes of one model, and the shifts: what images are compared with.

    K classes, R rotations and S shifts of the coarse grid, P Fourier components per image; the
    coarse pass compares the first C of them.

    Attributes
    ----------
    disk : FrequencyDisk
        The P frequencies.
    n_coarse : int
        C; equal to P where there is no fine pass.
    padding : int
    grid : RotationGrid
    cubes : (K, 2m + 1, 2m + 1, m + 2) complex64
    slices : (K·R, C) complex64
    slice_power : (K·R, C) float32
    shifts : (S, 2) float32
        Pixels.
    shift_phase : (S, P) complex64
        exp(-2πi k·t / n), which shifts an image by t.
    shift_step_px : float
        Step of the shift grid, pixels.
    null : NullModel
    log_class_share : (K,) float32
    sigma_offset_px : float
        Pixels, of the Gaussian prior on the shift.
    offset_limit_px : float
        Pixels; no image is shifted further than one pixel more than this from the expected
        shift.
    pruning : Pruning
    backend : Backend
        All arrays are on its device.
    pose_grid : PoseGrid
    fine : FineReferences or None
        None in the starts, which have one pass only.
    chunk_rows : int
        Rows of image-times-slice products that the fine pass keeps in memory at once.
    """

    disk: FrequencyDisk
    n_coarse: int
    padding: int
    grid: RotationGrid
    cubes: Complex64
    slices: Complex64
    slice_power: Float32
    shifts: Float32
    shift_phase: Complex64
    shift_step_px: float
    null: NullModel
    log_class_share: Float32
    sigma_offset_px: float
    offset_limit_px: float
    pruning: Pruning
    backend: Backend
    pose_grid: PoseGrid
    fine: FineReferences | None = None
    chunk_rows: int = 1024

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.cubes)
