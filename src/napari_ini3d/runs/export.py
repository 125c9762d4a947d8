"""Export of a run to another package: its map, and its particles with their poses."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d.errors import RunFolderError, SettingsError
from napari_ini3d.io import PARTICLE_ENDINGS, atomic_path, read_junk_table
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.read_summaries import read_summaries
from napari_ini3d.runs.selection import JunkSelection
from napari_ini3d.runs.symmetry_files import SymmetryFiles


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """What was exported.

    Attributes
    ----------
    particles_path, map_path : Path
        Files that were written.
    n_particles : int
    note : str
        What has to be known before the files are used; may be empty.
    """

    particles_path: Path
    map_path: Path
    n_particles: int
    note: str


def last_written_iteration(folder: RunFolder) -> int | None:
    """Return the last iteration whose maps and particles are written; None if there is none."""
    written = folder.written_iterations()
    return written[-1] if written else None


def result_map(folder: RunFolder, outcome: Outcome | None) -> Path | None:
    """Return the map of a run; of one without a result, the largest class it has written last."""
    if outcome == "SUCCESS":
        return folder.map_path
    last = last_written_iteration(folder)
    summaries = [s for s in read_summaries(folder) if s.iteration == last]
    if last is None or not summaries:
        return None
    shares = summaries[-1].class_shares
    return folder.class_map_path(last, shares.index(max(shares)))


def result_particles(folder: RunFolder) -> Path | None:
    """Return the particles of a run: with poses for the aligned map if there is one."""
    aligned = SymmetryFiles(folder).particles_path
    if aligned.is_file():
        return aligned
    last = last_written_iteration(folder)
    return None if last is None else folder.iteration_path(last, "data.star")


def export_run(folder: RunFolder, target: Path) -> ExportedRun:
    """Write the particles of a run with their poses, and its map beside them, for another package.

    The map is the one with the symmetry imposed if the run has one, and the poses belong to it.

    Parameters
    ----------
    folder : RunFolder
    target : Path
        Particles: ``.star`` for RELION, with image names that hold in the project of that file, or
        ``.cs`` for cryoSPARC, with a ``.csg`` beside it. The map has the same name and the ending
        ``.mrc``.

    Raises
    ------
    SettingsError
        If `target` has another ending, or would replace a file of the run.
    RunFolderError
        If the run has written no iteration, a map of that name exists, or a file cannot be written.
    StarError, CryosparcError
        If the particles of the run cannot be read.
    """
    if target.suffix not in PARTICLE_ENDINGS:
        raise SettingsError(f"{target}: expected a name that ends in .star or .cs")
    if target.absolute().parent == folder.path.absolute():
        raise SettingsError(f"{target} is in the folder of the run; choose another folder")
    map_path = target.with_suffix(".mrc")
    if map_path.exists():
        raise RunFolderError(f"{map_path} exists; choose another name")
    outcome = folder.outcome()
    particles, found = result_particles(folder), result_map(folder, outcome)
    if particles is None or found is None:
        raise RunFolderError(
            f"{folder.path} has written no iteration yet; wait for the first one, or continue the "
            "run"
        )
    symmetrised = SymmetryFiles(folder).symmetrised_path
    if particles == SymmetryFiles(folder).particles_path and symmetrised.is_file():
        found = symmetrised
    table = read_junk_table(particles)
    every = np.ones(len(table.table), dtype=np.bool_)
    record = folder.read_record()
    JunkSelection(last_written_iteration(folder) or 0, 1.0, table, every, record).write(
        target, kept=True
    )
    with atomic_path(map_path) as temporary:
        shutil.copyfile(found, temporary)
    dark = target.suffix == ".star" and record.settings.invert_contrast == "yes"
    note = (
        "The images are black on white, and RELION expects white on black: invert them before you "
        "refine them (relion_image_handler --multiply_constant -1)."
        if dark
        else ""
    )
    return ExportedRun(target, map_path, len(every), note)
