"""Preparation of a run: its particles and images are checked, and its folder is created."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from napari_ini3d import __version__
from napari_ini3d._address_space import check_address_space_for_run
from napari_ini3d._types import UInt32
from napari_ini3d.errors import SettingsError
from napari_ini3d.io import (
    ParticleFiles,
    ParticleTable,
    check_scratch_for,
    read_particles,
    remove_abandoned,
    write_error,
    write_particle_subset,
)
from napari_ini3d.kernels import choose_backend
from napari_ini3d.particles import Particles
from napari_ini3d.preflight import (
    PixelGrid,
    Selection,
    check_box,
    check_path_name,
    check_symmetry,
    choose_working_grid,
    particle_grid,
    select_images,
    settings_for,
)
from napari_ini3d.runs import (
    STALE_SECONDS,
    RunFolder,
    RunLock,
    RunRecord,
    RunRequests,
    digest_particle_files,
    run_files,
    write_image_checksums,
)
from napari_ini3d.settings import InitialModelSettings

_BYTES_PER_VOXEL = 96  # the map twice, and two checkpoints of maps and half-set sums
_BYTES_PER_RESULT_VOXEL = 12  # the result, aligned and symmetrised, in the particles' box
_BYTES_PER_PARTICLE = 600  # a row of the STAR file, and twice the assignment in the state


@dataclass(frozen=True, slots=True)
class Job:
    """A checked run: its folder, which is locked, its record and particles."""

    folder: RunFolder
    lock: RunLock
    record: RunRecord
    particles: Particles
    table: ParticleTable
    checksums: UInt32 | None

    @property
    def settings(self) -> InitialModelSettings:
        return self.record.settings


class StoppedError(Exception):
    """The run was stopped before its first iteration; caught in `jobs.run`."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Raises `StoppedError` when called after a request to stop."""

    stop: Callable[[], bool]

    def __call__(self) -> None:
        if self.stop():
            raise StoppedError


def prepare_job(
    files: ParticleFiles,
    output: Path,
    settings: InitialModelSettings,
    command: str,
    halt: Halt,
    *,
    overwrite: bool,
    strict: bool,
) -> Job:
    """Check everything, and create the run folder; `halt` is called before each check."""
    for path in (*files.all_paths, output, *([Path(settings.scratch)] if settings.scratch else [])):
        check_path_name(path)
    RunFolder.check_free(output, overwrite=overwrite)
    _check_input_stays(files, output)
    check_address_space_for_run()
    settings = settings_for(files, settings)
    check_symmetry(settings)
    choose_backend(settings.device)
    halt()
    particles, table = read_particles(files, ctf=settings.ctf)
    check_box(files.path, particles)
    halt()
    chosen = select_images(particles, table, settings, halt, strict=strict)
    used, resolved = particles.take(chosen.good), _resolve(settings, chosen)
    own = particle_grid(used)
    grid = choose_working_grid(own, resolved)
    working = None if grid == own else grid.pixel_size
    RunFolder.check_space(output, _bytes_needed(len(used), own, grid, settings.classes))
    if settings.scratch:
        check_scratch_for(used, working, Path(settings.scratch))
    record = RunRecord(
        version=__version__,
        command=command,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        particles=str(files.path.absolute()),
        particles_sha256=digest_particle_files(files),
        passthrough=tuple(str(path.absolute()) for path in files.passthrough),
        project="" if files.project is None else str(files.project.absolute()),
        classes_2d=files.classes_2d,
        class_averages=files.class_averages,
        n_particles=len(particles),
        excluded=tuple(int(particles.row[image.index]) for image in chosen.bad),
        mask_estimated=settings.mask_diameter is None,
        contrast=chosen.contrast,
        inversion_measured=settings.invert_contrast == "auto",
        n_mended=int(np.count_nonzero(chosen.replaced_pixels)),
        n_replaced_pixels=int(chosen.replaced_pixels.sum()),
        n_uneven=chosen.n_uneven,
        working_pixel_size=working,
        settings=resolved,
    )
    halt()
    lock = lock_folder(output)
    try:
        folder = RunFolder.create(output, overwrite=overwrite, locked=True)
        if record.excluded:
            rows, reasons = np.array(record.excluded), [image.reason for image in chosen.bad]
            folder.claim(folder.excluded_path)
            write_particle_subset(folder.excluded_path, table, rows, reasons)
        checksums = chosen.checksums[chosen.good]
        write_image_checksums(folder, checksums)
        folder.write_record(record)
    except BaseException:
        lock.release()
        raise
    return Job(folder, lock, record, used, table, checksums)


def _resolve(settings: InitialModelSettings, chosen: Selection) -> InitialModelSettings:
    """Return the settings with what was measured on the images, and an absolute scratch folder."""
    return settings.with_changes(
        mask_diameter=chosen.mask_diameter,
        invert_contrast="yes" if chosen.inverted else "no",
        scratch=os.path.abspath(settings.scratch) if settings.scratch else None,
    )


def lock_folder(path: Path) -> RunLock:
    """Lock a run folder, which is made if need be, and remove what killed runs left in it.

    Raises
    ------
    RunFolderError
        If another run is going on in it, or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    lock = RunLock.acquire(path.absolute())
    try:
        RunRequests(path).clear()  # to a run that was killed
    except BaseException:
        lock.release()
        raise
    for folder in (path, path / "pictures", path / "history"):
        remove_abandoned(folder, after=STALE_SECONDS)  # also those of an owner elsewhere
    return lock


def _check_input_stays(files: ParticleFiles, output: Path) -> None:
    """Refuse particles that are an output of the run that is to be replaced."""
    outputs = run_files(RunFolder(output.absolute())) if output.is_dir() else []
    if files.path.resolve() in [path.resolve() for path in outputs]:
        raise SettingsError(
            f"{files.path} is an output of the run in {output}, which would be deleted; give "
            "another folder as output"
        )


def _bytes_needed(n_particles: int, own: PixelGrid, grid: PixelGrid, classes: int) -> int:
    """Estimate the disk space of an iteration, the result and two checkpoints, in bytes."""
    state = classes * grid.box_size**3 * _BYTES_PER_VOXEL + n_particles * _BYTES_PER_PARTICLE
    return state + (own.box_size**3 * _BYTES_PER_RESULT_VOXEL if grid != own else 0)
