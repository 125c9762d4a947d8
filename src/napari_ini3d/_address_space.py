"""Limit of the address space (``ulimit -v``): what fits into it, before libraries are loaded.

Under such a limit OpenBLAS, which takes address space for every thread when NumPy is imported, ends
the process without a message, and each thread of our own reserves 64 MB in the C library.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from napari_ini3d.errors import AddressSpaceError

LEAST_BYTES = 700_000_000
"""Address space that the libraries need before anything is computed, bytes."""

LEAST_FOR_RUN = 1_100_000_000
"""Address space that the smallest run needs, bytes; with less, OpenBLAS ends the process."""

_FOR_ONE_THREAD = 1_500_000_000  # of a small run
_PER_THREAD = 100_000_000  # buffer of BLAS, and the stack
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_M_ARENA_MAX = -8  # option of mallopt in glibc


def address_space_limit() -> int | None:
    """Return the limit of the address space of this process, bytes; None without one."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def fit_into_address_space() -> None:
    """Load libraries with so few threads that they fit; to be called before NumPy is imported.

    Raises
    ------
    AddressSpaceError
        If not even one thread fits.
    """
    limit = address_space_limit()
    if limit is None:
        return
    _check(limit, LEAST_BYTES, "to load the libraries")
    cores = os.cpu_count() or 1
    threads = max(1, (limit - _FOR_ONE_THREAD) // _PER_THREAD)
    if threads >= cores:
        return
    for name in _THREADS:
        os.environ.setdefault(name, str(threads))
    with suppress(OSError, AttributeError):  # the C library is not glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def check_address_space_for_run() -> None:
    """Raise `AddressSpaceError` if no run fits into the limit of the address space."""
    limit = address_space_limit()
    if limit is not None:
        _check(limit, LEAST_FOR_RUN, "for a run")


def _check(limit: int, needed: int, purpose: str) -> None:
    if limit < needed:
        raise AddressSpaceError(
            f"the address space is limited to {limit / 1e6:.0f} MB (ulimit -v); expected at least "
            f"{needed / 1e6:.0f} MB {purpose}; raise the limit"
        )
