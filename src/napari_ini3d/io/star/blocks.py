"""Positions of the tables in a STAR file, and the values of its lines."""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from napari_ini3d.errors import StarError
from napari_ini3d.io.files import read_failure

_BLOCK_LINE = rb"[ \t]*(?i:data_)(\S*)[ \t]*(?:#[^\n]*)?\r?$"
_BLOCK_START = re.compile(rb"^(?:\xef\xbb\xbf)?" + _BLOCK_LINE, re.MULTILINE)
_BLOCK = re.compile(_BLOCK_LINE)
_LOOP = re.compile(rb"(?i:loop_)\s*(?:#.*)?$")
_LABEL = re.compile(rb"_(\S+)\s*(?:#.*|\d+)?$")
_PAIR = re.compile(rb"_(\S+)\s+(\S.*)$")
_NOT_A_ROW = re.compile(rb"\n(?=[ \t]*(?:[\r\n#]|\Z|(?i:data_|loop_)))")
VALUE = re.compile(rb""""(?:[^"\n]|"")*"(?=\s|$)|'[^'\n]*'(?=\s|$)|\S+""")
_BEGINNING = 1024
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz"}


@dataclass(frozen=True, slots=True)
class LoopBlock:
    """Position and columns of a table in a STAR file.

    Attributes
    ----------
    name : str
        Name of the block after ``data_``; may be empty.
    columns : tuple of str
        Without the leading underscore.
    start, end : int
        Byte range of the rows, among which there may be blank lines and comments.
    values : bytes or None
        The only row of a block without ``loop_``, which has a label and a value in each line.
    """

    name: str
    columns: tuple[str, ...]
    start: int
    end: int
    values: bytes | None = None


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


def open_rows(path: Path, block: LoopBlock) -> BinaryIO:
    """Open the lines of a table: its rows, and the blank lines and comments among them."""
    if block.values is not None:
        return io.BytesIO(block.values + b"\n")
    return open_byte_range(path, block.start, block.end)


def is_row(line: bytes) -> bool:
    """Return whether a line within a table is a row: not blank, and not a comment."""
    text = line.strip()
    return bool(text) and not text.startswith(b"#")


def unquote(value: bytes) -> bytes:
    """Return a value without its quotation marks, if it has a pair of them."""
    mark = value[:1]
    if len(value) < 2 or mark not in (b"'", b'"') or not value.endswith(mark):
        return value
    return value[1:-1] if mark == b"'" else value[1:-1].replace(b'""', b'"')


def count_values(line: bytes) -> int:
    """Return the number of values in a row; a quoted string is one value."""
    return len(VALUE.findall(line))


def find_loops(path: Path) -> list[LoopBlock]:
    """Find the tables of a STAR file, without reading their rows.

    A table ends at the next block or loop, or at the end of the file: rows after a blank line or
    a comment belong to it, too. A block of labels and values is a table of one row.

    Raises
    ------
    StarError
        If the file is missing, unreadable, empty, compressed, not in UTF-8, or has no ``data_``
        block.
    """
    try:
        if path.stat().st_size == 0:
            raise StarError(f"{path}: the file is empty; expected data_optics and data_particles")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            _refuse_other_formats(path, text[:_BEGINNING])
            found = _find_loops(text, path)
    except OSError as error:
        raise StarError(read_failure(path, error, "check the name")) from error
    return found


def _refuse_other_formats(path: Path, beginning: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if beginning.startswith(magic):
            raise StarError(f"{path}: compressed with {name}; expected text; unpack it first")
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or _is_wide_text(beginning):
        raise StarError(
            f"{path}: the encoding is UTF-16 or UTF-32; expected UTF-8; convert the file, for "
            f"instance with iconv -f UTF-16 -t UTF-8 {path.name} > utf8.star"
        )
    if b"\0" in beginning:
        raise StarError(f"{path}: a binary file; expected the text of a STAR file of particles")
    if b"\r" in beginning and b"\n" not in beginning:
        raise StarError(
            f"{path}: the lines end with a carriage return only, as on old Macs; expected line "
            "feeds; convert the file, for instance with mac2unix"
        )


def _is_wide_text(beginning: bytes) -> bool:
    """Return whether at least every third byte is zero, and the others are ASCII."""
    others = beginning.replace(b"\0", b"")
    return 3 * len(others) <= 2 * len(beginning) and others.isascii() and b"data_" in others


def _find_loops(text: mmap.mmap, path: Path) -> list[LoopBlock]:
    loops: list[LoopBlock] = []
    match = _BLOCK_START.search(text)
    if match is None:
        advice = (
            f"; convert it first: ini3d convert {path.name} {path.stem}.star"
            if path.suffix == ".cs"
            else ""
        )
        raise StarError(f"{path}: no 'data_' block; expected a STAR file of particles{advice}")
    while match is not None:
        end = match.end()
        for table in _read_block(text, match.group(1).decode(errors="replace"), end):
            loops.append(table)
            end = max(end, table.end)
        match = _BLOCK_START.search(text, end)
    return loops


def _read_block(text: mmap.mmap, name: str, position: int) -> Iterator[LoopBlock]:
    """Yield the tables of a block: its single values, and its loops."""
    end = position
    loop_start: int | None = position
    while loop_start is not None:
        pairs: dict[str, bytes] = {}
        loop_start = None
        for start, line in _lines(text, end):
            if _LOOP.match(line):
                loop_start = start
            if _BLOCK.match(line) or loop_start is not None:
                break
            pair = _PAIR.match(line)
            if pair is not None:
                pairs[pair.group(1).decode(errors="replace")] = VALUE.findall(pair.group(2))[0]
        if pairs:
            values = b" ".join(pairs.values())
            yield LoopBlock(name, tuple(pairs), end, end, values=values)
        loop = None if loop_start is None else _read_loop_header(text, name, loop_start)
        if loop is not None:
            yield loop
        end = loop.end - 1 if loop is not None else loop_start or end


def _read_loop_header(text: mmap.mmap, name: str, position: int) -> LoopBlock | None:
    """Return the table whose labels follow the line ``loop_`` at `position`."""
    columns: list[str] = []
    for start, line in _lines(text, position):
        label = _LABEL.match(line)
        if label is not None:
            columns.append(label.group(1).decode(errors="replace"))
        elif _BLOCK.match(line) or _LOOP.match(line):
            return LoopBlock(name, tuple(columns), start, start) if columns else None
        elif columns and is_row(line):
            return LoopBlock(name, tuple(columns), start, _find_end(text, start))
    return LoopBlock(name, tuple(columns), len(text), len(text)) if columns else None


def _find_end(text: mmap.mmap, start: int) -> int:
    """Return the end of the last row of a table."""
    end = position = start
    for match in _NOT_A_ROW.finditer(text, start):
        other = match.end()
        newline = text.find(b"\n", other)
        stop = len(text) if newline < 0 else newline + 1
        line = text[other:stop].strip()
        if other > position:
            end = other
        if _BLOCK.match(line) or _LOOP.match(line):
            return end
        if is_row(line):  # a value that begins with data_ or loop_
            end = stop
        position = stop
    return len(text) if len(text) > position else end


def _lines(text: mmap.mmap, position: int) -> Iterator[tuple[int, bytes]]:
    """Yield the start and the text of each line after the one that holds `position`."""
    newline = text.find(b"\n", position)
    while 0 <= newline < len(text) - 1:
        start = newline + 1
        newline = text.find(b"\n", start)
        yield start, text[start : newline if newline >= 0 else len(text)].strip()
