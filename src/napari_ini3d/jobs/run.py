"""A run from files to files: check, set bad images aside, reconstruct, write, and go on again.

No Qt and no command line here: both only walk through the reports that `start_run` gives.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from napari_ini3d import __version__
from napari_ini3d.engine import EngineState, IterationReport, reconstruct
from napari_ini3d.errors import Ini3dError, RunFolderError, SettingsError
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import (
    ParticleTable,
    StackReader,
    check_scratch_for,
    read_map,
    read_particles,
    reading_threads,
    write_map,
    write_particle_subset,
)
from napari_ini3d.jobs.symmetry import apply_symmetry, check_symmetry
from napari_ini3d.kernels import choose_backend
from napari_ini3d.particles import Particles
from napari_ini3d.preflight import PixelGrid, choose_working_grid, particle_grid, select_images
from napari_ini3d.report import write_report
from napari_ini3d.runs import (
    IterationSummary,
    RunFolder,
    RunRecord,
    format_line,
    log_to_file,
    make_pictures,
    resume_command,
    write_results,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_BYTES_PER_VOXEL = 60  # map, and twice a state of moments and their variance
_BYTES_PER_RESULT_VOXEL = 12  # the result, aligned and symmetrised, in the particles' box
_BYTES_PER_PARTICLE = 600  # a row of the STAR file, and twice the assignment in the state


def never() -> bool:
    """Tell the engine to go on; what `stop` is where nobody wants to stop it."""
    return False


@dataclass(frozen=True, slots=True)
class _Job:
    """A checked run: where it is written, and from what."""

    folder: RunFolder
    record: RunRecord
    particles: Particles
    table: ParticleTable

    @property
    def settings(self) -> InitialModelSettings:
        return self.record.settings


class _StoppedError(Exception):
    """The user has stopped the run before its first iteration; it does not leave this module."""


@dataclass(frozen=True, slots=True)
class _Halt:
    """Called where the checks can be left."""

    stop: Callable[[], bool]

    def __call__(self) -> None:
        if self.stop():
            raise _StoppedError


def start_run(
    particles_star: Path,
    output: Path,
    settings: InitialModelSettings,
    *,
    command: str = "",
    stop: Callable[[], bool] = never,
) -> Iterator[IterationReport]:
    """Check everything, make the run folder, and return the run as an iterator.

    The checks are done before this function returns; the iterations as the iterator is walked.
    After each one the files are on disk before its report is given out. Stopped during the
    checks, nothing is written and there are no iterations.

    Parameters
    ----------
    particles_star : Path
        STAR file of the particles.
    output : Path
        Folder of the run; made where it does not exist.
    settings : InitialModelSettings
        A mask diameter that is None is estimated from the images.
    command : str
        As typed, for the record.
    stop : callable
        Looked at between the checks and by the engine; once it is true, the iteration in hand is
        finished and written, and the run can be resumed.

    Raises
    ------
    Ini3dError
        At once, for what cannot be run: settings that contradict the images, files that are
        missing or broken, too many bad images, a folder that is taken.
    """
    output, particles_star = Path(output), Path(particles_star)
    try:
        job = _check_and_create(particles_star, output, settings, command, _Halt(stop))
    except _StoppedError:
        logger.info("stopped during the checks; nothing was written")
        return _nothing()
    return _walk(job, None, stop)


def _check_and_create(
    star: Path, output: Path, settings: InitialModelSettings, command: str, halt: _Halt
) -> _Job:
    """Check everything, and make the run folder; `halt` is asked before each check."""
    RunFolder.check_free(output)
    check_symmetry(settings)
    choose_backend(settings.device)
    halt()
    particles, table = read_particles(star, ctf=settings.ctf)
    halt()
    chosen = select_images(particles, settings, halt)
    used = particles.take(chosen.good)
    resolved = settings.with_changes(mask_diameter=chosen.mask_diameter)
    own = particle_grid(used)
    grid = choose_working_grid(own, resolved)
    record = RunRecord(
        version=__version__,
        command=command,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        particles=str(star.absolute()),
        particles_sha256=_digest(star),
        n_particles=len(particles),
        excluded=tuple(int(particles.row[image.index]) for image in chosen.bad),
        mask_estimated=settings.mask_diameter is None,
        working_pixel_size=None if grid == own else grid.pixel_size,
        settings=resolved,
    )
    RunFolder.check_space(output, _bytes_needed(len(used), own, grid, settings.classes))
    if settings.scratch:
        check_scratch_for(used, record.working_pixel_size, Path(settings.scratch))
    halt()
    job = _Job(RunFolder.create(output), record, used, table)
    if record.excluded:
        rows, reasons = np.array(record.excluded), [image.reason for image in chosen.bad]
        write_particle_subset(job.folder.excluded_path, table, rows, reasons)
    job.folder.write_record(record)
    return job


def resume_run(
    folder: Path,
    *,
    from_iteration: int | None = None,
    iterations: int | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[IterationReport]:
    """Go on with a run from its last checkpoint; equal to a run that was never interrupted.

    A run that ended before its first iteration was done begins anew.

    Parameters
    ----------
    folder : Path
        Of the run.
    from_iteration : int, optional
        A written iteration to go back to.
    iterations : int, optional
        A new number of iterations, to extend the run.
    stop : callable
        As for `start_run`.

    Raises
    ------
    Ini3dError
        If there is no run in the folder, it has finished, or its particles have changed.
    """
    runs = RunFolder.open(Path(folder))
    record = runs.read_record()
    if runs.outcome() == "SUCCESS" and from_iteration is None and iterations is None:
        raise RunFolderError(
            f"{folder} holds a run that has finished; give --iterations with a larger number to "
            "extend it, or --from-iteration to go back"
        )
    runs.read_progress()  # refuses a run of another version before anything is changed
    if iterations is not None:
        record = replace(record, settings=record.settings.with_changes(iterations=iterations))
    iteration, state = _read_state(runs, from_iteration, iterations)
    particles, table = _read_again(record)
    if state is not None:
        runs.write_checkpoint(state.to_arrays(), iteration, keep=False)
    runs.forget_after(iteration)
    runs.write_record(record)
    return _walk(_Job(runs, record, particles, table), state, stop)


def _nothing() -> Iterator[IterationReport]:
    """Give a run without iterations."""
    yield from ()


def _walk(
    job: _Job, state: EngineState | None, stop: Callable[[], bool]
) -> Iterator[IterationReport]:
    """Yield the reports, each after its files are on disk; leave a marker however it ends."""
    report: IterationReport | None = None
    with _log_and_mark(job.folder):
        _log_start(job, resumed=state is not None)
        try:
            reader = _open_images(job, _Halt(stop))
        except _StoppedError:
            _finish(job, None, stopped=True)
            return
        with closing(reader):
            reports = reconstruct(reader, job.particles, job.settings, state=state, stop=stop)
            for report in reports:
                _write_iteration(job, report)
                yield report
        _finish(job, report, stopped=stop())


@contextmanager
def _log_and_mark(folder: RunFolder) -> Iterator[None]:
    """Log to the run folder, and mark a run that ends by an error or is stopped at once."""
    folder.clear_marks()
    with log_to_file(folder.log_path):
        try:
            yield
        except (GeneratorExit, KeyboardInterrupt):
            logger.info("stopped at once; continue with `%s`", resume_command(folder.path))
            folder.mark("ABORTED")
            raise
        except Exception as error:
            logger.error("%s", error, exc_info=not isinstance(error, Ini3dError))
            folder.mark("FAILURE")
            raise


def _open_images(job: _Job, halt: _Halt) -> StackReader:
    """Open the images of a run, in the pixel size that was chosen when it was started."""
    pixel_size = job.record.working_pixel_size
    return StackReader(
        job.particles,
        pixel_size=pixel_size,
        preread=job.settings.preread,
        scratch=Path(job.settings.scratch) if job.settings.scratch else None,
        threads=reading_threads(job.settings.threads, shared=pixel_size is None),
        between=halt,
    )


def _write_iteration(job: _Job, report: IterationReport) -> None:
    """Write all that an iteration leaves; the checkpoint last, it is what makes it count."""
    folder = job.folder
    summary = IterationSummary.from_report(report)
    due = is_due(report, job.settings)
    if due:
        write_results(folder, report, job.particles, job.table, job.settings)
    folder.write_pictures(report.iteration, make_pictures(report))
    folder.append_progress(summary.to_json())
    folder.write_checkpoint(report.state.to_arrays(), report.iteration, keep=due)
    logger.info("%s", format_line(summary))


def is_due(report: IterationReport, settings: InitialModelSettings) -> bool:
    """Tell whether maps and STAR files are written at this iteration."""
    last = report.converged or report.iteration >= report.n_iterations
    return last or report.iteration % settings.write_every == 0


def _finish(job: _Job, report: IterationReport | None, *, stopped: bool) -> None:
    """Write the result and the report page, and mark how the run ended.

    `report` is None where the engine had nothing left to do: the run was killed between its last
    iteration and its result.
    """
    folder = job.folder
    if report is not None and not is_due(report, job.settings):
        write_results(folder, report, job.particles, job.table, job.settings)
        folder.write_checkpoint(report.state.to_arrays(), report.iteration, keep=True)
    lines = folder.read_progress()
    finished = bool(lines) and (not stopped or lines[-1]["converged"])
    if finished:
        last = IterationSummary.from_json(lines[-1])
        _write_result(job, last)
        apply_symmetry(folder, job.settings, last.iteration, working_box=last.box_size)
    else:
        logger.info("stopped; continue with `%s`", resume_command(folder.path))
    folder.mark("SUCCESS" if finished else "ABORTED")
    write_report(folder)


def _write_result(job: _Job, last: IterationSummary) -> None:
    """Give the map of the largest class the name of the result, in the particles' own box."""
    folder, own = job.folder, particle_grid(job.particles)
    best = int(np.argmax(last.class_shares))
    found = read_map(folder.class_map_path(last.iteration, best))
    write_map(folder.map_path, resize_map(found.data, own.box_size), own.pixel_size)
    share = last.class_shares[best]
    logger.info("%s is class %d, with %.0f %% of the particles", folder.map_path.name, best + 1,
                100 * share)  # fmt: skip


def _read_state(
    folder: RunFolder, from_iteration: int | None, iterations: int | None
) -> tuple[int, EngineState | None]:
    """Return the state to go on from; to extend a finished run, one from before its last pass.

    It is None, at iteration 0, where no iteration was done.
    """
    if from_iteration is None and not folder.has_begun:
        return 0, None
    done, arrays = folder.read_checkpoint(from_iteration)
    if iterations is not None and iterations < done:
        raise SettingsError(
            f"iterations is {iterations}, but {done} are done; give a larger number"
        )
    state = EngineState.from_arrays(arrays)
    if iterations is None or not state.finished or from_iteration is not None:
        return done, state
    for earlier in reversed(folder.written_iterations()):
        state = EngineState.from_arrays(folder.read_checkpoint(earlier)[1])
        if not state.finished:
            return earlier, state
    raise RunFolderError(
        f"{folder.path} has no state from before its last pass, so it cannot be extended; "
        "start again with more iterations in another folder"
    )


def _read_again(record: RunRecord) -> tuple[Particles, ParticleTable]:
    """Read the particles of a run that is resumed, without those that were set aside."""
    path = Path(record.particles)
    if path.is_file() and _digest(path) != record.particles_sha256:
        raise RunFolderError(
            f"{path} has changed since the run was started; put the old file back, or start "
            "again in another folder"
        )
    particles, table = read_particles(path, ctf=record.settings.ctf)
    return particles.take(~np.isin(particles.row, record.excluded)), table


def _bytes_needed(n_particles: int, own: PixelGrid, grid: PixelGrid, classes: int) -> int:
    """Estimate what an iteration and the result take, with the checkpoint and its predecessor."""
    state = classes * grid.box_size**3 * _BYTES_PER_VOXEL + n_particles * _BYTES_PER_PARTICLE
    return state + (own.box_size**3 * _BYTES_PER_RESULT_VOXEL if grid != own else 0)


def _log_start(job: _Job, *, resumed: bool) -> None:
    record = job.record
    logger.info("napari-ini3d %s%s", __version__, ", resumed" if resumed else "")
    if record.command:
        logger.info("command: %s", record.command)
    logger.info(
        "%d particles from %s, %d of them set aside",
        record.n_particles,
        record.particles,
        len(record.excluded),
    )
    if record.working_pixel_size is not None:
        own = particle_grid(job.particles)
        box_size = round(own.width / record.working_pixel_size)
        logger.info(
            "worked on in a box of %s; the result is written in the particles' own, %s",
            PixelGrid(box_size, record.working_pixel_size),
            own,
        )
    how = "estimated from the images" if record.mask_estimated else "given"
    logger.info("mask diameter %.0f Å, %s", job.settings.mask_diameter or 0.0, how)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
