"""What the expectation takes and gives: frozen records of one tile of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, IntArray
from napari_ini3d.fourier import FrequencyDisk
from napari_ini3d.geometry import RotationGrid
from napari_ini3d.kernels import Backend


@dataclass(frozen=True, slots=True)
class Pruning:
    """What the coarse pass keeps for the fine pass, and the fine pass for the sums."""

    share: float = 2e-3
    most: int = 64
    weight: float = 1e-3


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything the images of one iteration are compared with.

    K classes, R coarse and Q fine rotations, S coarse and T fine shifts (pixels), P components
    of which the first C are compared in the coarse pass.

    Attributes
    ----------
    disk : FrequencyDisk
    n_coarse : int
        C; equal to P where there is no fine grid.
    padding : int
    grid, fine_grid : RotationGrid
        The fine grid is None for a search in one pass.
    cubes : (K, 2m + 1, 2m + 1, m + 2) complex64
    slices : (K·R, C) complex64
    slice_power : (K·R, C) float32
    fine_slices : (K·Q, P) complex64 or None
        None where they are made as they are needed.
    shifts, fine_shifts : (S, 2), (T, 2) float32
    shift_phase, fine_phase : (S, P), (T, P) complex64
        exp(-2πi k·t / n): what moves an image by t.
    log_class_share : (K,) float32
    sigma_offset : float
        Pixels.
    offset_limit : float
        Pixels; no image is moved further than one pixel more than this from the shift that
        was expected.
    pruning : Pruning
    backend : Backend
        On whose device all arrays are.
    chunk_rows : int
        Rows of image-times-slice products that the fine pass holds at once.
    """

    disk: FrequencyDisk
    n_coarse: int
    padding: int
    grid: RotationGrid
    fine_grid: RotationGrid | None
    cubes: Complex64
    slices: Complex64
    slice_power: Float32
    fine_slices: Complex64 | None
    shifts: Float32
    fine_shifts: Float32
    shift_phase: Complex64
    fine_phase: Complex64
    log_class_share: Float32
    sigma_offset: float
    offset_limit: float
    pruning: Pruning
    backend: Backend
    chunk_rows: int = 1024

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.cubes)


@dataclass(frozen=True, slots=True)
class Tile:
    """B images of one optics group and one half, ready to be compared.

    Attributes
    ----------
    index : (B,) int64
    images : (B, P) complex64
        Masked, moved by `centre`.
    ctf : (B, P) float32
    premultiplied : bool
        Whether the images have been multiplied by their CTF.
    sigma2 : (P,) float32
        Noise variance of a real or imaginary part.
    centre : (B, 2) float32
        Pixels by which each image has been moved already.
    from_expected : (B, 2) float32
        How far that is from the shift that is the likeliest beforehand.
    class_bias : (B, K) float32
        Added to the log prior of the classes.
    power : (n_shells,) float64
        Sum over the images and the components of each shell of |X|², before masking.
    half, group : int
    """

    index: IntArray
    images: Complex64
    ctf: Float32
    premultiplied: bool
    sigma2: Float32
    centre: Float32
    from_expected: Float32
    class_bias: Float32
    power: Float64
    half: int
    group: int


@dataclass(frozen=True, slots=True)
class BestPoses:
    """The best pose of each image of a tile.

    Attributes
    ----------
    index : (B,) int64
        Position in the particles.
    class_index : (B,) int64
    matrix : (B, 3, 3) float32
    shift : (B, 2) float32
        Pixels, of the image as read.
    max_probability : (B,) float32
    n_significant : (B,) int64
    log_evidence : (B,) float64
        Log of the sum of exp(score) over all poses.
    """

    index: IntArray
    class_index: IntArray
    matrix: Float32
    shift: Float32
    max_probability: Float32
    n_significant: IntArray
    log_evidence: FloatArray


@dataclass(frozen=True, slots=True)
class TileSums:
    """What a tile adds to the iteration.

    Attributes
    ----------
    tile : Tile
    numerator : (K, cube) complex64
    denominator : (K, cube) float32
    explained : (n_shells,) float64
        How much of the tile's power the references explain.
    class_weight : (K,) float64
    poses : BestPoses
    """

    tile: Tile
    numerator: Complex64
    denominator: Float32
    explained: Float64
    class_weight: Float64
    poses: BestPoses


@dataclass(frozen=True, slots=True)
class WeightedImages:
    """The images of a tile as they enter the sums.

    Attributes
    ----------
    images : (B, P) complex64
        CTF · X / σ².
    ctf2 : (B, P) float32
        CTF² / σ².
    """

    images: Complex64
    ctf2: Float32

    @classmethod
    def of(cls, tile: Tile) -> WeightedImages:
        """Weight the images of a tile; those multiplied by their CTF already are not again."""
        inverse = np.float32(1) / tile.sigma2
        factor = inverse if tile.premultiplied else tile.ctf * inverse
        return cls(tile.images * factor, tile.ctf**2 * inverse)
