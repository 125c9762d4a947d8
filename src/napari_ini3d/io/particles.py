"""Particles from a file of any format, chosen by its extension."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.errors import SettingsError
from napari_ini3d.io.class_averages import read_class_averages
from napari_ini3d.io.cryosparc.particles import read_cryosparc_particles
from napari_ini3d.io.other_formats import refuse_other_format
from napari_ini3d.io.star.particles import (
    ParticleTable,
    read_particles as read_star_particles,
)
from napari_ini3d.io.star.tables import has_particles
from napari_ini3d.particles import Particles

CRYOSPARC_ENDING = ".cs"
PARTICLE_ENDINGS = (".star", CRYOSPARC_ENDING)
"""Endings of the files that `read_particles` reads."""


@dataclass(frozen=True, slots=True)
class ParticleFiles:
    """A particle file, and what is needed to read it.

    Attributes
    ----------
    path : Path
        STAR file, or dataset of cryoSPARC (`.cs`).
    passthrough : tuple of Path
        Passthrough files of cryoSPARC, joined by uid.
    project : Path or None
        Folder to which the paths of stacks are relative; None to search for them.
    classes_2d : tuple of int
        Classes of a 2D classification whose particles are used, numbered as in the file; all if it
        is empty.
    class_averages : bool
        Whether `path` is a stack of class averages, each of which is used as a particle.
    """

    path: Path
    passthrough: tuple[Path, ...] = ()
    project: Path | None = None
    classes_2d: tuple[int, ...] = ()
    class_averages: bool = False

    @property
    def all_paths(self) -> tuple[Path, ...]:
        """The particle file and its passthrough files."""
        return (self.path, *self.passthrough)


ParticleSource = Path | str | ParticleFiles


def particle_files(source: ParticleSource) -> ParticleFiles:
    """Return a path, or what is needed to read it, as `ParticleFiles`."""
    return source if isinstance(source, ParticleFiles) else ParticleFiles(Path(source))


def is_particle_file(path: Path) -> bool:
    """Return whether `read_particles` reads files of this name."""
    return path.suffix.lower() in PARTICLE_ENDINGS


def is_cryosparc(path: Path) -> bool:
    """Return whether a file is a dataset of cryoSPARC, by its name."""
    return path.suffix.lower() == CRYOSPARC_ENDING


def read_particles(source: ParticleSource, *, ctf: bool = True) -> tuple[Particles, ParticleTable]:
    """Read particles from a STAR file (RELION 3.0 to 5), or a dataset of cryoSPARC (`.cs`).

    Parameters
    ----------
    source : Path, str or ParticleFiles
    ctf : bool
        Whether the CTF will be used. If not, it may be missing (defocus and phase shift are then
        0) and is not checked.

    Returns
    -------
    particles : Particles
        One per row, in the order of the file.
    table : ParticleTable
        All columns of a STAR file; for a dataset of cryoSPARC the same in RELION's columns, with
        its uid.

    Raises
    ------
    InputError
        If the file cannot be used (`StarError`, `CryosparcError`), or a stack is not found.
    SettingsError
        If a STAR file is given passthrough files, or class averages are given classes,
        passthrough files or a project folder.
    """
    files = particle_files(source)
    if files.class_averages:
        if files.classes_2d:
            raise SettingsError(
                f"{files.path} is given as class averages, together with classes of particles; "
                "expected one of them"
            )
        if files.passthrough or files.project is not None:
            given = "passthrough files" if files.passthrough else "a project folder"
            raise SettingsError(
                f"{files.path} is given as class averages, together with {given}; expected the "
                "stack alone; leave the option out (--passthrough, --project)"
            )
        return read_class_averages(files.path)
    refuse_other_format(files.path)
    if is_cryosparc(files.path):
        return read_cryosparc_particles(
            files.path,
            ctf=ctf,
            passthrough=files.passthrough,
            project=files.project,
            classes=files.classes_2d,
        )
    if files.passthrough:
        raise SettingsError(
            f"{files.path} is given with passthrough files; they belong to a .cs file of cryoSPARC"
        )
    return read_star_particles(files.path, ctf=ctf, project=files.project, classes=files.classes_2d)


def may_have_particles(path: Path) -> bool:
    """Return whether a file may have particles; True for a `.cs` file, whatever it holds.

    Raises
    ------
    OSError, StarError
        If a STAR file cannot be read.
    """
    return is_cryosparc(path) or has_particles(path)
