"""Export of a run to another package: its map, and its particles with their poses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray
from napari_ini3d.errors import RunFolderError, SettingsError
from napari_ini3d.io import PARTICLE_ENDINGS, atomic_path, read_junk_table
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.selection import JunkSelection
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.runs.written import written_iterations


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


def result_map(folder: RunFolder, outcome: Outcome | None) -> Path | None:
    """Return the map of a run; of one without a result, the largest class it has written last."""
    if outcome == "SUCCESS":
        return folder.map_path
    written = written_iterations(folder)
    if not written:
        return None
    shares = written[max(written)]["class_shares"]
    return folder.class_map_path(max(written), shares.index(max(shares)))


def result_particles(folder: RunFolder) -> Path | None:
    """Return the particles of a run: with poses for the aligned map if there is one."""
    aligned = SymmetryFiles(folder).particles_path
    if aligned.is_file():
        return aligned
    written = written_iterations(folder)
    return folder.iteration_path(max(written), "data.star") if written else None


def export_run(folder: RunFolder, target: Path) -> ExportedRun:
    """Write the particles of a run with their poses, and its map beside them, for another package.

    If symmetry was searched for, the poses belong to the aligned map: the one with the symmetry
    imposed where the group holds, and the one without where it does not. Particles that the run has
    not used yet have no pose and are left out.

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
        If `target` has another ending, or would replace a file of the run or one that it has read.
    RunFolderError
        If the run has written no iteration, or has used no particle yet, a file of the run is
        missing, a map of that name exists, or a file cannot be written.
    StarError, CryosparcError
        If the particles of the run cannot be read.
    """
    if target.suffix not in PARTICLE_ENDINGS:
        raise SettingsError(
            f"{target} is no file of particles; expected a name that ends in .star or .cs"
        )
    if target.absolute().parent == folder.path.absolute():
        raise SettingsError(f"{target} is in the folder of the run; choose another folder")
    map_path = target.with_suffix(".mrc")
    if map_path.exists():
        raise RunFolderError(f"{map_path} exists; choose another name")
    particles = result_particles(folder)
    if particles is None:
        raise RunFolderError(
            f"{folder.path} has written no iteration yet; wait for the first one, or continue the "
            "run"
        )
    record = folder.read_record()
    _check_not_read(target, record)
    found, notes = _map_of(folder, particles)
    table = read_junk_table(particles)
    has_pose = table.is_assigned
    n_particles = int(np.count_nonzero(has_pose))
    if not n_particles:
        raise RunFolderError(f"{particles}: no particle has a pose yet; continue the run")
    notes += _notes_on_particles(has_pose, record, target)
    iteration = max(written_iterations(folder), default=0)
    JunkSelection(iteration, 1.0, table, has_pose, record).write(target, kept=True)
    with atomic_path(map_path) as temporary:
        shutil.copyfile(found, temporary)
    return ExportedRun(target, map_path, n_particles, " ".join(notes))


def _notes_on_particles(has_pose: BoolArray, record: RunRecord, target: Path) -> Iterator[str]:
    """Yield what has to be known of the particles before they are used."""
    n_missing = int(np.count_nonzero(~has_pose))
    if n_missing:
        yield (
            f"{n_missing} of {len(has_pose)} particles are left out: the run has not used them "
            "yet, and they have no pose."
        )
    if record.settings.classes > 1:
        yield (
            f"The particles are those of all {record.settings.classes} classes, but the map is of "
            "one class: select its particles by their class before you refine it."
        )
    if target.suffix == ".star" and record.settings.invert_contrast == "yes":
        yield (
            "The images are black on white, and RELION expects white on black: invert them before "
            "you refine them (relion_image_handler --multiply_constant -1)."
        )


def _check_not_read(target: Path, record: RunRecord) -> None:
    """Refuse a target that would replace a file from which the run reads its particles."""
    group = [target.with_suffix(".csg")] if target.suffix == ".cs" else []
    written = {path.resolve() for path in (target, *group)}
    for path in record.particle_files.all_paths:
        if path.resolve() in written:
            raise SettingsError(f"{target} is the particle file of the run; choose another name")


def _map_of(folder: RunFolder, particles: Path) -> tuple[Path, list[str]]:
    """Return the map to which the poses of the particles belong, and what is to be said of it."""
    files, notes = SymmetryFiles(folder), []
    found = result_map(folder, folder.outcome())
    if particles == files.particles_path:
        facts = files.read_facts()
        if facts is None:
            raise RunFolderError(
                f"{files.facts_path} is missing or damaged; expected whether the symmetry holds; "
                "resume the run to search for it again"
            )
        found = files.symmetrised_path if facts.get("holds") else files.aligned_path
        if not facts.get("holds"):
            notes.append(
                f"{facts['group']} does not hold: the map is aligned to its axes, without the "
                "symmetry imposed."
            )
    if found is None or not found.is_file():
        raise RunFolderError(
            f"{found or folder.path / 'progress.jsonl'} is missing; expected the map of the run; "
            "resume the run to write it again"
        )
    return found, notes
