"""Particle file of a run: whether it is still the one that the run was started from."""

from __future__ import annotations

import hashlib

import numpy as np

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import ParticleFiles, ParticleTable, read_particles
from napari_ini3d.particles import Particles
from napari_ini3d.runs.record import RunRecord


def digest_particle_files(files: ParticleFiles) -> str:
    """Return the SHA-256 hash of a particle file and its passthrough files."""
    digest = hashlib.sha256()
    for path in files.all_paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def read_source_particles(record: RunRecord) -> tuple[Particles, ParticleTable]:
    """Read the particles of a run from its particle file, without the excluded ones.

    Returns
    -------
    particles : Particles
        In the order of the rows of the run's ``_data.star``.
    table : ParticleTable
        With the rows of the excluded ones.

    Raises
    ------
    RunFolderError
        If the file has changed since the run was started.
    InputError
        If it cannot be read.
    """
    files = record.particle_files
    is_there = all(path.is_file() for path in files.all_paths)
    if is_there and digest_particle_files(files) != record.particles_sha256:
        names = " or ".join(str(path) for path in files.all_paths)
        raise RunFolderError(
            f"{names} has changed since the run was started; restore the file, or start again in "
            "another folder"
        )
    particles, table = read_particles(files, ctf=record.settings.ctf)
    return particles.take(~np.isin(particles.row, record.excluded)), table
