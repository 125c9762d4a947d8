"""Runs from particle files to a run folder: check, exclude bad images, reconstruct, resume.

The command line and the plugin iterate over the reports that `start_run` yields.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from napari_ini3d._address_space import check_address_space_for_run
from napari_ini3d.cluster import Cluster, OpenCluster, check_cluster
from napari_ini3d.engine import (
    ClosingStep,
    EngineState,
    IterationReport,
    ignore_step,
    reconstruct,
)
from napari_ini3d.errors import Ini3dError, RunFolderError, SettingsError
from napari_ini3d.io import (
    ParticleSource,
    StackReader,
    bytes_to_keep,
    particle_files,
    reading_threads,
)
from napari_ini3d.jobs.cluster import open_chunks, record_cluster
from napari_ini3d.jobs.completion import Ending, find_missing, needs_validation, write_ending
from napari_ini3d.jobs.control import Control
from napari_ini3d.jobs.iteration_files import is_due, write_iteration
from napari_ini3d.jobs.preparation import (
    Halt,
    Job,
    StoppedError,
    lock_folder,
    prepare_job,
)
from napari_ini3d.jobs.start_log import log_start
from napari_ini3d.jobs.validation import validate_run, wants_validation
from napari_ini3d.preflight import particle_grid
from napari_ini3d.report import write_report
from napari_ini3d.runs import (
    Outcome,
    RunFolder,
    RunLock,
    RunRequests,
    SymmetryFiles,
    ValidationFiles,
    adopt_outputs,
    forget_history_after,
    log_to_file,
    read_image_checksums,
    read_source_particles,
    remove_newest_maps,
    remove_validation_progress,
    resume_command,
    write_results,
)
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)


AtEnd = Callable[[RunFolder, Outcome], object]
OnStep = Callable[[ClosingStep], None]


def never() -> bool:
    """Return False: the default of `stop`, for runs that are not stopped."""
    return False


def start_run(
    particles: ParticleSource,
    output: Path,
    settings: InitialModelSettings,
    *,
    command: str = "",
    overwrite: bool = False,
    strict: bool = False,
    stop: Callable[[], bool] = never,
    at_end: AtEnd | None = None,
    cluster: str | OpenCluster | None = None,
    on_step: OnStep = ignore_step,
) -> Iterator[IterationReport]:
    """Check everything, create the run folder, and return the run as an iterator of reports.

    The checks are done before this function returns, the iterations when the iterator advances.
    The files of an iteration are on disk before its report is yielded. If the run is stopped
    during the checks, nothing is written and there are no iterations.

    Parameters
    ----------
    particles : Path, str or ParticleFiles
        STAR file, or dataset of cryoSPARC.
    output : Path
        Folder of the run; created if it does not exist.
    settings : InitialModelSettings
        If the mask diameter is None, it is estimated from the images.
    command : str
        Command line, for the record.
    overwrite : bool
        Delete the files of an earlier run in the folder, and no others. Default: refuse it.
    strict : bool
        Treat warnings about the particles as errors.
    stop : callable
        Called between the checks and by the engine. When it returns True, the current iteration
        is finished and written, and the run can be resumed. The same do files in the folder
        (`RunRequests`), with which any process can stop and pause the run.
    at_end : callable, optional
        Called with the folder and the outcome when the run has ended, all files are written, and
        the outcome is not marked yet.
    cluster : str or OpenCluster, optional
        ``local:4`` for processes of this machine, the address or the scheduler file of a cluster of
        Dask, or ``slurm:FILE.yaml``. Default: the threads or GPUs of this process. The maps are the
        same, bit for bit.
    on_step : callable
        Called with the progress of what follows the last iteration (`stage`, `iteration`,
        `n_iterations`, `resolution`): two half-sets, the repeated search, symmetry, report.

    Raises
    ------
    Ini3dError
        Before the first iteration: settings that contradict the images, missing or damaged files,
        too many bad images, or a folder that holds a run, is in use, or is not empty.
    """
    output, files = Path(output), particle_files(particles)
    spec = check_cluster(cluster)
    try:
        halt = Halt(stop)
        job = prepare_job(
            files, output, settings, command, halt, overwrite=overwrite, strict=strict
        )
    except StoppedError:
        logger.info("stopped during the checks; nothing was written")
        return _nothing()
    return _walk(job, None, stop, at_end, spec, on_step)


def resume_run(
    folder: Path,
    *,
    from_iteration: int | None = None,
    iterations: int | None = None,
    stop: Callable[[], bool] = never,
    at_end: AtEnd | None = None,
    cluster: str | OpenCluster | None = None,
    on_step: OnStep = ignore_step,
) -> Iterator[IterationReport]:
    """Continue a run from its last checkpoint; the result is that of an uninterrupted run.

    A run that ended before its first iteration was done starts again. Of a finished run, what is
    missing is completed: the result, the validation, the symmetry, the report.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    from_iteration : int, optional
        Earlier written iteration to continue from.
    iterations : int, optional
        New maximum number of iterations, to extend the run.
    stop, at_end : callable
        As for `start_run`.
    cluster : str or OpenCluster, optional
        As for `start_run`; it need not be that of the run so far.
    on_step : callable
        As for `start_run`.

    Raises
    ------
    Ini3dError
        If there is no run in the folder, it is complete or going on, or its particles have changed.
    """
    check_address_space_for_run()
    runs, spec = RunFolder.open(Path(folder)), check_cluster(cluster)
    lock = lock_folder(runs.path)
    try:
        job, state = _prepare_resumed(runs, lock, from_iteration, iterations)
        return _walk(job, state, stop, at_end, spec, on_step)
    except BaseException:
        lock.release()
        raise


def _prepare_resumed(
    runs: RunFolder, lock: RunLock, from_iteration: int | None, iterations: int | None
) -> tuple[Job, EngineState | None]:
    """Check a run that is to be resumed, and forget what came after the state it goes on from."""
    record = runs.read_record()
    runs.read_progress()  # refuses a run of another version before anything is changed
    if iterations is not None:
        record = replace(record, settings=record.settings.with_changes(iterations=iterations))
    iteration, state = _read_state(runs, from_iteration, iterations)
    particles, table = read_source_particles(record)
    if runs.outcome() == "SUCCESS" and from_iteration is None and iterations is None:
        validated = wants_validation(record.settings, particles)
        missing = find_missing(runs, record.settings, validated=validated)
        if not missing:
            raise RunFolderError(
                f"{runs.path} holds a finished run, which is complete; give a larger number of "
                "--iterations to extend it, or --from-iteration to continue from an earlier "
                "iteration"
            )
        logger.info("missing from the finished run: %s", ", ".join(missing))
    checksums = read_image_checksums(runs, len(particles))
    if (state is None or not state.finished) and checksums is not None:
        share = record.settings.max_excluded
        reader = StackReader(particles, checksums=checksums, max_excluded=share)
        with closing(reader):
            reader.check_samples()
    adopt_outputs(runs)
    if state is None or not state.finished:  # of an end that is replaced
        ValidationFiles(runs).clear()
        SymmetryFiles(runs).clear()
    if state is not None:
        if from_iteration is not None or iterations is not None:
            runs.remove_outputs(runs.previous_checkpoint_path)  # of a later iteration
        runs.rewind(state.to_arrays(), iteration)
    runs.forget_after(iteration)
    forget_history_after(runs, iteration)
    runs.write_record(record)
    return Job(runs, lock, record, particles, table, checksums), state


def _nothing() -> Iterator[IterationReport]:
    """Return a run without iterations."""
    yield from ()


def _walk(
    job: Job,
    state: EngineState | None,
    stop: Callable[[], bool],
    at_end: AtEnd | None,
    cluster: Cluster | None,
    on_step: OnStep,
) -> Iterator[IterationReport]:
    """Yield each report when its files are on disk; write a marker file at the end."""
    report: IterationReport | None = None
    stop = Control(stop, RunRequests(job.folder.path))
    with _log_and_mark(job):
        record_cluster(job, cluster)
        log_start(job.record, particle_grid(job.particles), resumed=state is not None)
        try:
            reader = _open_images(job, Halt(stop), cluster) if _needs_images(job, state) else None
        except StoppedError:
            _finish(job, None, state, at_end, on_step, finished=False)
            return
        finished = state is not None and state.finished
        if reader is not None:
            with closing(reader), open_chunks(job, reader, cluster) as chunks:
                given = (reader, job.particles, job.settings)
                reports = reconstruct(*given, state=state, stop=stop, chunks=chunks)
                for report in reports:
                    write_iteration(job, report)
                    yield report
                if report is not None:
                    state, finished = report.state, report.converged or not stop()
                if finished and _needs_validation(job):  # if it is stopped, it is resumed here
                    finished = validate_run(
                        job.folder, *given, stop=stop, chunks=chunks, on_step=on_step
                    )
        _finish(job, report, state, at_end, on_step, finished=finished)


def _needs_images(job: Job, state: EngineState | None) -> bool:
    return state is None or not state.finished or _needs_validation(job)


def _needs_validation(job: Job) -> bool:
    return wants_validation(job.settings, job.particles) and needs_validation(job.folder)


@contextmanager
def _log_and_mark(job: Job) -> Iterator[None]:
    """Log to the run folder, mark a run that ends by an error or at once, and unlock the folder."""
    folder = job.folder
    folder.claim(folder.log_path)
    folder.clear_marks()
    with closing(job.lock), log_to_file(folder.log_path):
        try:
            yield
        except (GeneratorExit, KeyboardInterrupt):
            logger.info("interrupted; continue with `%s`", resume_command(folder.path))
            _end(folder, "ABORTED")
            raise
        except Exception as error:
            logger.error("%s", error, exc_info=not isinstance(error, Ini3dError))
            _end(folder, "FAILURE")
            raise


def _end(folder: RunFolder, outcome: Outcome) -> None:
    """Remove what serves a run that is going on, and mark how it ended, last of all."""
    remove_newest_maps(folder)
    remove_validation_progress(folder)
    try:
        RunRequests(folder.path).clear()
    except RunFolderError as error:
        logger.warning("%s", error)
    folder.mark(outcome)


def _open_images(job: Job, halt: Halt, cluster: Cluster | None) -> StackReader:
    """Open the images of a run with the pixel size that was chosen at its start."""
    pixel_size = job.record.working_pixel_size
    return StackReader(
        job.particles,
        pixel_size=pixel_size,
        # on a cluster the workers read the images
        preread=job.settings.preread and cluster is None,
        keep_bytes=bytes_to_keep() if cluster is None else 0,
        scratch=Path(job.settings.scratch) if job.settings.scratch else None,
        threads=reading_threads(job.settings.threads, shared=pixel_size is None),
        between=halt,
        checksums=job.checksums,
        max_excluded=job.settings.max_excluded,
    )


def _finish(
    job: Job,
    report: IterationReport | None,
    state: EngineState | None,
    at_end: AtEnd | None,
    on_step: OnStep,
    *,
    finished: bool,
) -> None:
    """Write the result and the report page, and mark how the run ended, last of all.

    `report` is None if the engine had nothing left to do.
    """
    folder = job.folder
    if report is not None and not is_due(report, job.settings):
        write_results(folder, report, job.particles, job.table, job.settings)
        folder.write_checkpoint(report.state.to_arrays(), report.iteration, keep=True)
    if finished and state is not None:
        write_ending(job, Ending.of(folder, state), on_step)
    else:
        logger.info("stopped; continue with `%s`", resume_command(folder.path))
    outcome: Outcome = "SUCCESS" if finished else "ABORTED"
    on_step(ClosingStep("report"))
    logger.info("writing the report")
    write_report(folder, outcome=outcome)
    if at_end is not None:
        at_end(folder, outcome)
    _end(folder, outcome)


def _read_state(
    folder: RunFolder, from_iteration: int | None, iterations: int | None
) -> tuple[int, EngineState | None]:
    """Return the state to continue from; for a finished run, one from before its final pass.

    It is None, at iteration 0, if no iteration was done.
    """
    if from_iteration is None and not folder.has_begun:
        return 0, None
    accept = EngineState.from_arrays
    done, arrays = folder.read_checkpoint(from_iteration, accept=accept)
    if iterations is not None and iterations < done:
        raise SettingsError(
            f"iterations is {iterations}, but {done} are done; give a larger number"
        )
    state = EngineState.from_arrays(arrays)
    if iterations is None or not state.finished or from_iteration is not None:
        return done, state
    for earlier in reversed(folder.written_iterations()):
        state = EngineState.from_arrays(folder.read_checkpoint(earlier, accept=accept)[1])
        if not state.finished:
            return earlier, state
    raise RunFolderError(
        f"{folder.path} has no state from before its final pass, so it cannot be extended; "
        "start again with more iterations in another folder"
    )
