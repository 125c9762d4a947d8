"""Particle STAR files of RELION 3.0 to 5: reading and writing.

All columns of the input are kept. The output has the layout of RELION 3.1 and later (data_optics
and data_particles).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from napari_ini3d._types import Float32, Float64, FloatArray, IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.star.blocks import (
    LoopBlock,
    count_values,
    find_loops,
    open_byte_range,
    write_tables,
)
from napari_ini3d.io.star.columns import Column, Columns, read_numbers
from napari_ini3d.io.star.image_names import find_stacks, split_image_names
from napari_ini3d.io.star.optics import convert_single_table, fill_box_sizes, read_optics_groups
from napari_ini3d.particles import Assignments, Particles

logger = logging.getLogger(__name__)

_TOMOGRAPHY = ("rlnTomoName", "rlnTomoParticleName", "rlnTomoParticleId", "rlnCtfImage")
_IN_PIXELS = {"rlnOriginX": "rlnOriginXAngst", "rlnOriginY": "rlnOriginYAngst"}
JUNK_PROBABILITY = "ini3dJunkProbability"
_NAN_TEXT = ["nan", "NaN", "NAN", "-nan", "<NA>"]


@dataclass(frozen=True, slots=True)
class ParticleTable:
    """All columns of a particle STAR file; made by `read_particles`, used by the writers.

    Attributes
    ----------
    path : Path
        STAR file from which the table was read.
    optics : mapping of str to array
        Columns of the optics table (derived from the particles for RELION 3.0).
    particles : mapping of str to array
        Columns of the particle table.
    """

    path: Path
    optics: Columns
    particles: Columns

    def __len__(self) -> int:
        return len(self.particles["rlnImageName"])


def read_particles(path: Path | str, *, ctf: bool = True) -> tuple[Particles, ParticleTable]:
    """Read a particle STAR file of RELION 3.0, 3.1, 4 or 5.

    Parameters
    ----------
    path : Path or str
    ctf : bool
        Whether the CTF will be used. If not, its columns may be missing (defocus and phase shift
        are then 0) and are not checked.

    Returns
    -------
    particles : Particles
        One per row, in the order of the file.
    table : ParticleTable
        All columns, for `write_data_star` and `write_particle_subset`.

    Raises
    ------
    StarError
        If the file is empty, a column is missing, an optics group is unknown, values are
        impossible (defocus not positive, voltage in V), or the particles are 3D.
    StackError
        If a stack is not found.
    """
    star_path = Path(path)
    optics, columns = read_tables(star_path)
    names, stack_index, image_index = split_image_names(columns["rlnImageName"].tolist(), star_path)
    if optics is None:
        optics, columns = convert_single_table(star_path, columns, ctf=ctf)
    groups, optics_index = read_optics_groups(star_path, optics, columns, ctf=ctf)
    defocus = _read_defocus(star_path, columns, ctf=ctf)
    stacks = find_stacks(names, star_path)
    groups = fill_box_sizes(groups, optics_index, stack_index, stacks)
    if "rlnImageSize" not in optics and len(groups) == len(optics["rlnOpticsGroup"]):
        optics["rlnImageSize"] = np.array([group.box_size for group in groups])
    pixel_size = np.array([group.pixel_size for group in groups])[optics_index]
    particles = Particles(
        stack_paths=stacks,
        stack_index=stack_index,
        image_index=image_index,
        optics=groups,
        optics_index=optics_index,
        origin_x=_read_origin(star_path, columns, "rlnOriginX", pixel_size),
        origin_y=_read_origin(star_path, columns, "rlnOriginY", pixel_size),
        row=np.arange(len(stack_index), dtype=np.int64),
        **defocus,
    )
    logger.info("%s: %d particles in %d stack(s)", star_path, len(particles), len(stacks))
    return particles, ParticleTable(star_path, optics, columns)


def read_tables(path: Path) -> tuple[dict[str, Column] | None, dict[str, Column]]:
    """Return the optics table (None if there is none, as in RELION 3.0) and the particle table.

    Raises
    ------
    StarError
        If the file cannot be read, or has no particle table or one of tomography.
    """
    loops = find_loops(path)
    particles = find_particle_loop(path, loops)
    optics = next(
        (loop for loop in loops if loop is not particles and "rlnOpticsGroup" in loop.columns), None
    )
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
    particles = next((loop for loop in loops if "rlnImageName" in loop.columns), None)
    if particles is None:
        found = ", ".join(f"data_{loop.name}" for loop in loops) or "no table"
        raise StarError(
            f"{path}: no table has the column rlnImageName (found: {found}); "
            "export the particles of a 2D class selection"
        )
    return particles


def _read_table(path: Path, block: LoopBlock) -> dict[str, Column]:
    columns = list(block.columns)
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise StarError(f"{path}: data_{block.name} has {repeated[0]} twice; remove one")
    if block.start == block.end:
        raise StarError(f"{path}: data_{block.name} has no rows; expected at least one")
    _check_first_row(path, block)
    try:
        with open_byte_range(path, block.start, block.end) as stream:
            frame = _parse_rows(stream, columns)
    except ValueError as error:  # also pandas' ParserError and a wrong encoding
        raise StarError(
            f"{path}: data_{block.name} cannot be read ({error}); "
            f"expected {len(columns)} values in every row"
        ) from error
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
    )


def _check_first_row(path: Path, block: LoopBlock) -> None:
    """Raise `StarError` if the first row has the wrong length, which pandas would accept."""
    with open_byte_range(path, block.start, block.end) as stream:
        n_values = count_values(stream.readline())
    _check_row_length(path, block, 1, n_values)


def _check_last_column(path: Path, block: LoopBlock, frame: pd.DataFrame) -> None:
    """Raise `StarError` for rows that are too short, which pandas would fill with NaN."""
    last = frame[block.columns[-1]]
    if not (last.isna() | (last.astype(object) == "")).any():
        return
    with open_byte_range(path, block.start, block.end) as stream:
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


def _read_defocus(path: Path, columns: Columns, *, ctf: bool) -> dict[str, FloatArray]:
    n_rows = len(columns["rlnImageName"])

    def read(name: str, fallback: Float64 | None) -> Float64:
        if name not in columns and fallback is not None:
            return fallback
        return read_numbers(path, columns, name)

    zeros = np.zeros(n_rows)
    defocus_u = read("rlnDefocusU", None if ctf else zeros)
    defocus_v = read("rlnDefocusV", None if ctf else defocus_u)
    if ctf:
        _check_defocus(path, {"rlnDefocusU": defocus_u, "rlnDefocusV": defocus_v})
    return {
        "defocus_u": defocus_u.astype(np.float32),
        "defocus_v": defocus_v.astype(np.float32),
        "defocus_angle": read("rlnDefocusAngle", None if ctf else zeros).astype(np.float32),
        "phase_shift": read("rlnPhaseShift", zeros).astype(np.float32),
    }


def _check_defocus(path: Path, defocus: dict[str, Float64]) -> None:
    for name, values in defocus.items():
        bad = np.flatnonzero(values <= 0)
        if bad.size:
            raise StarError(
                f"{path}: {name} is {values[bad[0]]:g} in row {bad[0] + 1} ({bad.size} such rows); "
                "expected underfocus in Å, above 0; change the sign or remove the rows"
            )


def _read_origin(path: Path, columns: Columns, name: str, pixel_size: Float64) -> Float32:
    if f"{name}Angst" in columns:
        origin = read_numbers(path, columns, f"{name}Angst")
    elif name in columns:
        origin = read_numbers(path, columns, name) * pixel_size
    else:
        origin = np.zeros(len(pixel_size))
    return origin.astype(np.float32)


def write_data_star(
    path: Path | str,
    table: ParticleTable,
    particles: Particles,
    assignments: Assignments,
    *,
    class_count: int,
) -> None:
    """Write particles with their poses and classes, like RELION's ``run_itNNN_data.star``.

    All columns of the input are kept. Angles, origins (Å), class (from 1; 0 for a particle that
    was never used), maximum probability, number of significant samples, log-likelihood, probability
    of junk (ini3dJunkProbability) and half-set (position in `particles` mod 2, plus 1) are set.

    Parameters
    ----------
    path : Path or str
    table : ParticleTable
        Table from which `particles` were read.
    particles : Particles
        Particles to write.
    assignments : Assignments
        One per particle.
    class_count : int
        Number of classes of the run.

    Raises
    ------
    ValueError
        If the lengths differ, or a class index is not below `class_count`.
    RunFolderError
        If the file cannot be written.
    """
    classes = assignments.class_index
    if len(classes) != len(particles):
        raise ValueError(f"{len(classes)} assignments for {len(particles)} particles")
    if len(particles) and int(classes.max()) >= class_count:
        raise ValueError(f"class index {classes.max()} in a run of {class_count} classes")
    columns = {
        name: column[particles.row]
        for name, column in table.particles.items()
        if name not in _IN_PIXELS
    }
    columns |= _assignment_columns(assignments)
    write_tables(path, {"optics": table.optics, "particles": columns})


def _assignment_columns(assignments: Assignments) -> dict[str, Column]:
    return {
        "rlnAngleRot": _decimals(assignments.rot),
        "rlnAngleTilt": _decimals(assignments.tilt),
        "rlnAnglePsi": _decimals(assignments.psi),
        "rlnOriginXAngst": _decimals(assignments.origin_x),
        "rlnOriginYAngst": _decimals(assignments.origin_y),
        "rlnClassNumber": assignments.class_index + 1,
        "rlnMaxValueProbDistribution": _decimals(assignments.max_probability),
        "rlnNrOfSignificantSamples": assignments.n_significant,
        "rlnLogLikeliContribution": _decimals(assignments.log_likelihood),
        JUNK_PROBABILITY: _decimals(assignments.junk_probability),
        "rlnRandomSubset": np.arange(len(assignments.class_index)) % 2 + 1,
    }


def write_particle_subset(
    path: Path | str,
    table: ParticleTable,
    rows: IntArray,
    reasons: Sequence[str] | None = None,
) -> None:
    """Write a subset of the rows of a table, for instance the excluded particles.

    Parameters
    ----------
    path : Path or str
    table : ParticleTable
    rows : (M,) int
        Rows of the table, as in `Particles.row`.
    reasons : sequence of str, optional
        Reason for each row; written to the column ini3dExcludedReason, with underscores for
        blanks.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    columns = {name: column[rows] for name, column in table.particles.items()}
    if reasons is not None:
        words = ["_".join(reason.split()) for reason in reasons]
        columns["ini3dExcludedReason"] = np.array(words, dtype=object)
    write_tables(path, {"optics": table.optics, "particles": columns})


def _decimals(values: FloatArray) -> Float64:
    exact: Float64 = values.astype(np.float64)  # before rounding: 0.3 is not 0.30000001
    return np.round(exact, 6)
