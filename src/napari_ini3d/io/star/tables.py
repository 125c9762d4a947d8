"""Tables of a particle STAR file: which they are, and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_ini3d._types import IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.star.blocks import LoopBlock, find_loops
from napari_ini3d.io.star.cistem import convert_cistem, is_cistem
from napari_ini3d.io.star.columns import Column, Columns
from napari_ini3d.io.star.rows import parse_rows

_TOMOGRAPHY = ("rlnTomoName", "rlnTomoParticleName", "rlnTomoParticleId")
_CTF_IMAGE = "rlnCtfImage"  # the missing wedge of a subtomogram; in Scipion, of a micrograph
_OTHER_TABLES = {
    "rlnReferenceImage": "the model of a RELION job; give the _data.star beside it",
    "rlnOptimiserDataStarFile": "the state of a RELION job; give the _data.star beside it",
    "rlnJobTypeLabel": "the settings of a RELION job; give the particles that the job wrote",
    "rlnPipeLineNodeName": "a list of RELION's files; give the particles",
    "wrpCoordinateX1": "a table of M without images; extract them in Warp (Export particles)",
    "rlnCoordinateX": "a table of positions in micrographs; extract the particles first",
    "rlnMicrographName": "a table of micrographs; pick and extract particles first",
    "rlnMicrographMovieName": "a table of movies; pick and extract particles first",
}
"""Column that shows what a STAR file without particles holds, and what to do."""


Tables = tuple[dict[str, Column] | None, dict[str, Column]]
"""Optics table (None if there is none, as in RELION 3.0) and particle table."""


def read_tables(path: Path) -> Tables:
    """Return the optics table (None if there is none, as in RELION 3.0) and the particle table.

    Raises
    ------
    StarError
        If the file cannot be read, or has no particle table or one of tomography.
    """
    optics, particles, _ = read_rows(path)
    return optics, particles


def read_rows(path: Path) -> tuple[*Tables, IntArray | None]:
    """Return the tables of `read_tables`, and the rows of the file that the particles are.

    The rows (N,) are numbered from 0; None if the particles are all rows. Errors are those of
    `read_tables`.
    """
    loops = find_loops(path)
    cistem = [loop for loop in loops if is_cistem(loop.columns)]
    if cistem:
        return convert_cistem(path, _read_table(path, cistem[0]))
    particles = find_particle_loop(path, loops)
    optics = _find_optics(path, [loop for loop in loops if loop is not particles])
    tables = (_read_table(path, optics) if optics else None), _read_table(path, particles)
    _refuse_tomography(path, tables[1])
    return *tables, None


def has_particles(path: Path) -> bool:
    """Return whether a STAR file has a table of particle images.

    Raises
    ------
    OSError, StarError
        If the file cannot be read.
    """
    return any(
        "rlnImageName" in loop.columns or is_cistem(loop.columns) for loop in find_loops(path)
    )


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
        columns = {column for loop in loops for column in loop.columns}
        other = next((words for label, words in _OTHER_TABLES.items() if label in columns), None)
        raise StarError(
            f"{path}: no table has the column rlnImageName (found: {found}); "
            + (f"this is {other}" if other else "export the particles of a 2D class selection")
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
    return parse_rows(path, block)


def _refuse_tomography(path: Path, columns: Columns) -> None:
    found = next((column for column in _TOMOGRAPHY if column in columns), None)
    if found is None and _CTF_IMAGE in columns and "@" not in str(columns["rlnImageName"][0]):
        found = _CTF_IMAGE
    if found is not None:
        raise StarError(
            f"{path}: the column {found} belongs to tomography; expected images of single "
            "particles; subtomograms cannot be used here"
        )
