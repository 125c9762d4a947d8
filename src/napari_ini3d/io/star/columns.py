"""Columns of a STAR table, and validated numbers from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_ini3d._types import AnyArray, Float64, Int64
from napari_ini3d.errors import StarError

_LARGEST_INTEGER = 2**31 - 1

Column = AnyArray
Columns = Mapping[str, Column]
"""Column name -> (N,) array: integers, floats, or objects (strings)."""


def read_numbers(
    path: Path,
    columns: Columns,
    name: str,
    *,
    table: str = "data_particles",
    allow_nan: bool = False,
) -> Float64:
    """Return a column as (N,) float64, finite unless `allow_nan`; text becomes NaN then.

    Raises
    ------
    StarError
        If the column is missing, or a value is not a finite number and `allow_nan` is not given.
    """
    if name not in columns:
        raise StarError(
            f"{path}: {table} has no {name}; add the column or export the particles again"
        )
    column = columns[name]
    values = np.asarray(_to_floats(column), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size and not allow_nan:
        raise StarError.at_row(
            f"{path}: {table} has {str(column[bad[0]])!r} as {name} in ",
            int(bad[0]),
            f" ({bad.size} such rows); expected a number; correct or remove the row",
        )
    return values


def read_integers(
    path: Path, columns: Columns, name: str, *, table: str = "data_particles"
) -> Int64:
    """Return a column of whole numbers, such as those of groups and classes, as (N,) int64.

    Raises
    ------
    StarError
        If the column is missing, or a value is not a whole number of at most 32 bits.
    """
    values = read_numbers(path, columns, name, table=table)
    bad = np.flatnonzero((values != np.rint(values)) | (np.abs(values) > _LARGEST_INTEGER))
    if bad.size:
        raise StarError.at_row(
            f"{path}: {table} has {values[bad[0]]:.15g} as {name} in ",
            int(bad[0]),
            f" ({bad.size} such rows); expected a whole number; correct or remove the row",
        )
    return values.astype(np.int64)


def _to_floats(column: Column) -> Float64 | list[float]:
    if column.dtype.kind != "O":
        return column.astype(np.float64)
    return [_to_float(cell) for cell in column]


def _to_float(cell: object) -> float:
    text = str(cell)
    if "_" in text or not text.isascii():  # numbers for Python only
        return float("nan")
    try:
        return float(text)
    except ValueError:
        return float("nan")


def distinct_rows(columns: Sequence[Column]) -> tuple[Int64, Int64]:
    """Return the first row of each set of equal rows, sorted by the values, and each row's set.

    Parameters
    ----------
    columns : sequence of (N,) array
    """
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    return first.astype(np.int64), index.astype(np.int64)
