"""The kernels for NVIDIA cards: what `kernels.cpu` does, launched from `kernels/cuda/*.cu`.

No CuPy here: the array module and the way to launch are given, so that the tests run the same
lines, and the same sources, without a card.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np

from napari_ini3d.kernels.types import Array

THREADS = 512
"""Threads per block of every kernel on a card; a power of two."""

Launch = Callable[[str, int, tuple[Any, ...]], None]
"""Starts a kernel by its name with a number of blocks and arguments."""

_COMMON = "common.cuh"
_MOST_SHARE = 8  # of a slice's weight that can fall on one voxel, at most
_HALF_BITS = 15  # of the largest value in half precision
_HEADROOM = 61  # bits of a signed sum, less one for the rounding of its logarithm


def kernel_source() -> str:
    """Return the sources of all kernels as one."""
    folder = resources.files("napari_ini3d.kernels").joinpath("cuda")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    parts = [file.read_text("utf-8") for file in files if file.name.endswith(".cu")]
    include = f'#include "{_COMMON}"\n'
    common = folder.joinpath(_COMMON).read_text("utf-8").replace("#pragma once\n", "")
    return common + "".join(part.replace(include, "") for part in parts)


class CudaKernels:
    """The kernels on one card; see `kernels.cpu` for what each takes.

    Parameters
    ----------
    xp : module
        CuPy, or what stands for it.
    launch : Launch
    matmul : callable
        The product of two matrices, with an `out`.
    threads : int
        Per block, as the sources were compiled.
    deterministic : bool
        Whether slices are added up as integers, which gives the same bits whatever the order.
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
        self._launch = launch
        self._threads = threads
        self._deterministic = deterministic

    def project(self, map_ft: Array, matrices: Array, kx: Array, ky: Array, out: Array) -> None:
        """Fill `out` with trilinear central sections."""
        _check_filled(out, np.complex64)
        arguments = (
            self._given(map_ft, np.complex64),
            np.int32(map_ft.shape[0] // 2),
            self._given(matrices, np.float32),
            self._given(kx, np.float32),
            self._given(ky, np.float32),
            out,
            np.int64(out.shape[0]),
            np.int64(out.shape[1]),
        )
        self._run("project", self._blocks(out.size), arguments)

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
        """Add slices to a half cube."""
        _check_filled(map_numerator, np.complex64)
        _check_filled(map_denominator, np.float32)
        if not numerator.size:
            return
        slices = (
            self._given(numerator, np.complex64),
            self._given(denominator, np.float32),
            self._given(matrices, np.float32),
            self._given(kx, np.float32),
            self._given(ky, np.float32),
            np.int32(map_numerator.shape[0] // 2),
            np.int64(numerator.shape[0]),
            np.int64(numerator.shape[1]),
        )
        if self._deterministic:
            self._add_fixed(slices, map_numerator, map_denominator)
        else:
            arguments = (*slices, map_numerator, map_denominator)
            self._run("backproject_float", self._blocks(numerator.size), arguments)

    def _add_fixed(
        self, slices: tuple[Any, ...], map_numerator: Array, map_denominator: Array
    ) -> None:
        """Add slices up as integers, and those to the map."""
        xp, numerator, denominator = self._xp, slices[0], slices[1]
        spare = _HEADROOM - int(np.ceil(np.log2(_MOST_SHARE * len(numerator))))
        largest = xp.stack([abs(numerator.view(np.float32)).max(), abs(denominator).max()])
        scales = _powers_of_two(xp, largest, spare)
        values = xp.zeros((*map_numerator.shape, 2), np.uint64)
        weights = xp.zeros(map_denominator.shape, np.uint64)
        arguments = (*slices, scales, values, weights)
        self._run("backproject_fixed", self._blocks(numerator.size), arguments)
        parts = map_numerator.view(np.float32).reshape(values.shape)
        parts += (values.view(np.int64) / scales[0]).astype(np.float32)
        map_denominator += (weights.view(np.int64) / scales[1]).astype(np.float32)

    def symmetrise(
        self,
        numerator: Array,
        denominator: Array,
        operators: Array,
        out_numerator: Array,
        out_denominator: Array,
    ) -> None:
        """Sum a half cube and its weights over the operators of a point group."""
        _check_filled(out_numerator, np.complex64)
        _check_filled(out_denominator, np.float32)
        arguments = (
            self._given(numerator, np.complex64),
            self._given(denominator, np.float32),
            self._given(operators, np.float32),
            np.int32(operators.shape[0]),
            np.int32(numerator.shape[0] // 2),
            out_numerator,
            out_denominator,
        )
        self._run("symmetrise", self._blocks(numerator.size), arguments)

    def dense_posterior(self, scores: Array, norm: Array, log_prior: Array, summary: Array) -> None:
        """Turn scores into posterior weights, in place."""
        _check_filled(scores, np.float32)
        _check_filled(summary, np.float64)
        arguments = (
            scores,
            self._given(norm, np.float32),
            self._given(log_prior, np.float32),
            *(np.int32(n) for n in (scores.shape[1], scores.shape[2], log_prior.shape[2])),
            summary,
        )
        self._run("dense_posterior", scores.shape[0], arguments)

    def significant_rotations(
        self, weights: Array, share: float, most: int, rotation: Array, shift: Array, count: Array
    ) -> None:
        """Find, for each image, the rotations that may hold its pose."""
        for filled in (rotation, shift, count):
            _check_filled(filled, np.int32)
        n_images, n_shifts, n_rotations = weights.shape
        arguments = (
            self._given(weights, np.float32),
            np.int32(n_shifts),
            np.int32(n_rotations),
            np.float32(share),
            np.int32(most),
            self._xp.empty((n_images, n_rotations), np.float32),
            self._xp.empty((n_images, n_rotations), np.int32),
            rotation,
            shift,
            count,
        )
        self._run("significant_rotations", n_images, arguments)

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
        """Multiply images by the conjugate slices they are compared with."""
        _check_filled(out, np.complex64)
        _check_filled(norm, np.float32)
        arguments = (
            self._given(slices, np.complex64),
            *(self._given(row, np.int32) for row in (row_slice, row_image, row_shift)),
            self._given(images, np.complex64),
            self._given(shift_phase, np.complex64),
            self._given(ctf2, np.float32),
            np.int64(out.shape[1]),
            out,
            norm,
        )
        self._run("conjugate_products", out.shape[0], arguments)

    def fine_posterior(
        self, scores: Array, first: Array, share: float, row_max: Array, summary: Array
    ) -> None:
        """Turn the scores of the fine poses into posterior weights, in place."""
        _check_filled(scores, np.float32)
        _check_filled(row_max, np.float32)
        _check_filled(summary, np.float64)
        arguments = (
            scores,
            self._given(first, np.int64),
            np.int32(scores.shape[1]),
            np.float32(share),
            row_max,
            summary,
        )
        self._run("fine_posterior", summary.shape[0], arguments)

    def shift_images(self, images: Array, by: Array, out: Array) -> None:
        """Fill `out` with images moved by whole pixels."""
        _check_filled(out, np.float32)
        arguments = (
            self._given(images, np.float32),
            self._given(by, np.int32),
            np.int64(images.shape[0]),
            np.int32(images.shape[2]),
            out,
        )
        self._run("shift_images", self._blocks(out.size), arguments)

    def bincount_sum(self, group: Array, values: Array, out: Array) -> None:
        """Fill `out` with the sum of the values of each group."""
        _check_filled(out, np.float64)
        arguments = (
            self._given(group, np.int32),
            self._given(values, np.float64),
            np.int64(values.size),
            out,
        )
        self._run("bincount_sum", out.shape[0], arguments)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Return the product of two matrices."""
        return self._product(a, b, out)

    def _run(self, name: str, blocks: int, arguments: tuple[Any, ...]) -> None:
        if blocks:  # CUDA refuses to start none
            self._launch(name, blocks, arguments)

    def _blocks(self, threads: int) -> int:
        return -(-threads // self._threads)

    def _given(self, array: Array, dtype: type) -> Array:
        """Return an array that is read, as the kernels expect it: contiguous, of one type."""
        return self._xp.ascontiguousarray(array, dtype=dtype)


def _check_filled(array: Array, dtype: type) -> None:
    """Refuse to fill what is not laid out as the kernels expect it."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        order = "contiguous" if array.flags.c_contiguous else "strided"
        raise TypeError(
            f"an array to be filled is {order} {array.dtype}; "
            f"the kernels write contiguous {np.dtype(dtype)}"
        )


def scaled_product(xp: Any, product: Callable[..., Array]) -> Callable[..., Array]:
    """Return a product whose factors fill the range of half precision.

    Half precision has five bits for the exponent only: noise weights and power spectra lie far
    outside. Each factor is multiplied by a power of two beforehand, and the product divided by
    both.

    Parameters
    ----------
    xp : module
    product : callable
        Of two matrices, with an `out`.
    """

    def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
        if not (a.size and b.size):  # which have no largest value
            return product(a, b, out)
        scales = [_powers_of_two(xp, abs(factor).max(), _HALF_BITS) for factor in (a, b)]
        found = product(a * scales[0], b * scales[1], out)
        found /= scales[0]
        found /= scales[1]
        return found

    return matmul


def _powers_of_two(xp: Any, largest: Array, bits: int) -> Array:
    """Return, as float32, the largest powers of two by which values stay below 2^bits."""
    exponent = bits - xp.ceil(xp.log2(xp.maximum(largest, np.float32(1e-30))))
    return xp.exp2(xp.minimum(exponent, np.float32(126)))  # float32 reaches no further
