"""Compile loops by Numba, all with the same options."""

from __future__ import annotations

import logging
from typing import Any

import numba

logger = logging.getLogger(__name__)


def jit(function: Any) -> Any:
    """Compile a loop at first use, and cache the result on disk if possible.

    Compiled loops release the GIL, and assume finite numbers.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError as error:  # neither the package nor the home folder is writable
        logger.info("compiled kernels are not cached: %s", error)
        return numba.njit(**options)(function)
