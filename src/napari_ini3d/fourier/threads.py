"""Run a function over many items in a limited number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from napari_ini3d.kernels import available_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int = 0
) -> list[Result]:
    """Return the results of a function for each item, in the order of the items.

    Parameters
    ----------
    function : callable
        Releases the GIL for most of its time, as compiled loops and transforms do.
    items : iterable
    threads : int
        0 means as many as the process may use.
    """
    count = available_threads(threads)
    if count == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, items))
