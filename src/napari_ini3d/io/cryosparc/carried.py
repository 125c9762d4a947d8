"""Values that one format has no place for, carried in the other so that nothing is lost.

A field of cryoSPARC, such as `ctf/tilt_A`, becomes columns of a STAR file: `cs/ctf/tilt_A/0` and
`cs/ctf/tilt_A/1`. A column of RELION becomes a field of a dataset: `relion/rlnGroupName`, or
`relion_optics/rlnOpticsGroupName` if it is of the optics table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from napari_ini3d._types import AnyArray, Float64, FloatArray
from napari_ini3d.io.cryosparc.dataset import UID, Fields
from napari_ini3d.io.star.columns import Column, Columns

RELION, RELION_OPTICS = "relion", "relion_optics"

_CS = "cs/"
UID_COLUMN = f"{_CS}{UID}"
_LABEL = re.compile(r"cs/([^/]+(?:/[^/]+)?)((?:/\d+)*)")
_TEXT = ("path", "type")
_UINT32_END = 2**32


def short_decimals(values: FloatArray) -> Float64:
    """Return float64 that round to the same float32: with six decimals where these suffice.

    So 1.345 is written, and not 1.34500002861, which is the float32 nearest to it.
    """
    exact: Float64 = values.astype(np.float64)
    short = np.round(exact, 6)
    return np.where(short.astype(np.float32) == values.astype(np.float32), short, exact)


def decode(column: AnyArray) -> Column:
    """Return bytes as an array of strings (objects), in which equal strings are one object."""
    known: dict[bytes, str] = {}
    cells = [
        known.setdefault(cell, cell.decode("utf-8", errors="surrogateescape"))
        for cell in column.tolist()
    ]
    return np.array(cells, dtype=object)


def encode(column: Column) -> AnyArray:
    """Return strings as bytes."""
    known: dict[str, bytes] = {}
    cells = [
        known.setdefault(str(cell), str(cell).encode(errors="surrogateescape"))
        for cell in column.tolist()
    ]
    return np.array(cells, dtype=np.bytes_)


def carry_fields(fields: Fields, names: Iterable[str]) -> dict[str, Column]:
    """Return fields of a dataset as columns of a STAR file, one for each component."""
    columns: dict[str, Column] = {}
    for name in names:
        values = fields[name]
        components = values.reshape(len(values), -1)  # (N, number of components)
        for i, index in enumerate(np.ndindex(values.shape[1:])):
            label = "/".join([f"{_CS}{name}", *map(str, index)])
            columns[label] = _as_column(components[:, i])
    return columns


def _as_column(values: AnyArray) -> Column:
    if values.dtype.kind == "S":
        return decode(values)
    if values.dtype == np.float32:
        return short_decimals(values)
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def restore_fields(columns: Columns) -> dict[str, AnyArray]:
    """Return the fields that `carry_fields` has written to a STAR file."""
    parts: dict[str, dict[tuple[int, ...], AnyArray]] = {}
    for label, column in columns.items():
        match = _LABEL.fullmatch(label)
        if match:
            index = tuple(int(i) for i in match[2].split("/")[1:])
            parts.setdefault(match[1], {})[index] = _as_field(match[1], column)
    return {name: _join_components(found) for name, found in parts.items()}


def _join_components(found: Mapping[tuple[int, ...], AnyArray]) -> AnyArray:
    if () in found:
        return found[()]
    shape = tuple(int(n) + 1 for n in np.max(list(found), axis=0))
    n = len(next(iter(found.values())))
    values: AnyArray = np.zeros((*shape, n), dtype=np.result_type(*found.values()))
    for index, column in found.items():
        values[index] = column
    return np.moveaxis(values, -1, 0)


def _as_field(name: str, column: Column) -> AnyArray:
    """Return a column in the type that cryoSPARC uses for such a field."""
    if name.endswith(_TEXT) or column.dtype.kind == "O":
        return encode(column)
    if column.dtype.kind == "f":
        return column.astype(np.float32)
    if name.endswith((UID, "_sig")):
        return column.astype(np.uint64)
    is_small = not len(column) or (column.min() >= 0 and column.max() < _UINT32_END)
    return column.astype(np.uint32) if is_small else column


def carry_columns(columns: Columns, names: Iterable[str], result: str) -> dict[str, AnyArray]:
    """Return columns of a STAR file as fields of a dataset, below the name of a result."""
    fields = {}
    for name in names:
        column = columns[name]
        fields[f"{result}/{name}"] = encode(column) if column.dtype.kind == "O" else column
    return fields


def restore_columns(fields: Fields, result: str) -> dict[str, Column]:
    """Return the columns that `carry_columns` has written below the name of a result."""
    start = f"{result}/"
    return {
        name.removeprefix(start): decode(values) if values.dtype.kind == "S" else values
        for name, values in fields.items()
        if name.startswith(start)
    }
