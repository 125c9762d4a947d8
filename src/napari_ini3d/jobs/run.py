"""Runs from particle files to a run folder: check, exclude bad images, reconstruct, resume.

The command line and the plugin iterate over the reports that `start_run` yields.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ini3d.comparison import HalfMapFSC
from napari_ini3d.engine import EngineState, IterationReport, reconstruct
from napari_ini3d.errors import Ini3dError, RunFolderError, SettingsError
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import (
    StackReader,
    read_map,
    reading_threads,
    write_map,
)
from napari_ini3d.jobs.preparation import Halt, Job, StoppedError, prepare_job, read_again
from napari_ini3d.jobs.start_log import log_start
from napari_ini3d.jobs.symmetry import apply_symmetry
from napari_ini3d.jobs.validation import validate_run, wants_validation
from napari_ini3d.preflight import particle_grid
from napari_ini3d.report import write_report
from napari_ini3d.runs import (
    IterationSummary,
    RunFolder,
    describe_result,
    forget_history_after,
    format_line,
    log_to_file,
    make_pictures,
    resume_command,
    write_history,
    write_results,
    write_validated_model,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)


def never() -> bool:
    """Return False: the default of `stop`, for runs that are not stopped."""
    return False


def start_run(
    particles_star: Path,
    output: Path,
    settings: InitialModelSettings,
    *,
    command: str = "",
    stop: Callable[[], bool] = never,
) -> Iterator[IterationReport]:
    """Check everything, create the run folder, and return the run as an iterator of reports.

    The checks are done before this function returns, the iterations when the iterator advances.
    The files of an iteration are on disk before its report is yielded. If the run is stopped
    during the checks, nothing is written and there are no iterations.

    Parameters
    ----------
    particles_star : Path
        STAR file of the particles.
    output : Path
        Folder of the run; created if it does not exist.
    settings : InitialModelSettings
        If the mask diameter is None, it is estimated from the images.
    command : str
        Command line, for the record.
    stop : callable
        Called between the checks and by the engine. When it returns True, the current iteration
        is finished and written, and the run can be resumed.

    Raises
    ------
    Ini3dError
        Before the first iteration: settings that contradict the images, missing or damaged files,
        too many bad images, or a folder that already holds a run.
    """
    output, particles_star = Path(output), Path(particles_star)
    try:
        job = prepare_job(particles_star, output, settings, command, Halt(stop))
    except StoppedError:
        logger.info("stopped during the checks; nothing was written")
        return _nothing()
    return _walk(job, None, stop)


def resume_run(
    folder: Path,
    *,
    from_iteration: int | None = None,
    iterations: int | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[IterationReport]:
    """Continue a run from its last checkpoint; the result is that of an uninterrupted run.

    A run that ended before its first iteration was done starts again.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    from_iteration : int, optional
        Earlier written iteration to continue from.
    iterations : int, optional
        New maximum number of iterations, to extend the run.
    stop : callable
        As for `start_run`.

    Raises
    ------
    Ini3dError
        If there is no run in the folder, the run has finished, or its particles have changed.
    """
    runs = RunFolder.open(Path(folder))
    record = runs.read_record()
    if runs.outcome() == "SUCCESS" and from_iteration is None and iterations is None:
        raise RunFolderError(
            f"{folder} holds a finished run; give a larger number of --iterations to extend it, or "
            "--from-iteration to continue from an earlier iteration"
        )
    runs.read_progress()  # refuses a run of another version before anything is changed
    if iterations is not None:
        record = replace(record, settings=record.settings.with_changes(iterations=iterations))
    iteration, state = _read_state(runs, from_iteration, iterations)
    particles, table = read_again(record)
    if state is not None:
        runs.write_checkpoint(state.to_arrays(), iteration, keep=False)
    runs.forget_after(iteration)
    forget_history_after(runs, iteration)
    runs.write_record(record)
    return _walk(Job(runs, record, particles, table), state, stop)


def _nothing() -> Iterator[IterationReport]:
    """Return a run without iterations."""
    yield from ()


def _walk(
    job: Job, state: EngineState | None, stop: Callable[[], bool]
) -> Iterator[IterationReport]:
    """Yield each report when its files are on disk; write a marker file at the end."""
    report: IterationReport | None = None
    with _log_and_mark(job.folder):
        log_start(job.record, particle_grid(job.particles), resumed=state is not None)
        try:
            reader = _open_images(job, Halt(stop))
        except StoppedError:
            _finish(job, None, None, finished=False)
            return
        with closing(reader):
            reports = reconstruct(reader, job.particles, job.settings, state=state, stop=stop)
            for report in reports:
                _write_iteration(job, report)
                yield report
            finished, fsc = _is_finished(job.folder, stopped=stop()), None
            if finished and wants_validation(job.settings, job.particles):
                fsc = validate_run(job.folder, reader, job.particles, job.settings, stop=stop)
                finished = fsc is not None  # if it was stopped, the run is resumed here
        _finish(job, report, fsc, finished=finished)


def _is_finished(folder: RunFolder, *, stopped: bool) -> bool:
    """Tell whether the engine has nothing left to do."""
    lines = folder.read_progress()
    return bool(lines) and (not stopped or bool(lines[-1]["converged"]))


@contextmanager
def _log_and_mark(folder: RunFolder) -> Iterator[None]:
    """Log to the run folder, and mark a run that ends by an error or is stopped at once."""
    folder.clear_marks()
    with log_to_file(folder.log_path):
        try:
            yield
        except (GeneratorExit, KeyboardInterrupt):
            logger.info("interrupted; continue with `%s`", resume_command(folder.path))
            folder.mark("ABORTED")
            raise
        except Exception as error:
            logger.error("%s", error, exc_info=not isinstance(error, Ini3dError))
            folder.mark("FAILURE")
            raise


def _open_images(job: Job, halt: Halt) -> StackReader:
    """Open the images of a run with the pixel size that was chosen at its start."""
    pixel_size = job.record.working_pixel_size
    return StackReader(
        job.particles,
        pixel_size=pixel_size,
        preread=job.settings.preread,
        scratch=Path(job.settings.scratch) if job.settings.scratch else None,
        threads=reading_threads(job.settings.threads, shared=pixel_size is None),
        between=halt,
    )


def _write_iteration(job: Job, report: IterationReport) -> None:
    """Write all files of an iteration; the checkpoint last, because it completes the iteration."""
    folder = job.folder
    summary = IterationSummary.from_report(report)
    due = is_due(report, job.settings)
    if due:
        write_results(folder, report, job.particles, job.table, job.settings)
    folder.write_pictures(report.iteration, make_pictures(report))
    write_history(folder, report.iteration, report.volumes, report.voxel_size)
    folder.append_progress(summary.to_json())
    folder.write_checkpoint(report.state.to_arrays(), report.iteration, keep=due)
    logger.info("%s", format_line(summary))


def is_due(report: IterationReport, settings: InitialModelSettings) -> bool:
    """Return whether maps and STAR files are written at this iteration."""
    last = report.converged or report.iteration >= report.n_iterations
    return last or report.iteration % settings.write_every == 0


def _finish(
    job: Job, report: IterationReport | None, fsc: HalfMapFSC | None, *, finished: bool
) -> None:
    """Write the result and the report page, and mark how the run ended.

    `report` is None if the run was killed between its last iteration and its result, so that the
    engine had nothing left to do.
    """
    folder = job.folder
    if report is not None and not is_due(report, job.settings):
        write_results(folder, report, job.particles, job.table, job.settings)
        folder.write_checkpoint(report.state.to_arrays(), report.iteration, keep=True)
    if finished:
        last = IterationSummary.from_json(folder.read_progress()[-1])
        if report is not None and fsc is not None:
            write_validated_model(folder, report, job.particles, job.settings, fsc)
        _write_result(job, last)
        apply_symmetry(folder, job.settings, last.iteration, working_box=last.box_size)
    else:
        logger.info("stopped; continue with `%s`", resume_command(folder.path))
    folder.mark("SUCCESS" if finished else "ABORTED")
    write_report(folder)


def _write_result(job: Job, last: IterationSummary) -> None:
    """Write the map of the largest class as the result, in the box of the particles."""
    folder, own = job.folder, particle_grid(job.particles)
    best = int(np.argmax(last.class_shares))
    found = read_map(folder.class_map_path(last.iteration, best), allow_empty=True)
    write_map(folder.map_path, resize_map(found.data, own.box_size), own.pixel_size)
    for sentence in describe_result(folder.map_path.name, last):
        logger.info("%s", sentence)


def _read_state(
    folder: RunFolder, from_iteration: int | None, iterations: int | None
) -> tuple[int, EngineState | None]:
    """Return the state to continue from; for a finished run, one from before its final pass.

    It is None, at iteration 0, if no iteration was done.
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
        f"{folder.path} has no state from before its final pass, so it cannot be extended; "
        "start again with more iterations in another folder"
    )
