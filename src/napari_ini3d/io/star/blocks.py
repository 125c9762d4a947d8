"""STAR format: positions of the blocks in a file, and formatting of tables."""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from napari_ini3d.errors import StarError
from napari_ini3d.io.files import atomic_path, read_failure
from napari_ini3d.io.star.columns import Columns

_BLOCK_START = re.compile(rb"^data_(\S*)", re.MULTILINE)
_LOOP_END = re.compile(rb"\n(?=[ \t\r]*(?:\n|\Z)|data_|loop_|#)")
VALUE = re.compile(rb'"[^"]*"|\S+')
_ROWS_PER_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class LoopBlock:
    """Position and columns of a loop table in a STAR file.

    Attributes
    ----------
    name : str
        Name of the block after ``data_``; may be empty.
    columns : tuple of str
        Without the leading underscore.
    start, end : int
        Byte range of the rows.
    """

    name: str
    columns: tuple[str, ...]
    start: int
    end: int


class _ByteRange(io.RawIOBase):
    def __init__(self, path: Path, start: int, end: int) -> None:
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._file.seek(start)
        self._left = end - start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_byte_range(path: Path, start: int, end: int) -> BinaryIO:
    """Open the bytes `start` to `end` of a file as a readable stream."""
    return cast(BinaryIO, io.BufferedReader(_ByteRange(path, start, end), 2**20))


def count_values(line: bytes) -> int:
    """Return the number of values in a row; a quoted string is one value."""
    return len(VALUE.findall(line))


def find_loops(path: Path) -> list[LoopBlock]:
    """Find the loop tables of a STAR file, without reading their rows.

    As in RELION, a table ends at a blank line, a comment, or the next block.

    Raises
    ------
    StarError
        If the file is missing, unreadable, empty or has no ``data_`` block.
    """
    try:
        if path.stat().st_size == 0:
            raise StarError(f"{path}: the file is empty; expected data_optics and data_particles")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            found = _find_loops(text, path)
    except OSError as error:
        raise StarError(read_failure(path, error, "check the name")) from error
    return found


def _find_loops(text: mmap.mmap, path: Path) -> list[LoopBlock]:
    loops: list[LoopBlock] = []
    match = _BLOCK_START.search(text)
    if match is None:
        raise StarError(f"{path}: no 'data_' block; expected a STAR file of particles")
    while match is not None:
        loop = _read_loop_header(text, match.group(1).decode(errors="replace"), match.end())
        if loop is not None:
            loops.append(loop)
        match = _BLOCK_START.search(text, loop.end if loop else match.end())
    return loops


def _read_loop_header(text: mmap.mmap, name: str, position: int) -> LoopBlock | None:
    columns: list[str] = []
    in_loop = False
    for start, line in _lines(text, position):
        if line.startswith(b"loop_"):
            in_loop = True
        elif line.startswith(b"_") and in_loop:
            columns.append(line.split()[0][1:].decode(errors="replace"))
        elif line.startswith(b"data_"):
            return LoopBlock(name, tuple(columns), start, start) if columns else None
        elif columns:
            return LoopBlock(name, tuple(columns), start, _loop_end(text, line, start))
    return LoopBlock(name, tuple(columns), len(text), len(text)) if columns else None


def _loop_end(text: mmap.mmap, first_line: bytes, start: int) -> int:
    if not first_line or first_line.startswith(b"#"):
        return start
    match = _LOOP_END.search(text, start)
    return match.end() if match else len(text)


def _lines(text: mmap.mmap, position: int) -> Iterator[tuple[int, bytes]]:
    newline = text.find(b"\n", position)
    while 0 <= newline < len(text) - 1:
        start = newline + 1
        newline = text.find(b"\n", start)
        yield start, text[start : newline if newline >= 0 else len(text)].strip()


def write_tables(path: Path | str, tables: Mapping[str, Columns]) -> None:
    """Write a STAR file of loop tables, completely or not at all.

    Parameters
    ----------
    path : Path or str
    tables : mapping
        Columns of each table by the name of its block, as for `format_loop`.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for name, columns in tables.items():
            file.writelines(format_loop(name, columns))


def format_loop(name: str, columns: Columns) -> Iterator[str]:
    """Yield the text of a loop table in pieces.

    Floats are written with six decimals if these are exact, and with twelve significant digits
    otherwise. Strings are quoted if they are empty or contain a blank.

    Parameters
    ----------
    name : str
        Name of the block, without ``data_``.
    columns : mapping of str to (N,) array
        Integers, floats or objects (strings), by label without the leading underscore.
    """
    values = list(columns.values())
    header = "".join(f"_{column} #{i}\n" for i, column in enumerate(columns, 1))
    yield f"\n# version 30001\n\ndata_{name}\n\nloop_\n{header}"
    row_format = " ".join(_column_format(column) for column in values) + "\n"
    n_rows = len(values[0]) if values else 0
    for start in range(0, n_rows, _ROWS_PER_CHUNK):
        part = [_column_cells(column[start : start + _ROWS_PER_CHUNK]) for column in values]
        yield "".join([row_format % row for row in zip(*part, strict=True)])
    yield "\n"


def format_pairs(name: str, pairs: Sequence[tuple[str, str | int | float]]) -> str:
    """Return the text of a block of single values, one ``_label value`` per line."""
    lines = "".join(f"_{label:<40} {_format_value(value):>15}\n" for label, value in pairs)
    return f"\n# version 30001\n\ndata_{name}\n\n{lines}\n"


def _column_format(column: npt.NDArray[np.generic]) -> str:
    if column.dtype.kind == "O":
        return "%s"
    if column.dtype.kind in "iub":
        return "%8d"
    finite = column[np.isfinite(column)]
    return "%13.6f" if np.array_equal(np.round(finite, 6), finite) else "%19.12g"


def _column_cells(column: npt.NDArray[np.generic]) -> list[object]:
    cells: list[object] = column.tolist()
    if column.dtype.kind == "O":
        return [_quote(str(cell)) for cell in cells]
    return cells


def _quote(text: str) -> str:
    return f'"{text}"' if not text or " " in text or "\t" in text else text


def _format_value(value: str | int | float) -> str:
    if isinstance(value, str):
        return _quote(value)
    return str(value) if isinstance(value, int) else f"{value:.6f}"
