"""CUDA kernels: the operations of `kernels.cpu`, launched from the sources in `kernels/cuda`.

CuPy is not imported here: the array module and the launch function are passed in, so that tests
run the same code and the same sources without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np

from napari_ini3d.kernels.types import Array

THREADS = 512
"""Threads per block of every kernel on a GPU; a power of two."""

COMPILE_OPTIONS = (f"-DTHREADS={THREADS}",)
"""Options of NVRTC; CuPy adds the architecture."""

Launch = Callable[[str, int, tuple[Any, ...]], None]
"""Launch a kernel: its name, the number of blocks, its arguments."""

_COMMON = "common.cuh"
_MOST_SHARE = 8  # bound on the sum of the trilinear weights of one slice at a voxel
_HALF_BITS = 15  # factors are scaled to at most 2^15; half precision ends below 2^16
_HEADROOM = 61  # bits of the sums: 64 less the sign and a margin for a rounded logarithm


def kernel_source() -> str:
    """Return the sources of all kernels as one translation unit."""
    folder = resources.files("napari_ini3d.kernels").joinpath("cuda")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    parts = [file.read_text("utf-8") for file in files if file.name.endswith(".cu")]
    include = f'#include "{_COMMON}"\n'
    common = folder.joinpath(_COMMON).read_text("utf-8").replace("#pragma once\n", "")
    return common + "".join(part.replace(include, "") for part in parts)


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
        self._launch = launch
        self._threads = threads
        self._deterministic = deterministic

    def project(self, map_ft: Array, matrices: Array, kx: Array, ky: Array, out: Array) -> None:
        """Project a map: central sections by trilinear interpolation."""
        _check_output(out, np.complex64)
        arguments = (
            self._readable(map_ft, np.complex64),
            np.int32(map_ft.shape[0] // 2),
            self._readable(matrices, np.float32),
            self._readable(kx, np.float32),
            self._readable(ky, np.float32),
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
        """Backproject slices: add them to a half cube, the transpose of `project`."""
        _check_output(map_numerator, np.complex64)
        _check_output(map_denominator, np.float32)
        if not numerator.size:
            return
        slices = (
            self._readable(numerator, np.complex64),
            self._readable(denominator, np.float32),
            self._readable(matrices, np.float32),
            self._readable(kx, np.float32),
            self._readable(ky, np.float32),
            np.int32(map_numerator.shape[0] // 2),
            np.int64(numerator.shape[0]),
            np.int64(numerator.shape[1]),
        )
        if self._deterministic:
            self._backproject_fixed(slices, map_numerator, map_denominator)
        else:
            arguments = (*slices, map_numerator, map_denominator)
            self._run("backproject_float", self._blocks(numerator.size), arguments)

    def _backproject_fixed(
        self, slices: tuple[Any, ...], map_numerator: Array, map_denominator: Array
    ) -> None:
        """Backproject slices as 64-bit integers, and add the sums to the map."""
        xp, numerator, denominator = self._xp, slices[0], slices[1]  # (R, P) each
        spare = _HEADROOM - int(np.ceil(np.log2(_MOST_SHARE * len(numerator))))
        largest = xp.stack([abs(numerator.view(np.float32)).max(), abs(denominator).max()])
        # powers of two: scaling changes no bit, and R slices cannot overflow 64 bits
        scales = _powers_of_two(xp, largest, spare)
        values = xp.zeros((*map_numerator.shape, 2), np.uint64)
        weights = xp.zeros(map_denominator.shape, np.uint64)
        arguments = (*slices, scales, values, weights)
        self._run("backproject_fixed", self._blocks(numerator.size), arguments)
        parts = map_numerator.view(np.float32).reshape(values.shape)  # (cube, 2)
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
        _check_output(out_numerator, np.complex64)
        _check_output(out_denominator, np.float32)
        arguments = (
            self._readable(numerator, np.complex64),
            self._readable(denominator, np.float32),
            self._readable(operators, np.float32),
            np.int32(operators.shape[0]),
            np.int32(numerator.shape[0] // 2),
            out_numerator,
            out_denominator,
        )
        self._run("symmetrise", self._blocks(numerator.size), arguments)

    def dense_posterior(self, scores: Array, norm: Array, log_prior: Array, summary: Array) -> None:
        """Convert scores to posterior weights, in place."""
        _check_output(scores, np.float32)
        _check_output(summary, np.float64)
        arguments = (
            scores,
            self._readable(norm, np.float32),
            self._readable(log_prior, np.float32),
            *(np.int32(n) for n in (scores.shape[1], scores.shape[2], log_prior.shape[2])),
            summary,
        )
        self._run("dense_posterior", scores.shape[0], arguments)  # a block for each image

    def significant_rotations(
        self, weights: Array, share: float, most: int, rotation: Array, shift: Array, count: Array
    ) -> None:
        """Find the rotations of each image that have significant posterior weight."""
        for output in (rotation, shift, count):
            _check_output(output, np.int32)
        n_images, n_shifts, n_rotations = weights.shape
        arguments = (
            self._readable(weights, np.float32),
            np.int32(n_shifts),
            np.int32(n_rotations),
            np.float32(share),
            np.int32(most),
            self._xp.empty((n_images, n_rotations), np.float32),  # work space: marginals
            self._xp.empty((n_images, n_rotations), np.int32),  # and their candidates
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
        """Multiply images by the complex conjugate of the slices they are compared with."""
        _check_output(out, np.complex64)
        _check_output(norm, np.float32)
        arguments = (
            self._readable(slices, np.complex64),
            *(self._readable(row, np.int32) for row in (row_slice, row_image, row_shift)),
            self._readable(images, np.complex64),
            self._readable(shift_phase, np.complex64),
            self._readable(ctf2, np.float32),
            np.int64(out.shape[1]),
            out,
            norm,
        )
        self._run("conjugate_products", out.shape[0], arguments)  # a block for each row

    def fine_posterior(
        self, scores: Array, first: Array, share: float, row_max: Array, summary: Array
    ) -> None:
        """Convert the scores of the fine poses to posterior weights, in place."""
        _check_output(scores, np.float32)
        _check_output(row_max, np.float32)
        _check_output(summary, np.float64)
        arguments = (
            scores,
            self._readable(first, np.int64),
            np.int32(scores.shape[1]),
            np.float32(share),
            row_max,
            summary,
        )
        self._run("fine_posterior", summary.shape[0], arguments)

    def shift_images(self, images: Array, by: Array, out: Array) -> None:
        """Shift images cyclically by whole pixels."""
        _check_output(out, np.float32)
        arguments = (
            self._readable(images, np.float32),
            self._readable(by, np.int32),
            np.int64(images.shape[0]),
            np.int32(images.shape[2]),
            out,
        )
        self._run("shift_images", self._blocks(out.size), arguments)

    def bincount_sum(self, group: Array, values: Array, out: Array) -> None:
        """Sum the values of each group."""
        _check_output(out, np.float64)
        arguments = (
            self._readable(group, np.int32),
            self._readable(values, np.float64),
            np.int64(values.size),
            out,
        )
        self._run("bincount_sum", out.shape[0], arguments)  # a block for each group

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Multiply two matrices."""
        return self._product(a, b, out)

    def _run(self, name: str, blocks: int, arguments: tuple[Any, ...]) -> None:
        if blocks:  # CUDA refuses an empty grid
            self._launch(name, blocks, arguments)

    def _blocks(self, threads: int) -> int:
        return -(-threads // self._threads)

    def _readable(self, array: Array, dtype: type) -> Array:
        """Return an input as the kernels expect it: contiguous and of the given type."""
        return self._xp.ascontiguousarray(array, dtype=dtype)


def _check_output(array: Array, dtype: type) -> None:
    """Raise TypeError unless an output is contiguous and of the type that the kernels write."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        order = "contiguous" if array.flags.c_contiguous else "strided"
        raise TypeError(
            f"an output array is {order} {array.dtype}; "
            f"the kernels write contiguous {np.dtype(dtype)}"
        )


def scaled_product(xp: Any, product: Callable[..., Array]) -> Callable[..., Array]:
    """Wrap a matrix product so that its factors use the range of half precision.

    Half precision has an exponent of only five bits: noise weights and power spectra are far
    outside its range. Each factor is multiplied by a power of two first, and the product is
    divided by both.

    Parameters
    ----------
    xp : module
    product : callable
        ``product(a, b, out)``, the product of two matrices.

    Returns
    -------
    callable
        ``matmul(a, b, out=None)``.
    """

    def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
        if not (a.size and b.size):  # an empty array has no maximum
            return product(a, b, out)
        scales = [_powers_of_two(xp, abs(factor).max(), _HALF_BITS) for factor in (a, b)]
        found = product(a * scales[0], b * scales[1], out)
        found /= scales[0]
        found /= scales[1]
        return found

    return matmul


def _powers_of_two(xp: Any, largest: Array, bits: int) -> Array:
    """Return the largest powers of two, float32, that keep ``largest`` below 2^bits."""
    exponent = bits - xp.ceil(xp.log2(xp.maximum(largest, np.float32(1e-30))))
    return xp.exp2(xp.minimum(exponent, np.float32(126)))  # the largest in float32
