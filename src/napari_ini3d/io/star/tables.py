"""Tables of a particle STAR file: which they are, and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from napari_ini3d.errors import StarError
from napari_ini3d.io.star.blocks import LoopBlock, count_values, find_loops, open_rows
from napari_ini3d.io.star.columns import Column, Columns

_TOMOGRAPHY = ("rlnTomoName", "rlnTomoParticleName", "rlnTomoParticleId", "rlnCtfImage")
_NAN_TEXT = ["nan", "NaN", "NAN", "-nan", "<NA>"]


def read_tables(path: Path) -> tuple[dict[str, Column] | None, dict[str, Column]]:
    """Return the optics table (None if there is none, as in RELION 3.0) and the particle table.

    Raises
    ------
    StarError
        If the file cannot be read, or has no particle table or one of tomography.
    """
    loops = find_loops(path)
    particles = find_particle_loop(path, loops)
    optics = _find_optics(path, [loop for loop in loops if loop is not particles])
    tables = (_read_table(path, optics) if optics else None), _read_table(path, particles)
    _refuse_tomography(path, tables[1])
    return tables


def has_particles(path: Path) -> bool:
    """Return whether a STAR file has a table of particle images.

    Raises
    ------
    OSError, StarError
        If the file cannot be read.
    """
    return any("rlnImageName" in loop.columns for loop in find_loops(path))


def find_particle_loop(path: Path, loops: Sequence[LoopBlock]) -> LoopBlock:
    """Return the particle table of a STAR file.

    Raises
    ------
    StarError
        If there is none.
    """
    tables = [loop for loop in loops if "rlnImageName" in loop.columns]
    if not tables:
        found = ", ".join(f"data_{loop.name}" for loop in loops) or "no table"
        raise StarError(
            f"{path}: no table has the column rlnImageName (found: {found}); "
            "export the particles of a 2D class selection"
        )
    if len(tables) > 1:
        raise StarError(
            f"{path}: {len(tables)} tables have the column rlnImageName; expected one; join files "
            "with relion_star_handler --combine, which renumbers the optics groups"
        )
    return tables[0]


def _find_optics(path: Path, loops: Sequence[LoopBlock]) -> LoopBlock | None:
    """Return the optics table; None if there is none, as in RELION 3.0."""
    tables = [loop for loop in loops if "rlnOpticsGroup" in loop.columns]
    named = [loop for loop in tables if loop.name == "optics"] or tables
    if len(named) > 1:
        raise StarError(
            f"{path}: data_optics stands {len(named)} times; expected it once; join files with "
            "relion_star_handler --combine, which renumbers the optics groups"
        )
    return named[0] if named else None


def _read_table(path: Path, block: LoopBlock) -> dict[str, Column]:
    columns = list(block.columns)
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise StarError(f"{path}: data_{block.name} has {repeated[0]} twice; remove one")
    if block.start == block.end and block.values is None:
        raise StarError(f"{path}: data_{block.name} has no rows; expected at least one")
    n_rows = _count_rows(path, block)
    try:
        with open_rows(path, block) as stream:
            frame = _parse_rows(stream, columns)
    except ValueError as error:  # also pandas' ParserError and a wrong encoding
        raise StarError(
            f"{path}: data_{block.name} cannot be read ({error}); "
            f"expected {len(columns)} values in every row"
        ) from error
    if len(frame) != n_rows:
        raise StarError(
            f"{path}: data_{block.name} has {n_rows} lines, but {len(frame)} rows; expected one "
            "row in each line; look for a quotation mark that is not closed"
        )
    _check_last_column(path, block, frame)
    return {column: _to_array(frame[column]) for column in columns}


def _parse_rows(stream: BinaryIO, columns: list[str]) -> pd.DataFrame:
    """Parse rows with pandas' C parser, which stores repeated strings once."""
    text = {column: "object" for column in columns if column.endswith("Name")}
    return pd.read_csv(
        stream,
        sep=r"\s+",
        header=None,
        names=columns,
        index_col=False,
        dtype=text,
        keep_default_na=False,
        na_values={column: _NAN_TEXT for column in columns if column not in text},
        low_memory=False,
        on_bad_lines="error",
        encoding_errors="surrogateescape",
    )


def _count_rows(path: Path, block: LoopBlock) -> int:
    """Return the number of rows, of which the first has the right length.

    Pandas would accept a first row of another length.
    """
    with open_rows(path, block) as rows:
        _check_row_length(path, block, 1, count_values(rows.readline()))
        return 1 + sum(1 for _ in rows)


def _check_last_column(path: Path, block: LoopBlock, frame: pd.DataFrame) -> None:
    """Raise `StarError` for rows that are too short, which pandas would fill with NaN."""
    last = frame[block.columns[-1]]
    if not (last.isna() | (last.astype(object) == "")).any():
        return
    with open_rows(path, block) as stream:
        rows = (count_values(line) for line in stream)
        for row, n_values in enumerate((n for n in rows if n), 1):
            _check_row_length(path, block, row, n_values)


def _check_row_length(path: Path, block: LoopBlock, row: int, n_values: int) -> None:
    if n_values != len(block.columns):
        raise StarError(
            f"{path}: data_{block.name} row {row} has {n_values} values; expected "
            f"{len(block.columns)} values; the file may be truncated: export the particles again"
        )


def _to_array(series: pd.Series) -> Column:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iufb":
        return series.to_numpy()
    return series.to_numpy(dtype=object)


def _refuse_tomography(path: Path, columns: Columns) -> None:
    found = next((column for column in _TOMOGRAPHY if column in columns), None)
    if found is not None:
        raise StarError(
            f"{path}: the column {found} belongs to tomography; expected images of single "
            "particles; subtomograms cannot be used here"
        )
