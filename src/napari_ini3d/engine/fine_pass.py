"""The fine pass: children of the rotations that hold the posterior's mass, at full resolution.

Rows (image · conj(slice)) are multiplied by a matrix of shift phases, which gives the scores of all
shifts at once; weights times the same matrix lead back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ini3d.engine.giving_back import (
    SliceSums,
    empty_cubes,
    explained_power,
    give_back,
    real_pairs,
    shift_log_prior,
)
from napari_ini3d.engine.tiles import BestPoses, Frame, Tile, TileSums, WeightedImages
from napari_ini3d.fourier.transforms import Complex64, Float32
from napari_ini3d.geometry.sampling import CHILDREN, child_rotations
from napari_ini3d.particles import IntArray

_CHUNK_ROWS = 1024  # rows of image-times-slice products held at once


@dataclass(frozen=True, slots=True)
class _Poses:
    """N weighted poses of a tile's images, sorted by image."""

    row_image: IntArray
    row_class: IntArray
    rotation: IntArray
    shift: IntArray

    def take(self, rows: IntArray | slice) -> _Poses:
        """Return some of the rows."""
        arrays = (self.row_image, self.row_class, self.rotation, self.shift)
        return _Poses(*(a[rows] for a in arrays))


def fine_sums(frame: Frame, tile: Tile, weighted: WeightedImages, weights: Float32) -> TileSums:
    """Compare the children of the significant rotations, and give back what has weight."""
    pairs = _significant_pairs(frame, weights)
    scores, norm = _fine_scores(frame, pairs, weighted)
    scores -= norm[:, None]
    scores += _fine_log_prior(frame, tile, pairs)
    posterior, evidence = _normalise(scores, pairs.row_image, len(tile.index))
    best = _best_poses(frame, tile, pairs, posterior, evidence)
    kept, weight = _keep_significant(frame, pairs, posterior, best)
    class_weight = np.bincount(kept.row_class, weight.sum(1, dtype=np.float64), frame.n_classes)
    sums = _give_back_rows(frame, tile, weighted, kept, weight)
    return TileSums(tile, *sums, class_weight.astype(np.float64), best)


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


def _fine_scores(frame: Frame, poses: _Poses, weighted: WeightedImages) -> tuple[Float32, Float32]:
    n_rows, n_components = len(poses.row_image), weighted.images.shape[1]
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
            weighted.images,
            frame.shift_phase,
            weighted.ctf2,
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
    prior = shift_log_prior(frame, frame.fine_shifts, start)
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


def _best_poses(
    frame: Frame,
    tile: Tile,
    poses: _Poses,
    posterior: Float32,
    evidence: npt.NDArray[np.float64],
) -> BestPoses:
    assert frame.fine_grid is not None
    n_images = len(tile.index)
    first = np.searchsorted(poses.row_image, np.arange(n_images))
    row_max = posterior.max(1)
    best_weight = np.maximum.reduceat(row_max, first)
    is_best = np.flatnonzero(row_max == best_weight[poses.row_image])
    row = is_best[np.searchsorted(poses.row_image[is_best], np.arange(n_images))]
    shift = frame.shifts[poses.shift[row]] + frame.fine_shifts[posterior[row].argmax(1)]
    significant = row_max > frame.pruning.weight * best_weight[poses.row_image]
    return BestPoses(
        tile.index,
        poses.row_class[row],
        frame.fine_grid.matrices[poses.rotation[row]],
        tile.centre + shift,
        best_weight,
        np.add.reduceat(significant.astype(np.int64), first),
        evidence,
    )


def _keep_significant(
    frame: Frame, poses: _Poses, posterior: Float32, best: BestPoses
) -> tuple[_Poses, Float32]:
    """Drop the rows without weight; the weights of each image sum to 1 again."""
    floor = frame.pruning.weight * best.max_probability[poses.row_image]
    rows = np.flatnonzero(posterior.max(1) > floor)
    kept, weight = poses.take(rows), posterior[rows]
    mass = np.bincount(kept.row_image, weight.sum(1, dtype=np.float64))
    weight /= mass[kept.row_image, None].astype(np.float32)
    return kept, weight


def _give_back_rows(
    frame: Frame, tile: Tile, weighted: WeightedImages, poses: _Poses, weight: Float32
) -> tuple[Complex64, Float32, npt.NDArray[np.float64]]:
    """Return numerator and denominator, (K, cube), and the power explained per shell."""
    assert frame.fine_grid is not None
    numerator, denominator = empty_cubes(frame)
    explained = np.zeros(len(tile.power))
    for low in range(0, len(weight), _CHUNK_ROWS):
        chunk = slice(low, low + _CHUNK_ROWS)
        part = poses.take(chunk)
        moved = (weight[chunk] @ real_pairs(frame.fine_phase)).view(np.complex64)
        moved *= frame.shift_phase[part.shift]
        moved *= weighted.images[part.row_image]
        sums = SliceSums(moved, weight[chunk].sum(1)[:, None] * weighted.ctf2[part.row_image])
        slices, row_slice = _slices_of(frame, part, slice(0, len(moved)))
        explained += explained_power(frame, tile, slices[row_slice], sums)
        for k in np.unique(part.row_class):
            mine = part.row_class == k
            of_class = SliceSums(sums.numerator[mine], sums.denominator[mine])
            matrices = frame.fine_grid.matrices[part.rotation[mine]]
            give_back(frame, of_class, matrices, numerator[k], denominator[k])
    return numerator, denominator, explained
