"""Compile loops by Numba, all with the same options."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba

logger = logging.getLogger(__name__)


_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}


def jit(function: Any) -> Any:
    """Compile a loop at first use, and cache the result on disk if possible.

    Compiled loops release the GIL, and assume finite numbers.
    """
    try:
        return _survive_damaged_cache(numba.njit(cache=True, **_OPTIONS)(function))
    except RuntimeError as error:  # neither the package nor the home folder is writable
        logger.info("compiled kernels are not cached: %s", error)
        return numba.njit(**_OPTIONS)(function)


def _survive_damaged_cache(dispatcher: Any) -> Any:
    """Compile a loop again where its cached version is truncated, as by a full disk or a kill.

    Numba has no public way to do so; where its internals differ, nothing is changed.
    """
    cache: Any = getattr(dispatcher, "_cache", None)
    index = getattr(getattr(cache, "_cache_file", None), "_index_path", None)
    load = getattr(cache, "load_overload", None)
    if load is None or index is None:
        return dispatcher

    def load_or_compile(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception as error:  # of any kind: the file has any content
            logger.warning(
                "the compiled kernels %s are damaged (%r); compiling again", index, error
            )
            _rename_damaged(Path(index))
            return None

    cache.load_overload = load_or_compile
    return dispatcher


def _rename_damaged(index: Path) -> None:
    with suppress(OSError):
        index.replace(index.with_name(f"{index.name}.damaged"))


def jit_inline(function: Any) -> Any:
    """Compile a function into each of the loops that call it.

    Of a function that is compiled by itself there is a second version in its caller. Which of the
    two is called depends on whether the caller was loaded from the cache, and they differ in the
    last bits: the first process that uses a loop would give another result than later ones.
    """
    return numba.njit(inline="always", **_OPTIONS)(function)
