"""Particles of a run with their poses, on the axes of a point group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32, Float64
from napari_ini3d.engine import FixedPoses
from napari_ini3d.errors import SymmetryError
from napari_ini3d.geometry import RigidTransform, euler_to_matrix
from napari_ini3d.io import (
    StackReader,
    bytes_to_keep,
    is_cryosparc,
    read_posed_particles,
    reading_threads,
    rotate_particles,
)
from napari_ini3d.particles import Particles
from napari_ini3d.runs import RunFolder, RunRecord, read_source_particles
from napari_ini3d.settings import InitialModelSettings

_LEAST_PARTICLES = 20


@dataclass(frozen=True, slots=True)
class PosedRun:
    """Particles of one class of a run, on the axes of a point group.

    Attributes
    ----------
    settings : InitialModelSettings
    star_path : Path
        Poses for the aligned map, of all rows.
    particles : Particles
        Of the class.
    matrices : (rows, 3, 3) float64
        Of the poses of all rows.
    origins : (N, 2) float32
        Å, of the particles of the class.
    working_pixel_size : float or None
        Å, to which the images are resampled.
    """

    settings: InitialModelSettings
    star_path: Path
    particles: Particles
    matrices: Float64
    origins: Float32
    working_pixel_size: float | None

    @classmethod
    def read(
        cls, folder: RunFolder, source: Path, class_index: int, transform: RigidTransform,
        target: Path,
    ) -> PosedRun:  # fmt: skip
        """Read the particles of a class, with the poses for the aligned map.

        Parameters
        ----------
        folder : RunFolder
        source : Path
            STAR file of the run.
        class_index : int
            From 0.
        transform : RigidTransform
            Of the map, Å.
        target : Path
            STAR file to write with the poses for the aligned map.

        Raises
        ------
        SymmetryError
            If the class has too few particles, or the contrast of those of a dataset of cryoSPARC
            cannot be told from it.
        RunFolderError
            If that dataset has changed.
        """
        record = folder.read_record()
        rotate_particles(source, target, transform)
        found = read_posed_particles(target, ctf=record.settings.ctf)
        every = _with_contrast(found.particles, record, source)
        particles = every.take(found.classes[every.row] == class_index + 1)
        if len(particles) < _LEAST_PARTICLES:
            raise SymmetryError(
                f"{source}: {len(particles)} particles in class {class_index + 1}; expected at "
                f"least {_LEAST_PARTICLES}; choose a larger class"
            )
        matrices = euler_to_matrix(*found.angles.T)  # (rows, 3, 3)
        origins = np.stack([particles.origin_x, particles.origin_y], axis=1)
        return cls(
            settings=record.settings,
            star_path=target,
            particles=particles,
            matrices=matrices,
            origins=origins.astype(np.float32),
            working_pixel_size=record.working_pixel_size,
        )

    @property
    def poses(self) -> FixedPoses:
        """Poses of the particles of the class."""
        return FixedPoses(self.matrices[self.particles.row].astype(np.float32), self.origins)

    def thinned(self, most: int) -> PosedRun:
        """Return at most so many of the particles, evenly spaced."""
        count = len(self.particles)
        if count <= most:
            return self
        chosen = np.arange(most) * count // most
        return replace(self, particles=self.particles.take(chosen), origins=self.origins[chosen])

    def open_images(self, threads: int) -> StackReader:
        """Open the images of the particles, as the run did."""
        return StackReader(
            self.particles,
            pixel_size=self.working_pixel_size,
            preread=self.settings.preread,
            keep_bytes=bytes_to_keep(),
            threads=reading_threads(threads, shared=self.working_pixel_size is None),
            max_excluded=self.settings.max_excluded,
        )


def _with_contrast(particles: Particles, record: RunRecord, source: Path) -> Particles:
    """Return the particles of a run's STAR file with the contrast that its dataset gives.

    STAR files do not say which images are dark, which a run of a dataset of cryoSPARC inverts if
    they are mixed with others.
    """
    files = record.particle_files
    if not is_cryosparc(files.path):
        return particles
    missing = [str(path) for path in files.all_paths if not path.is_file()]
    if missing:
        raise SymmetryError(
            f"{source} does not say which images are dark, and {missing[0]} is not found; expected "
            "the dataset that the run was started from; put it back"
        )
    own, _ = read_source_particles(record)
    if len(own) <= int(particles.row.max(initial=-1)):
        raise SymmetryError(
            f"{source} has more particles than the {len(own)} of {files.path}; expected the "
            "particles of the run; write the iteration again by resuming the run"
        )
    if own.is_dark is None:
        return particles
    mixed = own.to_invert is not None
    return replace(particles, is_dark=own.is_dark[particles.row], mixed_contrast=mixed)
