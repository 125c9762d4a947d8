"""Writing of STAR files: headers and single values by `starfile`, rows of tables here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from napari_ini3d.errors import StarError
from napari_ini3d.io.files import atomic_path
from napari_ini3d.io.star.columns import Column, Columns
from napari_ini3d.io.star.escapes import escape, unescape

Pairs = Mapping[str, str | int | float]
"""Label -> value of a block without ``loop_``."""

_VERSION = b"\n# version 30001\n\n"  # of the format: RELION 3.1 and later
_NEEDS_QUOTES = re.compile(r"""\s|^["'#]""")
_IS_PLAIN = re.compile(r"""[!$-&(-~]+""")  # ASCII without blanks, quotation marks and #
_ROWS_PER_PART = 50_000  # formatted at once
_COMMENT_LINES = 3  # starfile's name and the date, which would differ in each file
_PLAIN = range(0x21, 0x7F)


def write_tables(path: Path | str, tables: Mapping[str, Columns | Pairs]) -> None:
    """Write a STAR file, completely or not at all.

    Floats are written with six decimals if these are exact, and with twelve significant digits
    otherwise. Text is quoted if it is empty, contains a blank, or begins with a quotation mark
    or a #.

    Parameters
    ----------
    path : Path or str
    tables : mapping
        By the name of the block, without ``data_``: columns of N integers, floats or objects
        (text), or single values.

    Raises
    ------
    StarError
        If a text cannot be quoted.
    RunFolderError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for name, table in tables.items():
            file.write(_VERSION)
            file.writelines(_format_table(name, table))
            file.write(b"\n")


def _format_table(name: str, table: Columns | Pairs) -> Iterator[bytes]:
    """Yield the text of a block in parts."""
    import pandas as pd  # slow to import
    import starfile

    columns = {label: column for label, column in table.items() if isinstance(column, np.ndarray)}
    if not columns:
        pairs = {label: _format_value(value) for label, value in table.items()}
        yield _body(starfile.to_string({name: pairs}), _COMMENT_LINES)
        return
    one_row = pd.DataFrame({label: [0] for label in columns})
    header = _body(starfile.to_string({name: one_row}, sep=" "), _COMMENT_LINES)
    yield header[: header.rstrip(b"\n").rfind(b"\n") + 1]  # without the row
    n_rows = len(next(iter(columns.values())))
    for start in range(0, n_rows, _ROWS_PER_PART):
        cells = [_cells(column[start : start + _ROWS_PER_PART]) for column in columns.values()]
        # joined here: starfile takes ten times as long, of which a run on a GPU would notice
        rows = "\n".join(map(" ".join, zip(*cells, strict=True)))
        yield rows.encode("utf-8", "surrogateescape") + b"\n"


def _body(text: str, n_lines: int) -> bytes:
    """Return text of starfile without its first lines, and without blank lines at the end."""
    return unescape(text.split("\n", n_lines)[-1].rstrip("\n")) + b"\n"


def _cells(column: Column) -> list[str]:
    """Return the text of each row of a column, in quotation marks where it needs them."""
    if column.dtype.kind == "O":
        texts = [str(value) for value in column]
        if all(texts) and _IS_PLAIN.fullmatch("".join(texts)):  # as most paths and names
            return texts
        known: dict[str, str] = {}
        return [known.get(text) or known.setdefault(text, quote(text)) for text in texts]
    if column.dtype.kind == "f":
        return _format_floats(column)
    return list(
        map(str, (column.astype(np.int64) if column.dtype.kind == "b" else column).tolist())
    )


def _for_starfile(text: str) -> str:
    """Return text in quotation marks if it needs them, which starfile does not see.

    It would put others around a text with blanks, and cannot write bytes that are not UTF-8.
    """
    quoted = quote(text)
    if quoted.isascii() and quoted.isprintable() and " " not in quoted:
        return quoted
    return escape(quoted.encode("utf-8", "surrogateescape"), _PLAIN)


def _format_floats(column: Column) -> list[str]:
    """Return numbers with six decimals where these are exact, else with twelve digits."""
    if column.dtype == np.float32:  # 0.3 is not 0.30000001192
        column = column.astype(str).astype(np.float64)
    values = column.tolist()
    texts = ("%.6f " * len(values) % tuple(values)).split()  # in one call, as there may be millions
    for i in np.flatnonzero(np.round(column, 6) != column).tolist():
        texts[i] = f"{values[i]:.12g}"
    return texts


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return _format_floats(np.array([value]))[0]
    return _for_starfile(str(value))


def quote(text: str) -> str:
    """Return a value as it is written to a STAR file, in quotation marks if it needs them.

    Raises
    ------
    StarError
        If it has line ends, or blanks and both kinds of quotation marks.
    """
    if len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        raise StarError(f"{text!r} has a line end; expected one line; rename the file or folder")
    if text and not _NEEDS_QUOTES.search(text):
        return text
    mark = "'" if '"' in text else '"'
    if mark in text:
        raise StarError(f"{text!r} cannot be written to a STAR file; rename the file or folder")
    return f"{mark}{text}{mark}"
