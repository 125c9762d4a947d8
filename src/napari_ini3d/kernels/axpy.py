"""Add a few neighbouring values in compiled loops: by vector instructions, or else one by one."""

from __future__ import annotations

import logging
from typing import Any

import numba
import numpy as np

from napari_ini3d.kernels.numba_jit import jit

logger = logging.getLogger(__name__)


def choose_axpy() -> Any:
    """Return `simd_axpy`, or `plain_axpy` if that does not work with the installed Numba.

    ``axpy(array, place, factor, values)`` is for compiled loops. It adds ``factor * values``, a
    short tuple of float32, to the elements of a contiguous float32 array from `place` (uint32) on.
    """
    try:
        from napari_ini3d.kernels.simd_axpy import add_pair, simd_axpy

        found = np.ones(4, np.float32)
        add_pair(found, np.float32(3))
        if found.tolist() != [1, 4, 7, 1]:
            raise ValueError(f"3 * (1, 2) added to (1, 1) is {found[1:3].tolist()}")
    except Exception as error:  # internals of Numba that have changed can raise anything
        logger.warning(
            "backprojection on the CPU is slower than usual: its vector instructions do not "
            "work with numba %s (%s: %s); maps are the same, install another numba for speed",
            numba.__version__,
            type(error).__name__,
            str(error).strip().split("\n")[0],
        )
        return plain_axpy
    return simd_axpy


@jit
def plain_axpy(array: Any, place: Any, factor: Any, values: Any) -> None:
    """Add ``factor * values`` to the elements from `place` on, one by one."""
    for i in range(len(values)):
        array[place + np.uint32(i)] += factor * values[i]
