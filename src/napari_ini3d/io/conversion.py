"""Conversion of particles between RELION's STAR files and cryoSPARC's datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import CryosparcError, StarError
from napari_ini3d.io.cryosparc.carried import RELION_OPTICS, UID_COLUMN
from napari_ini3d.io.cryosparc.dataset import UID, find_rows, has_result, write_dataset
from napari_ini3d.io.cryosparc.from_star import StarTables, to_fields
from napari_ini3d.io.cryosparc.particles import read_particle_fields, split_paths
from napari_ini3d.io.cryosparc.result_group import write_result_group
from napari_ini3d.io.cryosparc.to_star import (
    dark_particles,
    describe_unused,
    image_columns,
    to_star_tables,
)
from napari_ini3d.io.mrc.stack import read_stack_header
from napari_ini3d.io.star.columns import read_numbers
from napari_ini3d.io.star.format import write_tables
from napari_ini3d.io.star.image_names import names_for, search_folders, search_stacks
from napari_ini3d.io.star.particles import add_optics
from napari_ini3d.io.star.tables import read_tables

_CLASS, _PSI = "rlnClassNumber", "rlnAnglePsi"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was converted.

    Attributes
    ----------
    files : tuple of Path
        Written files.
    n_particles : int
        Particles in them.
    results : tuple of str
        What is known of each particle, such as "blob" or "alignments3D", in cryoSPARC's names.
    notes : tuple of str
        What the user should know, as sentences.
    """

    files: tuple[Path, ...]
    n_particles: int
    results: tuple[str, ...]
    notes: tuple[str, ...]


def convert_to_star(
    source: Path | str,
    target: Path | str,
    *,
    passthrough: Sequence[Path] = (),
    project: Path | None = None,
) -> Conversion:
    """Write the particles of a cryoSPARC dataset as a STAR file of RELION 3.1 and later.

    Fields without a column of RELION become columns such as cs/ctf/tilt_A/0. Stacks that are found
    get absolute paths.

    Parameters
    ----------
    source, target : Path or str
    passthrough : sequence of Path
        Passthrough files of the job.
    project : Path, optional
        Project folder, to which the paths of stacks are relative.

    Raises
    ------
    CryosparcError
        If the dataset cannot be used.
    RunFolderError
        If the target cannot be written.
    """
    path, star = Path(source), Path(target)
    fields = read_particle_fields(path, ctf=False, passthrough=passthrough)
    names, stack_index = split_paths(path, fields)
    found = search_stacks(names, list(search_folders(path, project)), path)
    stacks = [str(stack or name) for name, stack in zip(names, found, strict=True)]
    if has_result(fields, RELION_OPTICS):  # it was made from a STAR file, with its image names
        stacks = names_for(names, found, star)
    images = image_columns(fields, stacks, stack_index)
    optics, columns = to_star_tables(path, fields, images, ctf=False, everything=True)
    write_tables(star, {"optics": optics, "particles": columns})
    notes = _notes_on_dataset(fields, found.count(None), len(found))
    return Conversion((star,), len(images), _results(fields), tuple(notes))


def _notes_on_dataset(fields: dict[str, AnyArray], n_missing: int, n_stacks: int) -> Iterator[str]:
    if n_missing:
        yield (
            f"{n_missing} of {n_stacks} stacks not found; their paths stay as they are; give the "
            "project folder (--project) for absolute paths"
        )
    if "ctf/df1_A" not in fields:
        yield "there is no CTF; RELION needs it; give the passthrough file (--passthrough)"
    dark = dark_particles(fields)
    if dark is not None and dark.any():
        yield (
            f"{np.count_nonzero(dark)} of {len(dark)} particles are black on white (blob/sign -1); "
            "RELION expects white on black: invert the images before you refine them there"
        )
    yield from describe_unused(fields)


def convert_to_cryosparc(
    source: Path | str,
    target: Path | str,
    *,
    project: Path | None = None,
    template: Path | None = None,
    passthrough: Sequence[Path] = (),
) -> Conversion:
    """Write the particles of a STAR file as a cryoSPARC dataset, with its result group (`.csg`).

    Particles of class 0, which a run of this package never used, have no pose and are left out.

    Parameters
    ----------
    source, target : Path or str
    project : Path, optional
        Project folder, to which paths of stacks are made relative. Default: as in the STAR file.
    template : Path, optional
        Dataset of the same particles; poses are taken from the STAR file, and all other fields from
        here, by uid.
    passthrough : sequence of Path
        Passthrough files of the template.

    Raises
    ------
    StarError, CryosparcError
        If a file cannot be used, or the particles of the STAR file are not in the template.
    RunFolderError
        If a target cannot be written.
    """
    path, dataset = Path(source), Path(target)
    tables, notes = _read_star(path, project)
    fields = to_fields(tables)
    if template is not None:
        fields = _fill_template(tables, fields, template, passthrough)
    group = dataset.with_suffix(".csg")
    write_dataset(dataset, fields)
    write_result_group(group, dataset, fields)
    if "ctf/df1_A" not in fields:
        notes.append("there is no CTF; cryoSPARC needs it")
    notes.extend(_note_on_stacks(fields, path, dataset, project))
    return Conversion((dataset, group), len(fields[UID]), _results(fields), tuple(notes))


def _note_on_stacks(
    fields: dict[str, AnyArray], star: Path, dataset: Path, project: Path | None
) -> Iterator[str]:
    """Say which stacks the STAR file has found, and the dataset does not."""
    names, _ = split_paths(dataset, fields)
    before, after = (
        search_stacks(names, list(search_folders(path, project)), path) for path in (star, dataset)
    )
    lost = sum(old is not None and new is None for old, new in zip(before, after, strict=True))
    if lost:
        yield (
            f"{lost} of {len(names)} stacks are not found from the folder of {dataset}; give the "
            "project folder of cryoSPARC (--project), to which their paths are made relative"
        )


def _read_star(path: Path, project: Path | None) -> tuple[StarTables, list[str]]:
    """Return the tables of a STAR file without the particles of class 0, and notes."""
    optics, columns = read_tables(path)
    if optics is None:
        ctf = "rlnDefocusU" in columns
        optics, columns = add_optics(path, columns, ctf=ctf, project=project)
    notes: list[str] = []
    n = len(columns["rlnImageName"])
    if _CLASS in columns and _PSI in columns:
        used = read_numbers(path, columns, _CLASS) >= 1
        if not used.any():
            raise StarError(
                f"{path}: all {n} particles have rlnClassNumber 0, which means no pose; expected "
                "particles with poses"
            )
        if not used.all():
            columns = {name: column[used] for name, column in columns.items()}
            notes.append(f"{n - np.count_nonzero(used)} particles of class 0 (no pose) left out")
    stacks = _Stacks(path, project)
    return StarTables(path, optics, columns, path_of=stacks.path_of, box_of=stacks.box_of), notes


@dataclass(frozen=True, slots=True)
class _Stacks:
    """The stacks of a STAR file."""

    star: Path
    project: Path | None

    def _find(self, name: str) -> Path | None:
        folders = list(search_folders(self.star, self.project))
        return search_stacks([name], folders, self.star)[0]

    def path_of(self, name: str) -> str:
        """Return the path relative to the project folder, if one is given and has the stack."""
        found = None if self.project is None else self._find(name)
        if found is None or self.project is None:
            return name
        below = found.absolute().is_relative_to(self.project.absolute())
        inside = found.absolute().relative_to(self.project.absolute()) if below else found
        return str(inside if below else found.absolute())

    def box_of(self, name: str) -> int:
        """Return the box of the images of a stack (pixels)."""
        found = self._find(name)
        if found is None:
            raise StarError(
                f"{self.star}: no rlnImageSize in data_optics, and the stack {name} is not found; "
                "expected one of them; put the STAR file where its stacks are found"
            )
        return read_stack_header(found).nx


def _fill_template(
    tables: StarTables, fields: dict[str, AnyArray], template: Path, passthrough: Sequence[Path]
) -> dict[str, AnyArray]:
    """Return the rows of a template for the particles of a STAR file, with the file's poses.

    If the template has no CTF, which is then in a passthrough file, that of the STAR file is kept.
    """
    if UID_COLUMN not in tables.particles:
        raise StarError(
            f"{tables.path}: no column {UID_COLUMN}; expected particles that were read from a .cs "
            "file; convert without --template"
        )
    known = read_particle_fields(template, ctf=False, passthrough=passthrough)
    row = find_rows(template, known, fields[UID])
    if (row < 0).any():
        raise CryosparcError(
            f"{template}: no row for {np.count_nonzero(row < 0)} of the {len(row)} particles of "
            f"{tables.path} (such as uid {fields[UID][row < 0][0]}); expected the file that the "
            "particles were read from"
        )
    result = "alignments3D/" if "rlnAngleRot" in tables.particles else "alignments2D/"
    poses = {name: values for name, values in fields.items() if name.startswith(result)}
    ctf = {name: values for name, values in fields.items() if name.startswith("ctf/")}
    own = {} if has_result(known, "ctf") else ctf
    return {name: values[row] for name, values in known.items()} | own | poses


def _results(fields: dict[str, AnyArray]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.partition("/")[0] for name in fields if name != UID))
