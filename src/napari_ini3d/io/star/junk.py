"""Probability of junk in the particle STAR file of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray, Float64, IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.star.columns import read_numbers
from napari_ini3d.io.star.image_names import locate_stacks, split_image_names
from napari_ini3d.io.star.optics import convert_single_table, read_optics_groups
from napari_ini3d.io.star.particles import JUNK_PROBABILITY, ParticleTable
from napari_ini3d.io.star.tables import read_tables


@dataclass(frozen=True, slots=True)
class JunkTable:
    """All columns of N particles, with what is needed to select them.

    Attributes
    ----------
    table : ParticleTable
    junk_probability : (N,) float64
        That the image shows no particle like that of the map.
    is_assigned : (N,) bool
        False for particles of class 0: the run has not used them yet.
    group_names : tuple of str
        Of the optics groups.
    group_index : (N,) int32
        Position in `group_names`.
    """

    table: ParticleTable
    junk_probability: Float64
    is_assigned: BoolArray
    group_names: tuple[str, ...]
    group_index: IntArray


def read_junk_table(path: Path | str) -> JunkTable:
    """Read the ``_data.star`` of a run; the stacks need not exist.

    Raises
    ------
    StarError
        If the file cannot be read, or has no column ini3dJunkProbability.
    """
    star_path = Path(path)
    optics, columns = read_tables(star_path)
    if JUNK_PROBABILITY not in columns:
        raise StarError(
            f"{star_path}: data_particles has no {JUNK_PROBABILITY}; expected particles of a run "
            "that measures the probability of junk; the run was made by an earlier version: start "
            "it again in another folder"
        )
    if optics is None:
        optics, columns = convert_single_table(star_path, columns, ctf=False)
    groups, group_index = read_optics_groups(star_path, optics, columns, ctf=False)
    is_assigned = np.ones(len(columns["rlnImageName"]), dtype=bool)
    if "rlnClassNumber" in columns:
        is_assigned = read_numbers(star_path, columns, "rlnClassNumber") >= 1
    return JunkTable(
        table=ParticleTable(star_path, optics, columns),
        junk_probability=read_numbers(star_path, columns, JUNK_PROBABILITY),
        is_assigned=is_assigned,
        group_names=tuple(group.name for group in groups),
        group_index=group_index,
    )


def keep_stack_names(table: ParticleTable, sources: Sequence[Path]) -> ParticleTable:
    """Return a table that knows its stacks, so that names hold in files that are written from it.

    Parameters
    ----------
    table : ParticleTable
    sources : sequence of Path
        STAR files from whose folders the names hold, in the order in which they are tried.
    """
    images = table.particles["rlnImageName"].tolist()
    stacks = split_image_names(images, table.path)[0]
    return replace(table, stack_paths=tuple(locate_stacks(stacks, sources)))
