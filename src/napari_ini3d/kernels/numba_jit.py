"""Compile loops by Numba, all with the same options."""

from __future__ import annotations

import logging
from typing import Any

import numba

logger = logging.getLogger(__name__)


_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}


def jit(function: Any) -> Any:
    """Compile a loop at first use, and cache the result on disk if possible.

    Compiled loops release the GIL, and assume finite numbers.
    """
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:  # neither the package nor the home folder is writable
        logger.info("compiled kernels are not cached: %s", error)
        return numba.njit(**_OPTIONS)(function)


def jit_inline(function: Any) -> Any:
    """Compile a function into each of the loops that call it.

    Of a function that is compiled by itself there is a second version in its caller. Which of the
    two is called depends on whether the caller was loaded from the cache, and they differ in the
    last bits: the first process that uses a loop would give another result than later ones.
    """
    return numba.njit(inline="always", **_OPTIONS)(function)
