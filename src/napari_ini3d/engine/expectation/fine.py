"""The fine pass: children of the rotations that hold the posterior's mass, at full resolution.

Rows (image · conj(slice)) are multiplied by a matrix of shift phases, which gives the scores of all
shifts at once; weights times the same matrix lead back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32, IntArray
from napari_ini3d.engine.backprojection import (
    SliceAccumulator,
    backproject_slices,
    bincount_sum,
    empty_cubes,
    explained_power,
    real_pairs,
    shift_log_prior,
)
from napari_ini3d.engine.tiles import (
    BestPoses,
    Frame,
    Tile,
    TileSums,
    WeightedImages,
)
from napari_ini3d.geometry import CHILDREN, child_rotations


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
    best, row_max = _best_poses(frame, tile, pairs, scores)
    kept, weight = _keep_significant(frame, pairs, scores, best, row_max)
    mass = weight.sum(1, dtype=np.float64)
    class_weight = bincount_sum(frame.backend, kept.row_class, mass, frame.n_classes)
    sums = _backproject_rows(frame, tile, weighted, kept, weight)
    return TileSums(tile, *sums, class_weight, best)


def _significant_pairs(frame: Frame, weights: Float32) -> _Poses:
    assert frame.fine_grid is not None
    n_images, _, n_rows = weights.shape
    pruning, xp = frame.pruning, frame.backend.xp
    rotation = xp.empty((n_images, pruning.most), np.int32)
    shift = xp.empty((n_images, pruning.most), np.int32)
    count = xp.empty(n_images, np.int32)
    frame.backend.kernels.significant_rotations(
        weights, pruning.share, pruning.most, rotation, shift, count
    )
    image, place = xp.nonzero(xp.arange(pruning.most) < count[:, None])
    row = rotation[image, place].astype(np.int64)
    block = n_rows // frame.n_classes
    return _Poses(
        xp.repeat(image, CHILDREN).astype(np.int32),
        xp.repeat(row // block, CHILDREN).astype(np.int32),
        child_rotations(row % block, frame.grid.n_psi, xp=xp).ravel().astype(np.int32),
        xp.repeat(shift[image, place], CHILDREN),
    )


def _fine_scores(frame: Frame, poses: _Poses, weighted: WeightedImages) -> tuple[Float32, Float32]:
    n_rows, n_components = len(poses.row_image), weighted.images.shape[1]
    phase = real_pairs(frame.fine_phase.conj())  # Re(Q e^-iθ) = Re Q cos θ + Im Q sin θ
    xp, kernels, chunk = frame.backend.xp, frame.backend.kernels, frame.chunk_rows
    scores = xp.empty((n_rows, len(frame.fine_shifts)), np.float32)
    norm = xp.empty(n_rows, np.float32)
    products = xp.empty((min(chunk, n_rows), n_components), np.complex64)
    for low in range(0, n_rows, chunk):
        rows = slice(low, min(low + chunk, n_rows))
        slices, row_slice = _slices_of(frame, poses, rows)
        out = products[: rows.stop - low]
        kernels.conjugate_products(
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
        kernels.matmul(real_pairs(out), phase.T, out=scores[rows])
    return scores, norm


def _slices_of(frame: Frame, poses: _Poses, rows: slice) -> tuple[Complex64, Int32]:
    """Return slices and, for each row, which of them it needs."""
    assert frame.fine_grid is not None
    n_fine = len(frame.fine_grid.matrices)
    wanted = poses.row_class[rows] * np.int64(n_fine) + poses.rotation[rows]
    if frame.fine_slices is not None:
        return frame.fine_slices, wanted.astype(np.int32)
    xp = frame.backend.xp
    unique, inverse = xp.unique(wanted, return_inverse=True)
    slices = xp.empty((len(unique), len(frame.disk)), np.complex64)
    kx, ky = frame.disk.kx * frame.padding, frame.disk.ky * frame.padding
    bounds = xp.searchsorted(unique, xp.arange(frame.n_classes + 1) * n_fine).tolist()
    for k, (low, high) in enumerate(pairwise(bounds)):
        matrices = frame.fine_grid.matrices[unique[low:high] % n_fine]
        if low < high:
            frame.backend.kernels.project(frame.cubes[k], matrices, kx, ky, slices[low:high])
    return slices, inverse.astype(np.int32)


def _fine_log_prior(frame: Frame, tile: Tile, poses: _Poses) -> Float32:
    start = tile.from_expected[poses.row_image] + frame.shifts[poses.shift]
    prior = shift_log_prior(frame, frame.fine_shifts, start)
    of_class = frame.log_class_share + tile.class_bias
    return prior + of_class[poses.row_image, poses.row_class, None]


def _best_poses(
    frame: Frame, tile: Tile, poses: _Poses, scores: Float32
) -> tuple[BestPoses, Float32]:
    """Turn scores into the posterior, in place; return the best poses, and each row's maximum."""
    assert frame.fine_grid is not None
    xp, n_images = frame.backend.xp, len(tile.index)
    first = xp.searchsorted(poses.row_image, xp.arange(n_images + 1))
    row_max = xp.empty(len(scores), np.float32)
    summary = xp.empty((n_images, 5), np.float64)
    frame.backend.kernels.fine_posterior(scores, first, frame.pruning.weight, row_max, summary)
    row, shift, n_significant = (summary[:, i].astype(np.int64) for i in (2, 3, 4))
    best = BestPoses(
        tile.index,
        poses.row_class[row],
        frame.fine_grid.matrices[poses.rotation[row]],
        tile.centre + (frame.shifts[poses.shift[row]] + frame.fine_shifts[shift]),
        summary[:, 1].astype(np.float32),
        n_significant,
        summary[:, 0],
    )
    return best, row_max


def _keep_significant(
    frame: Frame, poses: _Poses, posterior: Float32, best: BestPoses, row_max: Float32
) -> tuple[_Poses, Float32]:
    """Drop the rows without weight; the weights of each image sum to 1 again."""
    floor = frame.pruning.weight * best.max_probability[poses.row_image]
    rows = frame.backend.xp.flatnonzero(row_max > floor)
    kept, weight = poses.take(rows), posterior[rows]
    sums = weight.sum(1, dtype=np.float64)
    mass = bincount_sum(frame.backend, kept.row_image, sums, len(best.index))
    weight /= mass[kept.row_image, None].astype(np.float32)
    return kept, weight


def _backproject_rows(
    frame: Frame, tile: Tile, weighted: WeightedImages, poses: _Poses, weight: Float32
) -> tuple[Complex64, Float32, Float64]:
    """Return numerator and denominator, (K, cube), and the power explained per shell."""
    assert frame.fine_grid is not None
    xp, matmul = frame.backend.xp, frame.backend.kernels.matmul
    numerator, denominator = empty_cubes(frame)
    explained = xp.zeros(len(tile.power))
    for low in range(0, len(weight), frame.chunk_rows):
        chunk = slice(low, low + frame.chunk_rows)
        part = poses.take(chunk)
        moved = matmul(weight[chunk], real_pairs(frame.fine_phase)).view(np.complex64)
        moved *= frame.shift_phase[part.shift]
        moved *= weighted.images[part.row_image]
        sums = SliceAccumulator(
            moved, weight[chunk].sum(1)[:, None] * weighted.ctf2[part.row_image]
        )
        slices, row_slice = _slices_of(frame, part, slice(0, len(moved)))
        explained += explained_power(frame, tile, slices[row_slice], sums)
        matrices = frame.fine_grid.matrices[part.rotation]
        for k in range(frame.n_classes):
            mine = xp.flatnonzero(part.row_class == k) if frame.n_classes > 1 else slice(None)
            of_class = SliceAccumulator(sums.numerator[mine], sums.denominator[mine])
            backproject_slices(frame, of_class, matrices[mine], numerator[k], denominator[k])
    return numerator, denominator, explained
