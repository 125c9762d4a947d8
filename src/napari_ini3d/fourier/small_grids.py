"""Arrays of small grids, kept for the next call: a run needs the same in every iteration."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from napari_ini3d._types import AnyArray

Found = TypeVar("Found", bound=AnyArray)

_LARGEST = 128**3  # samples of an array that is kept


def kept_if_small(function: Callable[..., Found]) -> Callable[..., Found]:
    """Keep the last few arrays that a function has returned, read-only, unless they are large.

    Parameters
    ----------
    function : callable
        From hashable arguments without keywords, the first of which is a box size n, to an array
        of at most n³ samples.
    """

    @lru_cache(maxsize=4)
    def kept(*arguments: Any) -> Found:
        found = function(*arguments)
        found.flags.writeable = False  # others have the same array
        return found

    @wraps(function)
    def kept_or_made(box_size: int, *others: Any) -> Found:
        small = box_size**3 <= _LARGEST
        return kept(box_size, *others) if small else function(box_size, *others)

    return kept_or_made
