"""Checks of the jobs of a batch before the first one starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.errors import Ini3dError
from napari_ini3d.io import ParticleFiles
from napari_ini3d.jobs.batch_file import Batch, BatchJob
from napari_ini3d.kernels import choose_backend
from napari_ini3d.preflight import CheckReport, ParticleChecks, settings_for
from napari_ini3d.runs import (
    RunFolder,
    RunRecord,
    describe_outcome,
    digest_particle_files,
)
from napari_ini3d.settings import format_setting

_MAY_DIFFER = {"threads", "preread", "scratch", "write_every"}  # not the result


@dataclass(frozen=True, slots=True)
class JobCheck:
    """What the checks of a job found.

    Attributes
    ----------
    job : BatchJob
    to_do : {"nothing", "start", "resume"}
        Nothing if it is finished.
    problems : tuple of str
        With any of them it cannot run.
    report : CheckReport or None
        Of the particles of a job that starts.
    """

    job: BatchJob
    to_do: str
    problems: tuple[str, ...] = ()
    report: CheckReport | None = None


def check_batch(batch: Batch, *, strict: bool = False, is_local: bool = True) -> Iterator[JobCheck]:
    """Check the jobs of a batch, one after another.

    The images of a particle file that several jobs share are read once. Of a job whose run has
    begun, its particle file and settings are compared with those of the run.

    Parameters
    ----------
    batch : Batch
    strict : bool
        Treat warnings about the particles as errors.
    is_local : bool
        Whether this machine computes, and not a cluster: then its devices are checked.
    """
    with ParticleChecks(strict=strict) as checks:
        for job in batch.jobs:
            yield _check_job(job, checks, is_local=is_local)


def _check_job(job: BatchJob, checks: ParticleChecks, *, is_local: bool) -> JobCheck:
    try:
        if is_local and job.settings.device != "auto":
            choose_backend(job.settings.device)
        run = _begun_run(job.output)
        if run is None:
            RunFolder.check_free(job.output)
            report = checks.check(job.files, job.settings)
            return JobCheck(job, "start", report.problems, report)
        differences = find_differences(job, run.read_record())
    except (Ini3dError, OSError) as error:
        return JobCheck(job, "start", (str(error),))
    if differences:
        listed = "; ".join(differences)
        problem = (
            f"{job.output} holds a run of something else ({listed}); give the job another output, "
            "or delete that run"
        )
        return JobCheck(job, "resume", (problem,))
    return JobCheck(job, "nothing" if describe_outcome(run) == "finished" else "resume")


def _begun_run(path: Path) -> RunFolder | None:
    """Return the run in a folder, if it has done iterations or is to be resumed."""
    folder = RunFolder(path.absolute())
    if not folder.settings_path.is_file():
        return None
    return folder if folder.has_begun or folder.outcome() is None else None


def find_differences(job: BatchJob, record: RunRecord) -> list[str]:
    """Return in words how a run differs from a job; what does not change the result may.

    Parameters
    ----------
    job : BatchJob
    record : RunRecord
        Of the run in its output folder.
    """
    files, of_run = job.files, record.particle_files
    found = []
    if files.path.resolve() != of_run.path.resolve():
        found.append(f"particles {of_run.path} instead of {files.path}")
    elif _has_changed(files, record):
        found.append(f"{files.path} has changed since")
    if _resolved(files.project) != _resolved(of_run.project):
        found.append(f"project {of_run.project} instead of {files.project}")
    if files.classes_2d != of_run.classes_2d:
        found.append("particles of other 2D classes")
    if files.class_averages != of_run.class_averages:
        found.append("class averages instead of particles, or the other way around")
    wanted = settings_for(files, job.settings)
    for field in dataclasses.fields(wanted):
        name = field.name
        mine, other = getattr(wanted, name), getattr(record.settings, name)
        if mine != other and name not in _MAY_DIFFER and not _is_measured(name, mine, record):
            there, here = format_setting(name, other), format_setting(name, mine)
            found.append(f"{name} {there} instead of {here}")
    return found


def _has_changed(files: ParticleFiles, record: RunRecord) -> bool:
    is_there = all(path.is_file() for path in files.all_paths)
    return is_there and digest_particle_files(files) != record.particles_sha256


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _is_measured(name: str, wanted: object, record: RunRecord) -> bool:
    """Return whether a setting of a run was measured on the images, as the job wants it."""
    if name == "mask_diameter":
        return wanted is None and record.mask_estimated
    return name == "invert_contrast" and wanted == "auto" and record.inversion_measured
