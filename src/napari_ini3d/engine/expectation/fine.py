"""Fine pass: children of the rotations with significant weight, at full resolution.

Rows (image · conj(slice)) times a matrix of shift phases are the scores of all shifts at once;
the weights times the same matrix are the shifted images to backproject.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32, IntArray
from napari_ini3d.engine.backprojection import (
    SliceAccumulator,
    backproject_slices,
    empty_cubes,
    explained_power,
)
from napari_ini3d.engine.expectation.coarse import CoarsePosterior
from napari_ini3d.engine.expectation.junk import (
    contaminant_log_evidence,
    junk_probability,
    particle_log_evidence,
)
from napari_ini3d.engine.expectation.priors import shift_log_prior
from napari_ini3d.engine.images import Tile, WeightedImages, real_pairs
from napari_ini3d.engine.references import FineReferences, ReferenceSet
from napari_ini3d.engine.shell_sums import bincount_sum
from napari_ini3d.engine.sums import BestPoses, TileSums
from napari_ini3d.geometry import CHILDREN


@dataclass(frozen=True, slots=True)
class _Rows:
    """N pairs of an image and a fine rotation, sorted by image; each stands for T shifts.

    Attributes
    ----------
    image : (N,) int32
        Within the tile.
    class_index : (N,) int32
    rotation : (N,) int32
        In the fine grid.
    shift : (N,) int32
        The coarse shift that the fine shifts surround.
    """

    image: IntArray
    class_index: IntArray
    rotation: IntArray
    shift: IntArray

    def take(self, rows: IntArray | slice) -> _Rows:
        """Return some of the rows."""
        arrays = (self.image, self.class_index, self.rotation, self.shift)
        return _Rows(*(a[rows] for a in arrays))


def fine_sums(
    references: ReferenceSet,
    fine: FineReferences,
    tile: Tile,
    weighted: WeightedImages,
    posterior: CoarsePosterior,
) -> TileSums:
    """Compare the children of the significant rotations, and backproject those with weight.

    Parameters
    ----------
    references : ReferenceSet
    fine : FineReferences
        Of the references.
    tile : Tile
    weighted : WeightedImages
    posterior : CoarsePosterior
        Of the tile.
    """
    rows = _significant_rows(references, posterior)
    scores, norm = _fine_scores(references, fine, rows, weighted)  # (N, T), (N,)
    scores -= norm[:, None]
    scores += _fine_log_prior(references, fine, tile, rows)
    best, row_max = _best_poses(references, fine, tile, rows, scores, norm, posterior.ball)
    kept, weight = _keep_significant(references, rows, scores, best, row_max)
    mass = weight.sum(1, dtype=np.float64)  # (N,)
    class_weight = bincount_sum(references.backend, kept.class_index, mass, references.n_classes)
    sums = _backproject_rows(references, fine, tile, weighted, kept, weight)
    numerator, denominator, explained = sums
    return TileSums(
        tile=tile,
        numerator=numerator,
        denominator=denominator,
        explained=explained,
        class_weight=class_weight,
        poses=best,
    )


def _significant_rows(references: ReferenceSet, posterior: CoarsePosterior) -> _Rows:
    """Return the children of the coarse rotations whose weight is significant."""
    n_images, _, n_rows = posterior.weights.shape
    pruning, xp = references.pruning, references.backend.xp
    rotation = xp.empty((n_images, pruning.max_rotations), np.int32)
    shift = xp.empty((n_images, pruning.max_rotations), np.int32)
    count = xp.empty(n_images, np.int32)
    references.backend.kernels.significant_rotations(
        posterior.weights, pruning.rotation_weight, pruning.max_rotations, rotation, shift, count
    )
    image, place = xp.nonzero(xp.arange(pruning.max_rotations) < count[:, None])
    row = rotation[image, place].astype(np.int64)  # of K·R
    block = n_rows // references.n_classes  # R
    children = row[:, None] % block * CHILDREN + xp.arange(CHILDREN)  # (rows, CHILDREN)
    return _Rows(
        image=xp.repeat(image, CHILDREN).astype(np.int32),
        class_index=xp.repeat(row // block, CHILDREN).astype(np.int32),
        rotation=children.ravel().astype(np.int32),
        shift=xp.repeat(shift[image, place], CHILDREN),
    )


def _fine_scores(
    references: ReferenceSet, fine: FineReferences, rows: _Rows, weighted: WeightedImages
) -> tuple[Float32, Float32]:
    """Return Re(X* CTF·A) / σ² of every row and shift, (N, T), and CTF² |A|² / 2 σ², (N,)."""
    n_rows, n_components = len(rows.image), weighted.images.shape[1]
    phase = real_pairs(fine.phase.conj())  # (T, 2P): Re(Q e^-iθ) = Re Q cos θ + Im Q sin θ
    xp, kernels, chunk = references.backend.xp, references.backend.kernels, references.chunk_rows
    scores = xp.empty((n_rows, len(fine.shifts)), np.float32)
    norm = xp.empty(n_rows, np.float32)
    products = xp.empty((min(chunk, n_rows), n_components), np.complex64)
    for low in range(0, n_rows, chunk):
        part = slice(low, min(low + chunk, n_rows))
        slices, row_slice = _slices_of(references, fine, rows, part)
        out = products[: part.stop - low]  # (chunk, P)
        kernels.conjugate_products(
            slices,
            row_slice,
            rows.image[part],
            rows.shift[part],
            weighted.images,
            references.shift_phase,
            weighted.ctf2,
            out,
            norm[part],
        )
        kernels.matmul(real_pairs(out), phase.T, out=scores[part])  # (chunk, T)
    return scores, norm


def _slices_of(
    references: ReferenceSet, fine: FineReferences, rows: _Rows, part: slice
) -> tuple[Complex64, Int32]:
    """Return slices (U, P) and, for some of the rows, which of them each needs."""
    n_fine = len(fine.grid.matrices)
    wanted = rows.class_index[part] * np.int64(n_fine) + rows.rotation[part]  # of K·Q
    if fine.slices is not None:
        return fine.slices, wanted.astype(np.int32)
    xp = references.backend.xp
    unique, inverse = xp.unique(wanted, return_inverse=True)
    slices = xp.empty((len(unique), len(references.disk)), np.complex64)
    kx, ky = references.disk.kx * references.padding, references.disk.ky * references.padding
    bounds = xp.searchsorted(unique, xp.arange(references.n_classes + 1) * n_fine).tolist()
    for k, (low, high) in enumerate(pairwise(bounds)):
        if low < high:
            matrices = fine.grid.matrices[unique[low:high] % n_fine]
            cube, out = references.cubes[k], slices[low:high]
            references.backend.kernels.project(cube, matrices, kx, ky, out)
    return slices, inverse.astype(np.int32)


def _fine_log_prior(
    references: ReferenceSet, fine: FineReferences, tile: Tile, rows: _Rows
) -> Float32:
    """Return the log prior of every row and shift, (N, T)."""
    start = tile.from_expected[rows.image] + references.shifts[rows.shift]  # (N, 2)
    prior = shift_log_prior(references, fine.shifts, start)  # (N, T)
    of_class = references.log_class_share + tile.class_bias  # (B, K)
    return prior + of_class[rows.image, rows.class_index, None]


def _best_poses(
    references: ReferenceSet,
    fine: FineReferences,
    tile: Tile,
    rows: _Rows,
    scores: Float32,
    norm: Float32,
    ball: Float64,
) -> tuple[BestPoses, Float32]:
    """Turn scores into the posterior, in place; return the best poses, and each row's maximum."""
    xp, n_images = references.backend.xp, len(tile.index)
    first = xp.searchsorted(rows.image, xp.arange(n_images + 1))  # of each image
    row_max = xp.empty(len(scores), np.float32)
    summary = xp.empty((n_images, 5), np.float64)
    references.backend.kernels.fine_posterior(
        scores, first, references.pruning.pose_weight, row_max, summary
    )
    row, shift, n_significant = (summary[:, i].astype(np.int64) for i in (2, 3, 4))  # (B,)
    prior = _fine_log_prior(references, fine, tile, rows.take(row))[xp.arange(n_images), shift]
    # of the best pose: log p = overlap - power / 2 + log prior, with the scale in both
    overlap = summary[:, 0] + xp.log(summary[:, 1]) + norm[row] - prior
    best = BestPoses(
        index=tile.index,
        class_index=rows.class_index[row],
        matrix=fine.grid.matrices[rows.rotation[row]],
        shift=tile.centre + (references.shifts[rows.shift[row]] + fine.shifts[shift]),
        max_probability=summary[:, 1].astype(np.float32),
        n_significant=n_significant,
        log_evidence=summary[:, 0],
        junk_probability=junk_probability(
            references,
            particle_log_evidence(references, fine, summary[:, 0]),
            ball,
            contaminant_log_evidence(references, tile),
        ),
        overlap=(overlap / tile.scale).astype(np.float32),
        reference_power=2 * norm[row] / tile.scale**2,
    )
    return best, row_max


def _keep_significant(
    references: ReferenceSet, rows: _Rows, posterior: Float32, best: BestPoses, row_max: Float32
) -> tuple[_Rows, Float32]:
    """Drop the rows without weight; those of an image sum to its probability of a particle."""
    floor = references.pruning.pose_weight * best.max_probability[rows.image]  # (N,)
    significant = references.backend.xp.flatnonzero(row_max > floor)
    kept, weight = rows.take(significant), posterior[significant]
    sums = weight.sum(1, dtype=np.float64)
    mass = bincount_sum(references.backend, kept.image, sums, len(best.index))  # (B,)
    particle = (1 - best.junk_probability) / mass.astype(np.float32)  # (B,)
    weight *= particle[kept.image, None].astype(np.float32)
    return kept, weight


def _backproject_rows(
    references: ReferenceSet,
    fine: FineReferences,
    tile: Tile,
    weighted: WeightedImages,
    rows: _Rows,
    weight: Float32,
) -> tuple[Complex64, Float32, Float64]:
    """Return numerator and denominator, (K, cube), and the power explained per shell."""
    xp, matmul = references.backend.xp, references.backend.kernels.matmul
    numerator, denominator = empty_cubes(references)
    explained = xp.zeros(tile.excess.shape[1])
    for low in range(0, len(weight), references.chunk_rows):
        chunk = slice(low, low + references.chunk_rows)
        part = rows.take(chunk)
        # the mean of the image over its shifts, weighted: fine shifts, coarse shift, image
        shifted = matmul(weight[chunk], real_pairs(fine.phase)).view(np.complex64)  # (chunk, P)
        shifted *= references.shift_phase[part.shift]
        shifted *= weighted.images[part.image]
        total = weight[chunk].sum(1)[:, None]  # (chunk, 1)
        sums = SliceAccumulator(shifted, total * weighted.ctf2[part.image])
        slices, row_slice = _slices_of(references, fine, part, slice(0, len(shifted)))
        explained += explained_power(references, tile, slices[row_slice], sums)
        matrices = fine.grid.matrices[part.rotation]  # (chunk, 3, 3)
        for k in range(references.n_classes):
            one_class = references.n_classes == 1
            mine = slice(None) if one_class else xp.flatnonzero(part.class_index == k)
            of_class = SliceAccumulator(sums.numerator[mine], sums.denominator[mine])
            backproject_slices(references, of_class, matrices[mine], numerator[k], denominator[k])
    return numerator, denominator, explained
