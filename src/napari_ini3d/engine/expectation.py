"""The expectation of one tile of images: a pure function from a frozen frame to sums that add.

Every image is compared with all rotations and shifts of a coarse grid at coarse resolution:
one matrix product (L·Aᵀ). Where the frame has a fine grid, the children of the rotations that
hold the posterior's mass are compared at full resolution, again as matrix products: rows
(image · conj(slice)) times a matrix of shift phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ini3d.fourier.transforms import Complex64, Float32, FrequencyDisk
from napari_ini3d.geometry.sampling import CHILDREN, RotationGrid, child_rotations
from napari_ini3d.kernels.backend import Backend
from napari_ini3d.particles import FloatArray, IntArray

_CHUNK_ROWS = 1024  # rows of image-times-slice products held at once


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
    temperature : float
        The log posterior is divided by this.
    pruning : Pruning
    backend : Backend
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
    temperature: float
    pruning: Pruning
    backend: Backend

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
    power: npt.NDArray[np.float64]
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
    explained: npt.NDArray[np.float64]
    class_weight: npt.NDArray[np.float64]
    poses: BestPoses


@dataclass(frozen=True, slots=True)
class _Poses:
    """N weighted poses of a tile's images, sorted by image."""

    row_image: IntArray
    row_class: IntArray
    rotation: IntArray
    shift: IntArray


def real_pairs(array: Complex64) -> Float32:
    """Return a complex array (..., P) as its real and imaginary parts (..., 2P), no copy."""
    return array.view(np.float32)


def expect(frame: Frame, tile: Tile) -> TileSums:
    """Return the sums of one tile."""
    inverse = 1 / (tile.sigma2 * np.float32(frame.temperature))
    weighted = tile.images * (inverse if tile.premultiplied else tile.ctf * inverse)
    ctf2 = tile.ctf**2 * inverse
    weights, summary = _coarse_posterior(frame, tile, weighted, ctf2)
    if frame.fine_grid is None:
        return _dense_sums(frame, tile, weighted, ctf2, weights, summary)
    return _fine_sums(frame, tile, weighted, ctf2, weights)


def _coarse_posterior(
    frame: Frame, tile: Tile, weighted: Complex64, ctf2: Float32
) -> tuple[Float32, npt.NDArray[np.float64]]:
    c = frame.n_coarse
    shifted = _shifted(frame, weighted)
    n_images, n_shifts = shifted.shape[:2]
    scores = real_pairs(shifted).reshape(n_images * n_shifts, 2 * c) @ real_pairs(frame.slices).T
    scores = scores.reshape(n_images, n_shifts, -1)
    norm = (0.5 * ctf2[:, :c]) @ frame.slice_power.T
    prior = shift_log_prior(frame.shifts, tile.from_expected, frame.sigma_offset)
    log_prior = prior[:, :, None] + (frame.log_class_share + tile.class_bias)[:, None, :]
    summary = np.empty((n_images, 4))
    frame.backend.dense_posterior(scores, norm, np.float32(log_prior), summary)
    return scores, summary


def _shifted(frame: Frame, weighted: Complex64) -> Complex64:
    c = frame.n_coarse
    return np.ascontiguousarray(weighted[:, None, :c] * frame.shift_phase[None, :, :c])


def shift_log_prior(shifts: Float32, centre: Float32, sigma: float) -> Float32:
    """Return log N(centre + shift; 0, sigma²) up to a constant, (B, S)."""
    distance2 = ((centre[:, None, :] + shifts[None, :, :]) ** 2).sum(-1)
    return np.float32(-0.5 / sigma**2) * distance2


def _dense_sums(
    frame: Frame,
    tile: Tile,
    weighted: Complex64,
    ctf2: Float32,
    weights: Float32,
    summary: npt.NDArray[np.float64],
) -> TileSums:
    """Give back through one matrix product over all poses of the tile."""
    n_images, n_shifts, n_rows = weights.shape
    c = frame.n_coarse
    shifted = real_pairs(_shifted(frame, weighted)).reshape(n_images * n_shifts, 2 * c)
    # sums keep the temperature out: it flattens the posterior, not the data
    numerator = weights.reshape(n_images * n_shifts, n_rows).T @ shifted
    numerator *= np.float32(frame.temperature)
    numerator = numerator.view(np.complex64)
    per_rotation = weights.sum(1)
    denominator = per_rotation.T @ (ctf2[:, :c] * np.float32(frame.temperature))
    explained = _explained(frame, tile, frame.slices, numerator, denominator, frame.slice_power)
    cubes = _empty_cubes(frame)
    block = n_rows // frame.n_classes
    for k in range(frame.n_classes):
        rows = slice(k * block, (k + 1) * block)
        _give_back(frame, numerator[rows], denominator[rows], frame.grid.matrices, cubes, k)
    row = summary[:, 2].astype(np.int64)
    return TileSums(
        tile,
        *cubes,
        explained,
        per_rotation.reshape(n_images, frame.n_classes, block).sum((0, 2)).astype(np.float64),
        BestPoses(
            tile.index,
            row // block,
            frame.grid.matrices[row % block],
            tile.centre + frame.shifts[summary[:, 3].astype(np.int64)],
            summary[:, 1].astype(np.float32),
            np.count_nonzero(per_rotation > 1e-3 * per_rotation.max(1, keepdims=True), axis=1),
            summary[:, 0],
        ),
    )


def _explained(
    frame: Frame,
    tile: Tile,
    slices: Complex64,
    numerator: Complex64,
    denominator: Float32,
    slice_power: Float32,
) -> npt.NDArray[np.float64]:
    """Return, per shell, the power by which the references lower the residual.

    |X - CTF·A|² = |X|² - (2 Re(X* CTF·A) - CTF²|A|²), summed with the posterior's weights.
    """
    c = slices.shape[1]
    cross = (slices.real * numerator.real + slices.imag * numerator.imag).sum(0, dtype=np.float64)
    own = (denominator * slice_power).sum(0, dtype=np.float64)
    per_component = (2 * cross - own) * tile.sigma2[:c]
    return np.bincount(frame.disk.shell[:c], per_component, minlength=len(tile.power))


def _empty_cubes(frame: Frame) -> tuple[Complex64, Float32]:
    shape = frame.cubes.shape
    return np.zeros(shape, np.complex64), np.zeros(shape, np.float32)


def _give_back(
    frame: Frame,
    numerator: Complex64,
    denominator: Float32,
    matrices: Float32,
    cubes: tuple[Complex64, Float32],
    k: int,
) -> None:
    c = numerator.shape[1]
    kx, ky = frame.disk.kx[:c] * frame.padding, frame.disk.ky[:c] * frame.padding
    frame.backend.backproject(numerator, denominator, matrices, kx, ky, cubes[0][k], cubes[1][k])


def _fine_sums(
    frame: Frame, tile: Tile, weighted: Complex64, ctf2: Float32, weights: Float32
) -> TileSums:
    """Compare the children of the significant rotations, and give back what has weight."""
    pairs = _significant_pairs(frame, weights)
    scores, norm = _fine_scores(frame, pairs, weighted, ctf2)
    scores -= norm[:, None]
    scores += _fine_log_prior(frame, tile, pairs)
    posterior, evidence = _normalise(scores, pairs.row_image, len(tile.index))
    return _collect(frame, tile, pairs, weighted, ctf2, posterior, evidence)


def _significant_pairs(frame: Frame, weights: Float32) -> _Poses:
    assert frame.fine_grid is not None
    n_images, _, n_rows = weights.shape
    most = frame.pruning.most
    rotation = np.empty((n_images, most), np.int32)
    shift = np.empty((n_images, most), np.int32)
    count = np.empty(n_images, np.int32)
    frame.backend.significant_rotations(weights, frame.pruning.share, most, rotation, shift, count)
    kept = np.arange(most) < count[:, None]
    row = rotation[kept].astype(np.int64)
    block = n_rows // frame.n_classes
    children = child_rotations(row % block, frame.grid.n_psi)
    return _Poses(
        np.repeat(np.repeat(np.arange(n_images), count), CHILDREN).astype(np.int32),
        np.repeat(row // block, CHILDREN).astype(np.int32),
        children.ravel().astype(np.int32),
        np.repeat(shift[kept], CHILDREN).astype(np.int32),
    )


def _fine_scores(
    frame: Frame, poses: _Poses, weighted: Complex64, ctf2: Float32
) -> tuple[Float32, Float32]:
    n_rows, n_components = len(poses.row_image), weighted.shape[1]
    phase = real_pairs(frame.fine_phase.conj())  # Re(Q e^-iθ) = Re Q cos θ + Im Q sin θ
    scores = np.empty((n_rows, len(frame.fine_shifts)), np.float32)
    norm = np.empty(n_rows, np.float32)
    products = np.empty((min(_CHUNK_ROWS, n_rows), n_components), np.complex64)
    for low in range(0, n_rows, _CHUNK_ROWS):
        rows = slice(low, min(low + _CHUNK_ROWS, n_rows))
        slices, row_slice = _slices_of(frame, poses, rows)
        out = products[: rows.stop - low]
        frame.backend.fine_products(
            slices,
            row_slice,
            poses.row_image[rows],
            poses.shift[rows],
            weighted,
            frame.shift_phase,
            ctf2,
            out,
            norm[rows],
        )
        np.matmul(real_pairs(out), phase.T, out=scores[rows])
    return scores, norm


def _slices_of(frame: Frame, poses: _Poses, rows: slice) -> tuple[Complex64, npt.NDArray[np.int32]]:
    """Return slices and, for each row, which of them it needs."""
    assert frame.fine_grid is not None
    n_fine = len(frame.fine_grid.matrices)
    wanted = poses.row_class[rows] * np.int64(n_fine) + poses.rotation[rows]
    if frame.fine_slices is not None:
        return frame.fine_slices, wanted.astype(np.int32)
    unique, inverse = np.unique(wanted, return_inverse=True)
    slices = np.empty((len(unique), len(frame.disk)), np.complex64)
    kx, ky = frame.disk.kx * frame.padding, frame.disk.ky * frame.padding
    for k in np.unique(unique // n_fine):
        mine = np.nonzero(unique // n_fine == k)[0]
        block = np.empty((len(mine), len(frame.disk)), np.complex64)
        frame.backend.project(
            frame.cubes[k], frame.fine_grid.matrices[unique[mine] % n_fine], kx, ky, block
        )
        slices[mine] = block
    return slices, inverse.astype(np.int32)


def _fine_log_prior(frame: Frame, tile: Tile, poses: _Poses) -> Float32:
    start = tile.from_expected[poses.row_image] + frame.shifts[poses.shift]
    prior = shift_log_prior(frame.fine_shifts, start, frame.sigma_offset)
    of_class = frame.log_class_share + tile.class_bias
    return prior + of_class[poses.row_image, poses.row_class, None]


def _normalise(
    scores: Float32, row_image: IntArray, n_images: int
) -> tuple[Float32, npt.NDArray[np.float64]]:
    """Return the posterior weights (N, T) and the log evidence (B,); rows sorted by image."""
    first = np.searchsorted(row_image, np.arange(n_images))
    top = np.maximum.reduceat(scores.max(1), first)
    posterior = np.exp(scores - top[row_image, None])
    total = np.add.reduceat(posterior.sum(1, dtype=np.float64), first)
    posterior /= total[row_image, None].astype(np.float32)
    return posterior, top + np.log(total)


def _collect(
    frame: Frame,
    tile: Tile,
    poses: _Poses,
    weighted: Complex64,
    ctf2: Float32,
    posterior: Float32,
    evidence: npt.NDArray[np.float64],
) -> TileSums:
    assert frame.fine_grid is not None
    n_images = len(tile.index)
    first = np.searchsorted(poses.row_image, np.arange(n_images))
    row_max = posterior.max(1)
    best_weight = np.maximum.reduceat(row_max, first)
    # the first row that reaches its image's largest weight
    is_best = row_max == best_weight[poses.row_image]
    best_row = np.nonzero(is_best)[0][
        np.searchsorted(poses.row_image[is_best], np.arange(n_images))
    ]
    best_shift = (
        frame.shifts[poses.shift[best_row]] + frame.fine_shifts[posterior[best_row].argmax(1)]
    )
    significant = row_max > frame.pruning.weight * best_weight[poses.row_image]
    cubes, explained, class_weight = _give_back_rows(
        frame, tile, poses, weighted, ctf2, posterior, np.nonzero(significant)[0]
    )
    return TileSums(
        tile,
        *cubes,
        explained,
        class_weight,
        BestPoses(
            tile.index,
            poses.row_class[best_row],
            frame.fine_grid.matrices[poses.rotation[best_row]],
            tile.centre + best_shift,
            best_weight,
            np.add.reduceat(significant.astype(np.int64), first),
            evidence,
        ),
    )


def _give_back_rows(
    frame: Frame,
    tile: Tile,
    poses: _Poses,
    weighted: Complex64,
    ctf2: Float32,
    posterior: Float32,
    kept: IntArray,
) -> tuple[tuple[Complex64, Float32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    assert frame.fine_grid is not None
    temperature = np.float32(frame.temperature)
    cubes = _empty_cubes(frame)
    explained = np.zeros(len(tile.power))
    phase = real_pairs(frame.fine_phase)
    kept_mass = np.zeros(len(tile.index))
    np.add.at(kept_mass, poses.row_image[kept], posterior[kept].sum(1, dtype=np.float64))
    for low in range(0, len(kept), _CHUNK_ROWS):
        part = _Poses(
            *(getattr(poses, name)[kept[low : low + _CHUNK_ROWS]] for name in _Poses.__slots__)
        )
        weight = posterior[kept[low : low + _CHUNK_ROWS]]
        weight = weight / kept_mass[part.row_image, None].astype(np.float32)
        numerator = (weight @ phase).view(np.complex64)
        numerator *= frame.shift_phase[part.shift]
        numerator *= weighted[part.row_image] * temperature
        denominator = weight.sum(1)[:, None] * (ctf2[part.row_image] * temperature)
        slices, row_slice = _slices_of(frame, part, slice(0, len(weight)))
        mine = slices[row_slice]
        power = mine.real**2 + mine.imag**2
        explained += _explained(frame, tile, mine, numerator, denominator, power)
        for k in np.unique(part.row_class):
            rows = part.row_class == k
            matrices = frame.fine_grid.matrices[part.rotation[rows]]
            _give_back(frame, numerator[rows], denominator[rows], matrices, cubes, k)
    weight_sum = posterior[kept].sum(1, dtype=np.float64) / kept_mass[poses.row_image[kept]]
    class_weight = np.bincount(poses.row_class[kept], weight_sum, frame.n_classes)
    return cubes, explained, class_weight
