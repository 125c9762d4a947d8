"""CUDA kernels: the operations of `kernels.cpu`, launched from the sources in `kernels/cuda`.

CuPy is not imported here: the array module and the launch function are passed in, so that tests
run the same code and the same sources without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_ini3d.kernels.cpu.preparation import LEAST_SPREAD
from napari_ini3d.kernels.cuda_launch import THREADS, Launch, Launcher
from napari_ini3d.kernels.records import NullEvidence, PosePrior, Rows
from napari_ini3d.kernels.types import Array

_MOST_SHARE = 8  # bound on the sum of the trilinear weights of one slice at a voxel
_HEADROOM = 61  # bits of the sums: 64 less the sign and a margin for a rounded logarithm
_PARTS = 1024  # blocks that search for the largest value
_ROWS_PER_PART = 256  # of the slices whose explained power is summed by one thread


class CudaKernels:
    """The kernels on one GPU; `kernels.cpu` documents the arguments of each.

    Parameters
    ----------
    xp : module
        CuPy, or a stand-in.
    launch : Launch
    matmul : callable
        ``matmul(a, b, out)``, the product of two matrices.
    threads : int
        Threads per block, as compiled.
    deterministic : bool
        Whether slices are backprojected as integers, so that the bits do not depend on the order
        of the additions.
    """

    def __init__(
        self,
        xp: Any,
        launch: Launch,
        matmul: Callable[..., Array],
        *,
        threads: int = THREADS,
        deterministic: bool = True,
    ) -> None:
        self._xp = xp
        self._product = matmul
        self._launch = Launcher(xp, launch, threads)
        self._deterministic = deterministic

    def project(self, map_ft: Array, matrices: Array, kx: Array, ky: Array, out: Array) -> None:
        """Project a map: central sections by trilinear interpolation."""
        m = map_ft.shape[0] // 2
        self._launch.elements("project", out.size, map_ft, m, matrices, kx, ky, out, *out.shape)

    def backproject(
        self,
        numerator: Array,
        denominator: Array,
        matrices: Array,
        kx: Array,
        ky: Array,
        map_numerator: Array,
        map_denominator: Array,
    ) -> None:
        """Backproject slices: add them to a half cube, the transpose of `project`."""
        m, sums = map_numerator.shape[0] // 2, (map_numerator, map_denominator)
        slices = (numerator, denominator, matrices, kx, ky, m, *numerator.shape)
        if self._deterministic and numerator.size:
            self._backproject_fixed(slices, *sums)
        else:
            self._launch.elements("backproject_float", numerator.size, *slices, *sums)

    def _backproject_fixed(
        self, slices: tuple[Any, ...], map_numerator: Array, map_denominator: Array
    ) -> None:
        """Backproject slices as 64-bit integers, and add the sums to the map."""
        xp, numerator, denominator = self._xp, slices[0], slices[1]  # (R, P) each
        # powers of two: scaling changes no bit, and R slices cannot overflow 64 bits
        spare = _HEADROOM - int(np.ceil(np.log2(_MOST_SHARE * len(numerator))))
        n_parts = min(_PARTS, self._launch.blocks_of(numerator.size))
        parts, scales = xp.empty((n_parts, 2), np.float32), xp.empty(2, np.float32)
        self._launch.blocks(
            "largest_parts", n_parts, numerator, denominator, numerator.size, n_parts, parts
        )
        self._launch.blocks("fixed_scales", 1, parts, n_parts, spare, scales)
        values = xp.zeros((*map_numerator.shape, 2), np.uint64)
        weights = xp.zeros(map_denominator.shape, np.uint64)
        size = map_denominator.size
        self._launch.elements("backproject_fixed", numerator.size, *slices, scales, values, weights)
        self._launch.elements(
            "add_fixed", size, values, weights, scales, size, map_numerator, map_denominator
        )

    def symmetrise(
        self,
        numerator: Array,
        denominator: Array,
        operators: Array,
        out_numerator: Array,
        out_denominator: Array,
    ) -> None:
        """Sum a half cube and its weights over the operators of a point group."""
        sizes = (operators.shape[0], numerator.shape[0] // 2)
        out = (out_numerator, out_denominator)
        arguments = (numerator, denominator, operators, *sizes, *out)
        self._launch.elements("symmetrise", numerator.size, *arguments)

    def dense_posterior(self, scores: Array, norm: Array, log_prior: Array, summary: Array) -> None:
        """Convert scores to posterior weights, in place."""
        sizes = (scores.shape[1], scores.shape[2], log_prior.shape[2])
        self._launch.blocks(
            "dense_posterior", len(scores), scores, norm, log_prior, *sizes, summary
        )

    def significant_rotations(
        self, weights: Array, share: float, most: int, rotation: Array, shift: Array, count: Array
    ) -> None:
        """Find the rotations of each image that have significant posterior weight."""
        n_images, n_shifts, n_rotations = weights.shape
        marginals = self._xp.empty((n_images, n_rotations), np.float32)
        candidates = self._xp.empty((n_images, n_rotations), np.int32)
        limits = (n_shifts, n_rotations, share, most)
        found = (marginals, candidates, rotation, shift, count)
        self._launch.blocks("significant_rotations", n_images, weights, *limits, *found)

    def conjugate_products(
        self,
        slices: Array,
        row_slice: Array,
        row_image: Array,
        row_shift: Array,
        images: Array,
        shift_phase: Array,
        ctf2: Array,
        out: Array,
        norm: Array,
    ) -> None:
        """Multiply images by the complex conjugate of the slices they are compared with."""
        rows = (row_slice, row_image, row_shift)
        arguments = (slices, *rows, images, shift_phase, ctf2, out.shape[1], out, norm)
        self._launch.blocks("conjugate_products", out.shape[0], *arguments)  # a block for each row

    def fine_posterior(
        self, scores: Array, first: Array, share: float, row_max: Array, summary: Array
    ) -> None:
        """Convert the scores of the fine poses to posterior weights, in place."""
        arguments = (scores, first, scores.shape[1], share, row_max, summary)
        self._launch.blocks("fine_posterior", summary.shape[0], *arguments)

    def bincount_sum(self, group: Array, values: Array, out: Array) -> None:
        """Sum the values of each group."""
        self._launch.blocks("bincount_sum", out.shape[0], group, values, values.size, out)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Multiply two matrices."""
        return self._product(a, b, out)

    def normalise_images(
        self,
        images: Array,
        weight: Array,
        planes: Array,
        mask: Array,
        shift: Array,
        sign: float,
        whole: Array,
        masked: Array,
    ) -> None:
        """Normalise and shift images, without and with a mask."""
        background = (weight, planes, mask, shift, images.shape[-1], sign, LEAST_SPREAD)
        arguments = (images, *background, whole, masked)
        self._launch.blocks("normalise_images", len(images), *arguments)

    def disk_components(
        self,
        whole: Array,
        masked: Array,
        place: Array,
        factor: Array,
        first: Array,
        typical: Array,
        limits: Array,
        components: Array,
        excess: Array,
        weight: Array,
        image_power: Array,
    ) -> None:
        """Take components from transforms, with the power and the weight of each shell."""
        n_images, n_components = components.shape
        sizes = (whole[0].size, n_components, excess.shape[1])
        disk = (place, factor, first, typical, limits)
        out = (components, excess, weight, image_power)
        self._launch.blocks("disk_components", n_images, whole, masked, *disk, *sizes, *out)

    def ctf_values(
        self,
        terms: Array,
        kx: Array,
        ky: Array,
        unit: float,
        wavelength: float,
        spherical: float,
        ignore_first_peak: bool,
        phase_flipped: bool,
        out: Array,
    ) -> None:
        """Compute the CTF of images."""
        constants = (unit, wavelength, spherical, ignore_first_peak, phase_flipped)
        arguments = (terms, kx, ky, *constants, *out.shape, out)
        self._launch.elements("ctf_values", out.size, *arguments)

    def weigh_images(
        self,
        components: Array,
        ctf: Array,
        shell: Array,
        shell_weight: Array,
        sigma2: Array,
        scale: Array,
        premultiplied: bool,
        weighted: Array,
        ctf2: Array,
    ) -> None:
        """Weight images by CTF, noise, shell and scale."""
        sizes = (shell_weight.shape[1], premultiplied, *components.shape)
        given = (components, ctf, shell, shell_weight, sigma2, scale)
        self._launch.elements("weigh_images", ctf2.size, *given, *sizes, weighted, ctf2)

    def coarse_log_prior(self, prior: PosePrior, out: Array) -> None:
        """Compute the log prior of all shifts and classes."""
        self._launch.elements("coarse_log_prior", out.size, *_prior(prior), *out.shape, out)

    def coarse_best_poses(
        self, weights: Array, summary: Array, n_classes: int, share: float, best: Array
    ) -> Array:
        """Record the best coarse poses, and return the weight of each rotation."""
        n_images, n_shifts, n_rotations = weights.shape
        per_rotation = self._xp.empty((n_images, n_rotations), np.float32)
        sizes = (n_shifts, n_rotations, n_classes, share)
        arguments = (weights, summary, *sizes, per_rotation, best)
        self._launch.blocks("coarse_best_poses", n_images, *arguments)
        return per_rotation

    def list_rows(
        self, rotation: Array, shift: Array, count: Array, n_rotations: int, n_children: int
    ) -> tuple[Rows, Array]:
        """Return the children of the significant rotations, and the first of each image."""
        first = self._running_total(count, n_children)
        rows = Rows.empty(int(first[-1]), self._xp)
        sizes = (rotation.shape[1], n_rotations, n_children)
        arguments = (rotation, shift, first, *sizes, *_columns(rows))
        self._launch.blocks("list_rows", len(count), *arguments)
        return rows, first

    def _running_total(self, count: Array, factor: int = 1) -> Array:
        """Return where the rows of each image begin, and their number, (B + 1,) int64."""
        first = self._xp.empty(len(count) + 1, np.int64)
        self._launch.blocks("running_total", 1, count, len(count), factor, first)
        return first

    def add_fine_log_prior(
        self, prior: PosePrior, rows: Rows, fine_shifts: Array, norm: Array, scores: Array
    ) -> None:
        """Add the log prior to the scores of the fine poses, and subtract the norm, in place."""
        start, shifts, *rest = _prior(prior)
        given = (norm, rows.image, rows.class_index, rows.shift, start, shifts, fine_shifts, *rest)
        sizes = (*scores.shape, len(prior.class_share))
        self._launch.elements("add_fine_log_prior", scores.size, *given, *sizes, scores)

    def fine_best_poses(
        self,
        summary: Array,
        norm: Array,
        rows: Rows,
        prior: PosePrior,
        fine_shifts: Array,
        scale: Array,
        null: NullEvidence,
        log_cell: float,
        best: Array,
    ) -> Array:
        """Record the best fine poses, and return the number of significant rows."""
        count = self._xp.empty(len(best), np.int32)
        start, shifts, *rest = _prior(prior)
        of_rows = (norm, rows.class_index, rows.rotation, rows.shift)
        of_null = (null.ball, null.excess, null.count, null.limit, log_cell, null.log_odds)
        sizes = (len(best), len(prior.class_share), null.excess.shape[1])
        given = (summary, *of_rows, start, shifts, fine_shifts, *rest, scale, *of_null)
        self._launch.elements("fine_best_poses", len(best), *given, *sizes, count, best)
        return count

    def keep_rows(
        self,
        posterior: Array,
        row_max: Array,
        first: Array,
        rows: Rows,
        share: float,
        best: Array,
        count: Array,
    ) -> tuple[Rows, Array, Array]:
        """Return the rows with weight, their weights and the sum of each."""
        kept_first = self._running_total(count)
        kept, n_shifts = Rows.empty(int(kept_first[-1]), self._xp), posterior.shape[1]
        weight = self._xp.empty((len(kept.image), n_shifts), np.float32)
        total = self._xp.empty(len(kept.image), np.float32)
        given = (posterior, row_max, first, kept_first, best, *_columns(rows), n_shifts, share)
        out = (*_columns(kept), weight, total)
        self._launch.blocks("keep_rows", len(count), *given, *out)
        return kept, weight, total

    def weigh_rows(
        self,
        rows: Rows,
        total: Array,
        images: Array,
        shift_phase: Array,
        ctf2: Array,
        numerator: Array,
        denominator: Array,
    ) -> None:
        """Turn the sums over the fine shifts into sums over poses."""
        given = (rows.image, rows.shift, total, images, shift_phase, ctf2, *denominator.shape)
        self._launch.elements("weigh_rows", denominator.size, *given, numerator, denominator)

    def explained_power(
        self, slices: Array, row_slice: Array, numerator: Array, denominator: Array
    ) -> Array:
        """Return the power by which slices lower the residual, summed over the rows."""
        n_rows, n_components = denominator.shape
        parts = self._xp.empty((-(-n_rows // _ROWS_PER_PART), n_components), np.float64)
        given = (slices, row_slice, numerator, denominator, *denominator.shape)
        arguments = (*given, _ROWS_PER_PART, parts.size, parts)
        self._launch.elements("explained_power", parts.size, *arguments)
        return parts.sum(0)


def _prior(prior: PosePrior) -> tuple[Any, ...]:
    """Return a prior as the kernels take it."""
    arrays = (prior.start, prior.shifts, prior.class_share, prior.class_bias)
    return (*arrays, 0.5 / prior.sigma**2, prior.limit**2)


def _columns(rows: Rows) -> tuple[Array, ...]:
    return rows.image, rows.class_index, rows.rotation, rows.shift, rows.slice
