"""Particle STAR files of RELION 3.0 to 5: reading and writing.

All columns of the input are kept. The output has the layout of RELION 3.1 and later (data_optics
and data_particles).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import AnyArray, Float64, FloatArray, IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.class_selection import rows_of_file, select_classes
from napari_ini3d.io.mrc.stack import read_stack_header
from napari_ini3d.io.star.columns import Column, Columns, read_integers
from napari_ini3d.io.star.format import write_tables
from napari_ini3d.io.star.image_names import (
    find_stacks,
    is_respelled,
    names_for,
    split_image_names,
    without_format,
)
from napari_ini3d.io.star.optics import (
    convert_single_table,
    fill_box_sizes,
    has_pixel_size,
    read_optics_groups,
)
from napari_ini3d.io.star.particle_values import read_defocus, read_origin
from napari_ini3d.io.star.tables import read_rows
from napari_ini3d.particles import Assignments, Particles

logger = logging.getLogger(__name__)

_IN_PIXELS = {"rlnOriginX": "rlnOriginXAngst", "rlnOriginY": "rlnOriginYAngst"}
_CLASS = "rlnClassNumber"
JUNK_PROBABILITY = "ini3dJunkProbability"
SIGNAL_SCALE = "ini3dSignalScale"
_HELICAL = ("rlnHelicalTubeID", "rlnHelicalTrackLengthAngst", "rlnHelicalTrackLength")
_SHARED_CTF_COLUMNS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_CTF_COLUMNS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")


@dataclass(frozen=True, slots=True)
class ParticleTable:
    """All columns of a particle STAR file; made by `read_particles`, used by the writers.

    Attributes
    ----------
    path : Path
        Particle file from which the table was read.
    optics : mapping of str to array
        Columns of the optics table (derived from the particles for RELION 3.0).
    particles : mapping of str to array
        Columns of the particle table.
    stack_paths : tuple of Path or None
        Stacks in the order of their first use, None for those that are not known.
    class_averages : bool
        True if the images are averages of a 2D classification.
    """

    path: Path
    optics: Columns
    particles: Columns
    stack_paths: tuple[Path | None, ...] = ()
    class_averages: bool = False

    def __len__(self) -> int:
        return len(self.particles["rlnImageName"])

    @property
    def micrographs(self) -> AnyArray | None:
        """Name of the micrograph of each particle; None if the file has none."""
        names = self.particles.get("rlnMicrographName")
        return None if names is None else np.asarray(names)

    @property
    def is_helical(self) -> bool:
        """True if the particles are segments of helices."""
        return any(name in self.particles for name in _HELICAL)

    def respelled_stacks(self) -> list[tuple[str, Path]]:
        """Return the names of stacks that were found by another spelling, and the stacks."""
        names = dict.fromkeys(n.partition("@")[2] for n in self.particles["rlnImageName"])
        pairs = zip(names, self.stack_paths, strict=True)
        return [
            (name, path)
            for name, path in pairs
            if path and is_respelled(without_format(name), path)
        ]


def read_particles(
    path: Path | str,
    *,
    ctf: bool = True,
    project: Path | None = None,
    classes: Sequence[int] = (),
) -> tuple[Particles, ParticleTable]:
    """Read a particle STAR file of RELION 3.0, 3.1, 4 or 5.

    Parameters
    ----------
    path : Path or str
    ctf : bool
        Whether the CTF will be used. If not, its columns may be missing (defocus and phase shift
        are then 0) and are not checked.
    project : Path, optional
        Folder in which stacks are searched for first.
    classes : sequence of int
        Read only the particles of these classes (rlnClassNumber). Default: all.

    Returns
    -------
    particles : Particles
        One per row that is read, in the order of the file.
    table : ParticleTable
        All columns of these rows, for `write_data_star` and `write_particle_subset`.

    Raises
    ------
    StarError
        If the file is empty, a column is missing, an optics group is unknown, values are
        impossible (most defoci not positive, voltage in V), a class has no particles, or the
        particles are 3D. A few
        defoci that are not positive or NaN are left as they are.
    StackError
        If a stack is not found.
    """
    star_path = Path(path)
    optics, columns, rows = read_rows(star_path)
    with rows_of_file(rows):
        if classes:
            numbers = read_integers(star_path, columns, _CLASS)
            chosen = select_classes(star_path, numbers, classes, StarError)
            columns = {name: column[chosen] for name, column in columns.items()}
            rows = np.flatnonzero(chosen) if rows is None else rows[chosen]
    with rows_of_file(rows):
        if ctf:
            _check_ctf_columns(star_path, optics, columns)
        if optics is None:
            optics, columns = add_optics(star_path, columns, ctf=ctf, project=project)
        table = ParticleTable(star_path, optics, columns)
        particles, table = make_particles(table, ctf=ctf, project=project)
    return replace(particles, file_row=rows), table


def add_optics(
    path: Path, columns: Columns, *, ctf: bool, project: Path | None = None
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Return the optics table and the particle table for a particle table of RELION 3.0.

    If it has no pixel size, that of the stacks is used. Parameters and errors are those of
    `read_particles`.
    """
    size = None
    if not has_pixel_size(columns):
        names, *_ = split_image_names(columns["rlnImageName"].tolist(), path)
        size = _header_pixel_size(path, find_stacks(names, path, project=project))
    return convert_single_table(path, columns, ctf=ctf, header_pixel_size=size)


def make_particles(
    table: ParticleTable, *, ctf: bool, project: Path | None = None
) -> tuple[Particles, ParticleTable]:
    """Return the particles of a table, and the table with its stacks and their box sizes.

    Parameters and errors are those of `read_particles`.
    """
    path, optics, columns = table.path, dict(table.optics), table.particles
    names, stack_index, image_index = split_image_names(columns["rlnImageName"].tolist(), path)
    groups, optics_index = read_optics_groups(path, optics, columns, ctf=ctf)
    defocus = read_defocus(path, columns, ctf=ctf)
    stacks = find_stacks(names, path, project=project)
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
        origin_x=read_origin(path, columns, "rlnOriginX", pixel_size),
        origin_y=read_origin(path, columns, "rlnOriginY", pixel_size),
        row=np.arange(len(stack_index), dtype=np.int64),
        is_dark=None,
        mixed_contrast=None,
        file_row=None,
        **defocus,
    )
    logger.info("%s: %d particles in %d stack(s)", path, len(particles), len(stacks))
    return particles, ParticleTable(path, optics, columns, stacks)


def _check_ctf_columns(path: Path, optics: Columns | None, columns: Columns) -> None:
    shared = columns if optics is None else optics
    missing = [name for name in _SHARED_CTF_COLUMNS if name not in shared]
    missing += [name for name in _CTF_COLUMNS if name not in columns]
    if missing:
        raise StarError(
            f"{path}: the file has no {', '.join(missing)}; expected the CTF of the particles; "
            "export them with it, or give --no-ctf to reconstruct without its correction"
        )


def _header_pixel_size(path: Path, stacks: Sequence[Path]) -> float | None:
    """Return the pixel size in the headers of the stacks, if they have one and the same."""
    sizes = {read_stack_header(stack).pixel_size for stack in stacks}
    size = sizes.pop()
    if sizes or size <= 0:
        return None
    logger.warning("%s: no pixel size; that of the stacks is used, %g Å", path, size)
    return size


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
    of junk (ini3dJunkProbability), amplitude relative to the map (ini3dSignalScale) and half-set
    (position in `particles` mod 2, plus 1) are set.

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
        for name, column in _with_names_for(table, Path(path)).items()
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
        _CLASS: assignments.class_index + 1,
        "rlnMaxValueProbDistribution": _decimals(assignments.max_probability),
        "rlnNrOfSignificantSamples": assignments.n_significant,
        "rlnLogLikeliContribution": _decimals(assignments.log_likelihood),
        JUNK_PROBABILITY: _decimals(assignments.junk_probability),
        SIGNAL_SCALE: _decimals(assignments.scale),
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
    found = _with_names_for(table, Path(path))
    columns = {name: column[rows] for name, column in found.items()}
    if reasons is not None:
        words = ["_".join(reason.split()) for reason in reasons]
        columns["ini3dExcludedReason"] = np.array(words, dtype=object)
    write_tables(path, {"optics": table.optics, "particles": columns})


def _with_names_for(table: ParticleTable, target: Path) -> Columns:
    """Return the particle table with image names that hold in a new STAR file."""
    if not table.stack_paths:
        return table.particles
    images = table.particles["rlnImageName"].tolist()
    return {**table.particles, "rlnImageName": rename_images(images, table, target)}


def rename_images(images: Sequence[str], table: ParticleTable, target: Path) -> Column:
    """Return image names (N,) that lead to the stacks of a table from a new STAR file."""
    stacks, index, _ = split_image_names(images, table.path)
    names = names_for(stacks, table.stack_paths, target)
    numbers = (image.partition("@")[0] for image in images)
    moved = [f"{n}@{names[i]}" for n, i in zip(numbers, index.tolist(), strict=True)]
    return np.array(moved, dtype=object)


def _decimals(values: FloatArray) -> Float64:
    exact: Float64 = values.astype(np.float64)  # before rounding: 0.3 is not 0.30000001
    return np.round(exact, 6)
