"""Rows of a STAR table as columns of numbers and text, parsed by `starfile`.

`starfile` reads whole files, and only such as its own writer makes. A table is therefore copied,
some megabytes at a time, to a file of its own, in which values that starfile would take for
something else are written differently: those with quotation marks or a #, those that are not ASCII,
``nan`` in a column of text, and those at the start of a row that look like a keyword. So a table of
a million rows also needs little more memory than its columns.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.files import temporary_folder
from napari_ini3d.io.star.blocks import (
    VALUE,
    LoopBlock,
    count_values,
    is_row,
    open_rows,
    unquote,
)
from napari_ini3d.io.star.columns import Column
from napari_ini3d.io.star.escapes import escape, unescape

if TYPE_CHECKING:
    import pandas as pd

_PART_BYTES = 2**22
_PLAIN = bytes(sorted(set(range(0x20, 0x7F)) - set(b"\"'#"))) + b"\t\r\n"
_PLAIN_WORD = bytes(set(_PLAIN) - set(b" \t\r\n"))
_WORDS = (b"nan", b"NaN", b"NAN", b"<NA>", b"data_", b"rue", b"RUE", b"alse", b"ALSE")
_MISREAD = re.compile(
    rb"^[ \t]*data_|(?<!\S)(?:[-+]?(?:nan|NaN|NAN)|<NA>|[Tt]rue|TRUE|[Ff]alse|FALSE)(?!\S)", re.M
)
_GAP = re.compile(rb"\n[ \t\r]*\n")
_MISSING = re.compile(rb"[-+]?(?:nan|NaN|NAN)|<NA>")
_BOOLEAN = re.compile(rb"(?i:true|false)")
_NUMBER = re.compile(rb"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf)")
_INTEGER_AS_TEXT = re.compile(rb"[-+]?(?:0\d+|\d{21,})")  # leading zeros, or above 64 bits


def parse_rows(path: Path, block: LoopBlock) -> dict[str, Column]:
    """Return the columns of a table.

    A column of numbers is an array of integers or floats, in which ``nan`` and ``<NA>`` are NaN.
    A column is text (an array of objects) if its name ends in Name, or one of its values is no
    number or an integer with leading zeros: then all its values stay as they are in the file.

    Raises
    ------
    StarError
        If a row has another number of values than the table has columns.
    """
    text = _text_columns(path, block)
    try:
        parts = _parse_parts(path, block, text)
        mixed = _mixed_columns(parts, text)
        if mixed:  # a number that was parsed cannot be put back as it was written
            text |= mixed
            parts = _parse_parts(path, block, text)
    except ValueError as error:  # also pandas' ParserError
        with open_rows(path, block) as stream:
            _check_row_lengths(path, block, stream)
        raise StarError(
            f"{path}: data_{block.name} cannot be read ({error}); expected {len(block.columns)} "
            "values in every row; export the particles again"
        ) from error
    except OSError as error:
        raise StarError(
            f"{path}: cannot be read ({error.strerror}: {error.filename}); expected the file, and "
            f"{_PART_BYTES // 2**20} MB of space in {tempfile.gettempdir()}; free some space, or "
            "set TMPDIR"
        ) from error
    return {name: _join([part[name] for part in parts]) for name in block.columns}


def _text_columns(path: Path, block: LoopBlock) -> set[str]:
    """Return the columns that are text by their name, or by the first row."""
    with open_rows(path, block) as rows:
        line = next((line for line in rows if is_row(line)), None)
    if line is None:
        raise StarError(
            f"{path}: data_{block.name} has labels, but no values; expected a row of "
            f"{len(block.columns)} values, and loop_ above the labels of a table; export the "
            "particles again"
        )
    _check_row_length(path, block, 1, count_values(line))
    values = dict(zip(block.columns, VALUE.findall(line), strict=True))
    return {name for name, value in values.items() if name.endswith("Name") or _is_text(value)}


def _is_text(value: bytes) -> bool:
    if _MISSING.fullmatch(value):
        return False
    return not _NUMBER.fullmatch(value) or bool(_INTEGER_AS_TEXT.fullmatch(value))


def _parse_parts(path: Path, block: LoopBlock, text: Collection[str]) -> list[dict[str, Column]]:
    import pandas as pd  # slow to import

    parts, n_rows = [], 0
    with (
        temporary_folder() as folder,
        open_rows(path, block) as rows,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # see `_mixed_columns`
        for number, part in enumerate(_parts(rows)):
            lines = _prepare(part, block.columns, text)
            frame = _parse_copy(folder / f"{number}.star", block.columns, lines, text)
            n_lines = lines.count(b"\n")
            if len(frame) != n_lines or _has_gaps(frame.iloc[:, -1]):
                _check_row_lengths(path, block, lines.splitlines(), n_rows)
            if len(frame) != n_lines:
                raise StarError(
                    f"{path}: data_{block.name} has {n_lines} lines after row {n_rows}, of which "
                    f"{len(frame)} were read; expected one row in each line; write the file again"
                )
            n_rows += n_lines
            parts.append(
                {
                    name: _as_column(frame.iloc[:, place], name in text)
                    for place, name in enumerate(block.columns)
                }
            )
    return parts


def _has_gaps(column: pd.Series) -> bool:
    """Return whether the last column has what pandas fills short rows with: NaN, or no text."""
    is_text = not isinstance(column.dtype, np.dtype) or column.dtype.kind == "O"
    return bool(column.isna().any() or (is_text and (column.astype(object) == "").any()))


def _parts(rows: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a table, which end with a line feed, in parts of some megabytes."""
    while part := rows.read(_PART_BYTES):
        part += rows.readline()
        yield part if part.endswith(b"\n") else part + b"\n"


def _parse_copy(
    copy: Path, columns: Sequence[str], lines: bytes, text: Collection[str]
) -> pd.DataFrame:
    """Write lines with a label for each column to a file, which is removed, and parse it.

    The labels are numbered (column0, …), since starfile would split those with control characters.
    """
    import starfile

    labels = [f"column{place}" for place in range(len(columns))]
    head = "data_\n\nloop_\n" + "".join(f"_{label}\n" for label in labels)
    copy.write_bytes(head.encode() + lines)
    in_text = [label for label, name in zip(labels, columns, strict=True) if name in text]
    frame: pd.DataFrame = starfile.read(copy, parse_as_string=in_text)
    copy.unlink()
    return frame


def _prepare(part: bytes, columns: Sequence[str], text: Collection[str]) -> bytes:
    """Return lines in which nothing is left that starfile would misread."""
    begins_with_row = not part.lstrip(b" \t").startswith((b"\r", b"\n", b"_"))
    if begins_with_row and not _GAP.search(part) and _is_plain(part):
        return part
    is_text = [name in text for name in columns]
    lines = (line for line in part.split(b"\n") if is_row(line))
    return b"".join(
        (line if _is_plain(line) and not line.lstrip().startswith(b"_") else _quoted(line, is_text))
        + b"\n"
        for line in lines
    )


def _is_plain(line: bytes) -> bool:
    if line.translate(None, _PLAIN):
        return False
    return not (any(word in line for word in _WORDS) and _MISREAD.search(line))


def _quoted(line: bytes, is_text: Sequence[bool]) -> bytes:
    """Return a row in which each byte of text that starfile would misread is one character."""
    values = [unquote(value) for value in _values(line)]
    cells = []
    for place, value in enumerate(values):
        in_text = place >= len(is_text) or is_text[place]
        if _MISSING.fullmatch(value) and not in_text:
            cells.append("nan")
            continue
        is_word = _MISSING.fullmatch(value) or _BOOLEAN.fullmatch(value)
        is_misread = is_word or value.startswith((b"data_", b"_"))
        cells.append(escape(value, b"" if is_misread else _PLAIN_WORD))
    return " ".join(cells).encode()


def _values(line: bytes) -> list[bytes]:
    """Return the values of a row, with their quotation marks.

    Raises
    ------
    ValueError
        If a double quotation mark is not closed; single ones begin names such as ``'t_Hooft``.
    """
    values: list[bytes] = VALUE.findall(line)
    for value in values:
        if value.startswith(b'"') and (len(value) < 2 or not value.endswith(b'"')):
            shown = value.decode(errors="replace")
            raise ValueError(f"a quotation mark that is not closed, at {shown}")
    return values


def _as_column(series: pd.Series, is_text: bool) -> Column:
    if not is_text and isinstance(series.dtype, np.dtype) and series.dtype.kind in "iuf":
        return series.to_numpy(copy=True)  # pandas' own is read-only, and part of the table
    known: dict[object, object] = {}  # equal values are one object
    cells = (known.setdefault(cell, cell) for cell in series.to_numpy(dtype=object))
    column = np.empty(len(series), dtype=object)
    column[:] = [_restore(cell) if isinstance(cell, str) else cell for cell in cells]
    return column


def _restore(text: str) -> str:
    if text.isascii():
        return text
    return unescape(text).decode("utf-8", "surrogateescape")


def _mixed_columns(parts: Sequence[dict[str, Column]], text: Collection[str]) -> set[str]:
    """Return the columns in which numbers and other words were found."""
    return {
        name
        for part in parts
        for name, column in part.items()
        if column.dtype.kind == "O" and name not in text
    }


def _join(parts: Sequence[Column]) -> Column:
    """Return the parts of a column as one; integers of 64 bits stay exact."""
    kinds = {part.dtype.kind for part in parts}
    if kinds == {"i", "u"} and all(part.min() >= 0 for part in parts):
        parts = [part.astype(np.uint64) for part in parts]
    joined: AnyArray = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return joined


def _check_row_lengths(
    path: Path, block: LoopBlock, lines: Iterable[bytes], n_before: int = 0
) -> None:
    """Raise `StarError` for the first row with another number of values than of columns."""
    for row, line in enumerate((line for line in lines if is_row(line)), n_before + 1):
        _check_row_length(path, block, row, count_values(line))


def _check_row_length(path: Path, block: LoopBlock, row: int, n_values: int) -> None:
    if n_values != len(block.columns):
        raise StarError(
            f"{path}: data_{block.name} row {row} has {n_values} values; expected "
            f"{len(block.columns)} values; the file may be truncated: export the particles again"
        )
