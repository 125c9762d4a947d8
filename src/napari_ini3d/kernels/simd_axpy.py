"""Add a few neighbouring values at once in compiled loops, by vector instructions.

Numba lets LLVM vectorise loads, additions and stores of neighbours in simple loops only, not in
loops that scatter: here the vector instructions are generated through Numba's internals, which can
change with any release (see `axpy.choose_axpy`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from napari_ini3d._types import Float32
from napari_ini3d.kernels.numba_jit import jit


def _simd_axpy(_: Any, array: Any, place: Any, factor: Any, values: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        unpack: Any = cgutils.unpack_tuple
        lanes = unpack(builder, arguments[3])
        kind = ir.VectorType(ir.FloatType(), len(lanes))  # <n x float>
        vector = factors = ir.Constant(kind, ir.Undefined)
        for i, lane in enumerate(lanes):
            number = ir.Constant(ir.IntType(32), i)
            vector = builder.insert_element(vector, lane, number)
            factors = builder.insert_element(factors, arguments[2], number)
        first = builder.gep(data, [builder.zext(arguments[1], ir.IntType(64))])
        # align=4: the neighbours begin anywhere, so that loads must not assume 16 bytes
        pointer = builder.bitcast(first, kind.as_pointer())
        product = builder.fmul(vector, factors, flags=("fast",))
        total = builder.fadd(builder.load(pointer, align=4), product, flags=("fast",))
        builder.store(total, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, place, factor, values), generate


simd_axpy: Any = intrinsic(_simd_axpy)
"""``simd_axpy(array, place, factor, values)``; see `axpy.choose_axpy`."""


@jit
def add_pair(array: Float32, factor: np.float32) -> None:
    """Add ``factor * (1, 2)`` to the second and third element, to test `simd_axpy`."""
    simd_axpy(array, np.uint32(1), factor, (np.float32(1), np.float32(2)))
