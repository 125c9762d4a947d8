"""How loops are compiled by Numba, in one place for all of them."""

from __future__ import annotations

import logging
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

logger = logging.getLogger(__name__)


def jit(function: Any) -> Any:
    """Compile at first use, and keep the result on disk where there is a place for it.

    The loops hold no lock of Python's, and take numbers to be finite.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError as error:  # neither the package nor the home can be written
        logger.info("compiled kernels are not kept: %s", error)
        return numba.njit(**options)(function)


def _simd_axpy(_: Any, array: Any, place: Any, factor: Any, values: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        unpack: Any = cgutils.unpack_tuple
        lanes = unpack(builder, given[3])
        kind = ir.VectorType(ir.FloatType(), len(lanes))
        vector = factors = ir.Constant(kind, ir.Undefined)
        for i, lane in enumerate(lanes):
            number = ir.Constant(ir.IntType(32), i)
            vector = builder.insert_element(vector, lane, number)
            factors = builder.insert_element(factors, given[2], number)
        first = builder.gep(data, [builder.zext(given[1], ir.IntType(64))])
        pointer = builder.bitcast(first, kind.as_pointer())
        product = builder.fmul(vector, factors, flags=("fast",))
        total = builder.fadd(builder.load(pointer, align=4), product, flags=("fast",))
        builder.store(total, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, place, factor, values), generate


simd_axpy: Any = intrinsic(_simd_axpy)
"""``simd_axpy(array, place, factor, values)``, for compiled loops that scatter.

Adds ``factor * values``, of which there are a few in a tuple, to the elements of a contiguous
float32 array that begin at `place` (uint32), all at once: Numba lets LLVM turn loads, sums and
stores of neighbours into vector instructions in simple loops only, so that they are spelt out here.
"""
