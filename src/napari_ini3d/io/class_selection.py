"""Selection of particles by their class, as after a 2D classification."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray, IntArray
from napari_ini3d.errors import InputError, SettingsError

logger = logging.getLogger(__name__)

_CLASSES_SHOWN = 20
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_LARGEST_CLASS = 100_000


def parse_classes(text: str) -> tuple[int, ...]:
    """Return the class numbers of a list such as ``1,4,7-9``, ascending.

    Raises
    ------
    SettingsError
        If it is no such list.
    """
    numbers: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        low = int(match[1]) if match else 0
        high = int(match[2] or low) if match else -1
        if not low <= high <= _LARGEST_CLASS:
            raise SettingsError(
                f"the classes are {text!r}; expected numbers and ranges, such as 1,4,7-9"
            )
        numbers.update(range(low, high + 1))
    return tuple(sorted(numbers))


@contextmanager
def rows_of_file(rows: IntArray | None) -> Iterator[None]:
    """Let errors name rows of the file, where only some of its rows are read.

    Parameters
    ----------
    rows : (N,) int or None
        Row of the file, from 0, of each row that is read; None if all are read.
    """
    try:
        yield
    except InputError as error:
        if rows is None or error.in_row is None:
            raise
        before, row, after = error.in_row
        raise type(error).at_row(before, int(rows[row]), after) from error


def select_classes(
    path: Path, numbers: IntArray, wanted: Sequence[int], kind: type[InputError]
) -> BoolArray:
    """Return which particles (N,) are in one of the wanted classes.

    Parameters
    ----------
    path : Path
        File of the particles, for messages.
    numbers : (N,) int
        Class of each particle, numbered as in the file.
    wanted : sequence of int
    kind : type
        Error to raise.

    Raises
    ------
    InputError
        Of the type `kind`, if a wanted class has no particles.
    """
    known, counts = np.unique(numbers, return_counts=True)
    empty = sorted(set(wanted) - set(known.tolist()))
    if empty:
        raise kind(
            f"{path}: no particles in class {', '.join(map(str, empty))}; the classes with "
            f"particles are {_list_classes(known, counts)}; choose among them (--classes-2d)"
        )
    chosen = np.isin(numbers, list(wanted))
    logger.info(
        "%s: %d of %d particles are in the classes %s",
        path,
        int(np.count_nonzero(chosen)),
        len(numbers),
        ", ".join(map(str, sorted(set(wanted)))),
    )
    return chosen


def _list_classes(known: IntArray, counts: IntArray) -> str:
    """Return the classes and their sizes, the largest first."""
    order = np.argsort(-counts, kind="stable")[:_CLASSES_SHOWN]
    shown = ", ".join(f"{known[i]} ({counts[i]} particles)" for i in order)
    return shown + (", ..." if len(known) > _CLASSES_SHOWN else "")
