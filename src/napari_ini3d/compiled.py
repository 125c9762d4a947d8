"""How loops are compiled by Numba, in one place for all of them."""

from __future__ import annotations

import logging
from typing import Any

import numba

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
