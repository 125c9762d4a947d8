"""Copy a particle STAR file with other values in some columns, and all other bytes the same."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from napari_ini3d._types import Float64
from napari_ini3d.errors import StarError
from napari_ini3d.io.files import atomic_path
from napari_ini3d.io.star.blocks import LoopBlock, find_loops, is_row, open_byte_range
from napari_ini3d.io.star.columns import Columns
from napari_ini3d.io.star.format import quote
from napari_ini3d.io.star.image_names import locate_stacks, split_image_names
from napari_ini3d.io.star.particles import ParticleTable, rename_images
from napari_ini3d.io.star.tables import find_particle_loop, read_tables

logger = logging.getLogger(__name__)

_PRIOR = re.compile(r"rln(Angle|Origin)\w*Prior")
_BLOCK = 4096  # rows of the source at a time
_PIECE = re.compile(rb"""\s+|"[^"]*"(?=\s|$)|'[^']*'(?=\s|$)|\S+""")

NewColumns = Mapping[str, Float64]


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """New values of columns, computed for some rows at a time: a file may grow 60-fold.

    Attributes
    ----------
    names : tuple of str
        Columns; those that the table does not have are added.
    n_rows : int
        N rows of the source.
    values : callable
        From a slice of the N rows to columns of (n,) values, or (n, K) for K copies of each row.
    """

    names: tuple[str, ...]
    n_rows: int
    values: Callable[[slice], NewColumns]

    @classmethod
    def to(cls, columns: NewColumns) -> Self:
        """Return the change to columns (N,) that are known."""

        def values(rows: slice) -> NewColumns:
            return {name: column[rows] for name, column in columns.items()}

        return cls(tuple(columns), len(next(iter(columns.values()))), values)


def rewrite_columns(
    source: Path, target: Path, change: Callable[[Path, Columns | None, Columns], ColumnChange]
) -> int:
    """Copy a particle STAR file with other values in some columns, and all other bytes the same.

    Image names change where they would not lead to their stacks from the new file.

    Parameters
    ----------
    source, target : Path
    change : callable
        From the path, the optics table (None if there is none) and the particle table.

    Returns
    -------
    int
        Number of rows of the source.

    Raises
    ------
    StarError
        If the source cannot be read, or describes 3D particles.
    RunFolderError
        If the target cannot be written.
    """
    optics, columns = read_tables(source)
    block = find_particle_loop(source, find_loops(source))
    if block.values is not None:
        raise StarError(
            f"{source}: data_{block.name} has one particle and no loop_; expected a table of "
            "particles; write the file again as a loop"
        )
    new = change(source, optics, columns)
    names = _new_names(source, target, columns)
    _warn_of_priors(source, columns)
    added = [name for name in new.names if name not in columns]
    with atomic_path(target) as temporary, open(temporary, "wb") as file:
        with open_byte_range(source, 0, block.start) as head:
            shutil.copyfileobj(head, file)
        for number, name in enumerate(added, len(block.columns) + 1):
            file.write(f"_{name} #{number}\n".encode())
        file.writelines(_changed_rows(source, block, new, names))
        with open_byte_range(source, block.end, source.stat().st_size) as tail:
            shutil.copyfileobj(tail, file)
    return len(columns["rlnImageName"])


def _warn_of_priors(source: Path, columns: Columns) -> None:
    stale = ", ".join(name for name in columns if _PRIOR.fullmatch(name))
    if stale:
        logger.warning("%s: %s not changed; they belong to the poses before", source, stale)


def _new_names(source: Path, target: Path, columns: Columns) -> list[bytes] | None:
    """Return the image names for another folder, or None if they stay as they are."""
    images = columns["rlnImageName"].tolist()
    stacks = tuple(locate_stacks(split_image_names(images, source)[0], [source]))
    renamed = rename_images(images, ParticleTable(source, {}, columns, stacks), target).tolist()
    if renamed == images:
        return None
    return [quote(name).encode(errors="surrogateescape") for name in renamed]


def _changed_rows(
    source: Path, block: LoopBlock, new: ColumnChange, names: list[bytes] | None
) -> Iterator[bytes]:
    places = {name: place for place, name in enumerate(block.columns)}
    order = sorted(new.names, key=lambda name: places.get(name, len(places)))
    where = [places[name] for name in order if name in places]
    cells = _new_cells(new, order)
    if names is not None:
        where = [places["rlnImageName"], *where]
        pairs = zip(names, cells, strict=True)
        cells = ([[name, *row] for row in copies] for name, copies in pairs)
    with open_byte_range(source, block.start, block.end) as rows:
        for line in rows:
            yield _changed_row(line, where, next(cells)) if is_row(line) else line


def _new_cells(new: ColumnChange, order: list[str]) -> Iterator[list[list[bytes]]]:
    """Yield the values of the changed columns of each row, one list per copy of the row."""
    for start in range(0, new.n_rows, _BLOCK):
        columns = new.values(slice(start, start + _BLOCK))
        values = np.stack([columns[name] for name in order], axis=-1)  # (n, [K,] columns)
        values = values.reshape(len(values), -1, len(order))  # (n, K, columns)
        for copies in (np.round(values, 6) + 0.0).tolist():  # + 0.0: no minus zero
            yield [[b"%.6f" % value for value in row] for row in copies]


def _changed_row(line: bytes, where: list[int], copies: list[list[bytes]]) -> bytes:
    """Replace the values of a row at `where` by the first cells, and append the other cells.

    Return one such row for each of the copies.
    """
    body = line.rstrip()
    pieces = _PIECE.findall(body)
    values = [i for i, piece in enumerate(pieces) if not piece.isspace()]
    ending = line[len(body) :]
    changed = [_with_cells(pieces, [values[i] for i in where], cells) for cells in copies]
    between = ending if b"\n" in ending else b"\n"  # the last line may have no end
    return between.join(changed) + ending


def _with_cells(pieces: list[bytes], where: list[int], cells: list[bytes]) -> bytes:
    """Return a row whose pieces at `where` are the first cells; the other cells are appended."""
    new = list(pieces)
    for at, cell in zip(where, cells, strict=False):
        spare = len(new[at]) - len(cell)
        new[at] = cell
        if at and not new[at - 1].strip(b" "):  # keeps the alignment to the right
            new[at - 1] = b" " * max(1, len(new[at - 1]) + spare)
    extra = b"".join(b" " + cell for cell in cells[len(where) :])
    return b"".join(new) + extra
