"""Fine pass: children of the rotations with significant weight, at full resolution.

Rows (image · conj(slice)) times a matrix of shift phases are the scores of all shifts at once;
the weights times the same matrix are the shifted images to backproject.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32, Int64
from napari_ini3d.engine.backprojection import (
    SliceAccumulator,
    backproject_slices,
    empty_cubes,
    explained_power,
)
from napari_ini3d.engine.expectation.coarse import CoarsePosterior
from napari_ini3d.engine.expectation.junk import fine_cell, null_evidence
from napari_ini3d.engine.expectation.priors import pose_prior
from napari_ini3d.engine.images import Tile, WeightedImages, real_pairs
from napari_ini3d.engine.reference_set import FineReferences, ReferenceSet
from napari_ini3d.engine.shell_sums import bincount_sum
from napari_ini3d.engine.sums import TilePoses, TileSums
from napari_ini3d.geometry import CHILDREN
from napari_ini3d.kernels import BestColumn, Rows


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
    backend, pruning, xp = references.backend, references.pruning, references.backend.xp
    prior, kernels = pose_prior(references, tile), backend.kernels
    rows, first = _significant_rows(references, posterior)
    scores, norm = _fine_scores(references, fine, rows, weighted)  # (N, T), (N,)
    kernels.add_fine_log_prior(prior, rows, fine.shifts, norm, scores)
    row_max = xp.empty(len(scores), np.float32)
    summary = xp.empty((len(tile.index), 5), np.float64)
    # turns the scores into weights, in place
    kernels.fine_posterior(scores, first, pruning.pose_weight, row_max, summary)
    assert posterior.ball is not None  # it is computed where there is a fine pass
    null, cell = null_evidence(references, tile, posterior.ball), fine_cell(references, fine)
    best = xp.empty((len(tile.index), len(BestColumn)), np.float64)
    count = kernels.fine_best_poses(
        summary, norm, rows, prior, fine.shifts, tile.scale, null, cell, best
    )
    kept, weight, total = kernels.keep_rows(
        scores, row_max, first, rows, pruning.pose_weight, best, count
    )
    mass, n_classes = total.astype(np.float64), references.n_classes
    sums = _backproject_rows(references, fine, tile, weighted, kept, weight, total)
    numerator, denominator, explained = sums
    return TileSums(
        tile=tile,
        numerator=numerator,
        denominator=denominator,
        explained=explained,
        class_weight=bincount_sum(backend, kept.class_index, mass, n_classes),
        poses=TilePoses(tile.index, tile.centre, best, references.pose_grid),
    )


def _significant_rows(references: ReferenceSet, posterior: CoarsePosterior) -> tuple[Rows, Int64]:
    """Return the children of the significant rotations, and the first row of each image."""
    n_images, _, n_rows = posterior.weights.shape
    pruning, xp, kernels = references.pruning, references.backend.xp, references.backend.kernels
    rotation = xp.empty((n_images, pruning.max_rotations), np.int32)
    shift = xp.empty((n_images, pruning.max_rotations), np.int32)
    count = xp.empty(n_images, np.int32)
    kernels.significant_rotations(
        posterior.weights, pruning.rotation_weight, pruning.max_rotations, rotation, shift, count
    )
    return kernels.list_rows(rotation, shift, count, n_rows // references.n_classes, CHILDREN)


def _fine_scores(
    references: ReferenceSet, fine: FineReferences, rows: Rows, weighted: WeightedImages
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
    references: ReferenceSet, fine: FineReferences, rows: Rows, part: slice
) -> tuple[Complex64, Int32]:
    """Return slices (U, P) and, for some of the rows, which of them each needs."""
    n_fine, wanted = len(fine.grid.matrices), rows.slice[part]  # of K·Q
    if fine.slices is not None:
        return fine.slices, wanted
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


def _backproject_rows(
    references: ReferenceSet,
    fine: FineReferences,
    tile: Tile,
    weighted: WeightedImages,
    rows: Rows,
    weight: Float32,
    total: Float32,
) -> tuple[Complex64, Float32, Float64]:
    """Return numerator and denominator, (K, cube), and the power explained per shell."""
    xp, kernels = references.backend.xp, references.backend.kernels
    numerator, denominator = empty_cubes(references)
    explained = xp.zeros(tile.excess.shape[1])
    for low in range(0, len(weight), references.chunk_rows):
        chunk = slice(low, low + references.chunk_rows)
        part = rows.take(chunk)
        # the mean of the image over its shifts, weighted: first over the fine shifts
        shifted = kernels.matmul(weight[chunk], real_pairs(fine.phase)).view(np.complex64)
        sums = SliceAccumulator(shifted, xp.empty(shifted.shape, np.float32))  # (chunk, P)
        kernels.weigh_rows(
            part,
            total[chunk],
            weighted.images,
            references.shift_phase,
            weighted.ctf2,
            sums.numerator,
            sums.denominator,
        )
        slices, row_slice = _slices_of(references, fine, rows, chunk)
        explained += explained_power(references, tile, slices, row_slice, sums)
        matrices = fine.grid.matrices[part.rotation]  # (chunk, 3, 3)
        for k in range(references.n_classes):
            one_class = references.n_classes == 1
            mine = slice(None) if one_class else xp.flatnonzero(part.class_index == k)
            of_class = SliceAccumulator(sums.numerator[mine], sums.denominator[mine])
            backproject_slices(references, of_class, matrices[mine], numerator[k], denominator[k])
    return numerator, denominator, explained
