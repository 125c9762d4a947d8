"""The expectation of one tile of images: a pure function from a frozen frame to sums that add.

Every image is compared with all rotations and shifts of a coarse grid at coarse resolution:
one matrix product (L·Aᵀ). Where the frame has a fine grid, `fine_pass` goes on from there.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.engine.backprojection import (
    SliceAccumulator,
    backproject_slices,
    empty_cubes,
    explained_power,
    real_pairs,
    shift_log_prior,
)
from napari_ini3d.engine.expectation.fine import fine_sums
from napari_ini3d.engine.tiles import (
    BestPoses,
    Frame,
    Tile,
    TileSums,
    WeightedImages,
)
from napari_ini3d.engine.timing import ThreadTimer


def expect(frame: Frame, tile: Tile, clock: ThreadTimer | None = None) -> TileSums:
    """Return the sums of one tile.

    Parameters
    ----------
    frame : Frame
    tile : Tile
    clock : ThreadTimer, optional
        Told when a part is done.
    """
    clock = clock or ThreadTimer(running=False)
    weighted = WeightedImages.of(tile)
    weights, summary = _coarse_posterior(frame, tile, weighted)
    clock.part("coarse comparison")
    if frame.fine_grid is None:
        sums = _dense_sums(frame, tile, weighted, weights, summary)
    else:
        sums = fine_sums(frame, tile, weighted, weights)
    clock.part("fine comparison, giving back")
    return sums


def _coarse_posterior(
    frame: Frame, tile: Tile, weighted: WeightedImages
) -> tuple[Float32, Float64]:
    c = frame.n_coarse
    shifted = _shifted(frame, weighted)
    n_images, n_shifts = shifted.shape[:2]
    kernels = frame.backend.kernels
    rows = real_pairs(shifted).reshape(n_images * n_shifts, 2 * c)
    scores = kernels.matmul(rows, real_pairs(frame.slices).T).reshape(n_images, n_shifts, -1)
    norm = kernels.matmul(np.float32(0.5) * weighted.ctf2[:, :c], frame.slice_power.T)
    prior = shift_log_prior(frame, frame.shifts, tile.from_expected)
    log_prior = prior[:, :, None] + (frame.log_class_share + tile.class_bias)[:, None, :]
    summary = frame.backend.xp.empty((n_images, 4), np.float64)
    kernels.dense_posterior(scores, norm, log_prior.astype(np.float32, copy=False), summary)
    return scores, summary


def _shifted(frame: Frame, weighted: WeightedImages) -> Complex64:
    c = frame.n_coarse
    shifted: Complex64 = frame.backend.xp.ascontiguousarray(
        weighted.images[:, None, :c] * frame.shift_phase[None, :, :c]
    )
    return shifted


def _dense_sums(
    frame: Frame,
    tile: Tile,
    weighted: WeightedImages,
    weights: Float32,
    summary: Float64,
) -> TileSums:
    """Give back through one matrix product over all poses of the tile."""
    n_images, n_shifts, n_rows = weights.shape
    c, xp, matmul = frame.n_coarse, frame.backend.xp, frame.backend.kernels.matmul
    shifted = real_pairs(_shifted(frame, weighted)).reshape(n_images * n_shifts, 2 * c)
    per_rotation = weights.sum(1)
    sums = SliceAccumulator(
        matmul(weights.reshape(n_images * n_shifts, n_rows).T, shifted).view(np.complex64),
        matmul(per_rotation.T, weighted.ctf2[:, :c]),
    )
    cubes = empty_cubes(frame)
    block = n_rows // frame.n_classes
    for k in range(frame.n_classes):
        rows = slice(k * block, (k + 1) * block)
        part = SliceAccumulator(sums.numerator[rows], sums.denominator[rows])
        backproject_slices(frame, part, frame.grid.matrices, cubes[0][k], cubes[1][k])
    row = summary[:, 2].astype(np.int64)
    return TileSums(
        tile,
        *cubes,
        explained_power(frame, tile, frame.slices, sums),
        per_rotation.reshape(n_images, frame.n_classes, block).sum((0, 2)).astype(np.float64),
        BestPoses(
            tile.index,
            row // block,
            frame.grid.matrices[row % block],
            tile.centre + frame.shifts[summary[:, 3].astype(np.int64)],
            summary[:, 1].astype(np.float32),
            xp.count_nonzero(per_rotation > 1e-3 * per_rotation.max(1, keepdims=True), axis=1),
            summary[:, 0],
        ),
    )
