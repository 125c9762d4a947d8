"""Particles of cryoSPARC: reading a dataset, its passthrough files, and its stacks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import AnyArray, IntArray
from napari_ini3d.errors import CryosparcError, StackError
from napari_ini3d.io.class_selection import rows_of_file, select_classes
from napari_ini3d.io.cryosparc.carried import decode
from napari_ini3d.io.cryosparc.dataset import (
    Fields,
    describe_results,
    find_passthrough,
    has_result,
    join_passthrough,
    read_dataset,
    read_field,
)
from napari_ini3d.io.cryosparc.to_star import (
    dark_particles,
    describe_unused,
    image_columns,
    to_star_tables,
)
from napari_ini3d.io.star.image_names import is_respelled, search_folders, search_stacks
from napari_ini3d.io.star.particle_values import check_defocus
from napari_ini3d.io.star.particles import ParticleTable, make_particles
from napari_ini3d.particles import Particles

logger = logging.getLogger(__name__)

_IMAGES = ("blob/path", "blob/idx", "blob/shape", "blob/psize_A")
_CTF = ("ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad", "ctf/accel_kv", "ctf/cs_mm",
        "ctf/amp_contrast")  # fmt: skip
_DEFOCUS = ("ctf/df1_A", "ctf/df2_A")
_CLASS_2D = "alignments2D/class"
_OTHERS = {
    "map": "a volume",
    "map_sharp": "a volume",
    "map_half_A": "a volume",
    "mask": "a mask",
    "mask_refine": "a mask",
    "movie_blob": "movies",
    "micrograph_blob": "micrographs",
    "micrograph_blob_non_dw": "micrographs",
    "mscope_params": "micrographs",
}
_NAMES_SHOWN = 3


def read_cryosparc_particles(
    path: Path | str,
    *,
    ctf: bool = True,
    passthrough: Sequence[Path] = (),
    project: Path | None = None,
    classes: Sequence[int] = (),
) -> tuple[Particles, ParticleTable]:
    """Read the particles of a cryoSPARC dataset (`.cs`).

    Parameters
    ----------
    path : Path or str
    ctf : bool
        Whether the CTF will be used. If not, its fields may be missing, and are not checked.
    passthrough : sequence of Path
        Passthrough files of the job, joined by uid. Default: those beside the dataset that have
        all of its particles, if fields are missing.
    project : Path, optional
        Project folder, to which the paths of stacks are relative. Default: the folder of the
        dataset, those above it, and the current folder.
    classes : sequence of int
        Read only the particles of these classes, numbered from 0 as in the dataset
        (`alignments2D/class`). Default: all.

    Returns
    -------
    particles : Particles
        One per row that is read, in the order of the file.
    table : ParticleTable
        The same in RELION's columns, with absolute paths of the stacks, and the uid as cs/uid.

    Raises
    ------
    CryosparcError
        If the dataset is not one of particles, is empty, cannot be read, lacks a field, has an
        impossible value, or a class has no particles.
    StackError
        If a stack is not found.
    """
    source = Path(path)
    wanted = (_CLASS_2D,) if classes else ()
    fields = read_particle_fields(source, ctf=ctf, passthrough=passthrough, wanted=wanted)
    rows = None
    if classes:
        numbers = read_field(source, fields, _CLASS_2D).astype(np.int64)
        chosen = select_classes(source, numbers, classes, CryosparcError)
        fields = {name: values[chosen] for name, values in fields.items()}
        rows = np.flatnonzero(chosen)
    with rows_of_file(rows):
        particles, table = _convert(source, fields, ctf=ctf, project=project)
    return replace(particles, is_dark=dark_particles(fields), file_row=rows), table


def _convert(
    source: Path, fields: Fields, *, ctf: bool, project: Path | None
) -> tuple[Particles, ParticleTable]:
    """Return particles and their table, with the stacks where they are found."""
    names, stack_index = split_paths(source, fields)
    folders = list(search_folders(source, project))
    found = search_stacks(names, folders, source)
    missing = [name for name, stack in zip(names, found, strict=True) if stack is None]
    if missing:
        raise _missing_error(source, missing, len(names), folders)
    for name, stack in zip(names, found, strict=True):
        if stack is not None and is_respelled(name, stack):
            logger.warning("%s: %s is not found; %s is read instead", source, name, stack)
    if ctf:
        underfocus = {name: fields[name].astype(np.float64) for name in _DEFOCUS}
        check_defocus(source, underfocus, CryosparcError)
    images = image_columns(fields, [str(stack) for stack in found], stack_index)
    optics, columns = to_star_tables(source, fields, images, ctf=ctf, everything=False)
    particles, table = make_particles(ParticleTable(source, optics, columns), ctf=ctf)
    for note in describe_unused(fields):
        logger.warning("%s: %s", source, note)
    return particles, table


def read_particle_fields(
    path: Path, *, ctf: bool, passthrough: Sequence[Path] = (), wanted: Sequence[str] = ()
) -> dict[str, AnyArray]:
    """Return the fields of a dataset of particles, with those of its passthrough files.

    Other parameters and errors are those of `read_cryosparc_particles`.

    Parameters
    ----------
    wanted : sequence of str
        Fields that are looked for beside those of images and CTF; they may be missing.
    """
    fields = read_dataset(path)
    _refuse_others(path, fields)
    useful = [name for name in (*_IMAGES, *_CTF, *wanted) if name not in fields]
    others = {other: read_dataset(other) for other in passthrough}
    if useful and not others:
        others = find_passthrough(path, fields, useful)
    fields = join_passthrough(path, fields, others)
    missing = [name for name in (*_IMAGES, *(_CTF if ctf else ())) if name not in fields]
    if missing:
        raise _missing_fields_error(path, fields, missing)
    return fields


def split_paths(path: Path, fields: Fields) -> tuple[list[str], IntArray]:
    """Return each path of a stack once, without the mark of exports, and each image's position.

    Raises
    ------
    CryosparcError
        If a path is empty.
    """
    codes: dict[str, int] = {}
    cells = decode(fields["blob/path"]).tolist()
    index = np.fromiter((codes.setdefault(cell, len(codes)) for cell in cells), np.int32)
    if "" in codes:
        raise CryosparcError.at_row(
            f"{path}: blob/path is empty in ",
            int(np.argmax(index == codes[""])),
            "; expected the path of a stack; export the particles again",
        )
    return [name.removeprefix(">") for name in codes], index


def _refuse_others(path: Path, fields: Fields) -> None:
    """Raise `CryosparcError` for volumes, micrographs and the like."""
    results = {name.partition("/")[0] for name in fields}
    what = next((words for result, words in _OTHERS.items() if result in results), None)
    if what is not None and "blob" not in results:
        raise CryosparcError(
            f"{path}: this is the dataset of {what} ({describe_results(fields)}); expected one of "
            "particles; give the particles' .cs file of the job"
        )


def _missing_fields_error(path: Path, fields: Fields, missing: list[str]) -> CryosparcError:
    results = ", ".join(dict.fromkeys(name.partition("/")[0] for name in missing))
    what = f"{path}: no {missing[0]} (found: {describe_results(fields)})"
    advice = "give the passthrough file of the job that has them (--passthrough)"
    if has_result(fields, "location") and not has_result(fields, "blob"):
        advice += "; if these are picks, extract the particles first"
    elif has_result(fields, "blob") and not has_result(fields, "ctf"):
        advice += "; if these are 2D class averages, give the particles instead"
    return CryosparcError(f"{what}; expected the fields of {results}; {advice}")


def _missing_error(
    path: Path, missing: list[str], n_stacks: int, folders: list[Path]
) -> StackError:
    shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
    return StackError(
        f"{path}: {len(missing)} of {n_stacks} stacks not found: {shown}; searched in "
        f"{folders[0]}, the folders above the file and {Path.cwd()}; give the project folder of "
        "cryoSPARC (--project)"
    )
