"""`ini3d relion-job`: the program of RELION's External job."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ini3d.cli.session import StopRequest, exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_ini3d.cli.relion_arguments import RelionArguments
    from napari_ini3d.engine import IterationReport
    from napari_ini3d.runs import Outcome, RelionJob, RunFolder

_COMMAND = "ini3d relion-job"
_MAY_CHANGE = {"threads", "device", "precision", "tile_size", "scratch", "preread", "iterations"}
_MEASURED = {"mask_diameter": None, "invert_contrast": "auto"}

CONTEXT = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Settings of the command: RELION writes its arguments in its own way."""


def relion_job(
    context: typer.Context,
    print_job_star: Annotated[
        bool,
        typer.Option("--print-job-star", help="Print a job.star of an External job, and exit."),
    ] = False,
    print_scheme_job_star: Annotated[
        bool,
        typer.Option(
            "--print-scheme-job-star",
            help="Print the job.star for Schemes/proc/inimodel3d of RELION's schemes, and exit.",
        ),
    ] = False,
) -> None:
    """Run as RELION's External job: --o External/job012/ --in_parts particles.star --j 8.

    RELION starts this command in the project folder. Further arguments are the settings of
    `ini3d run` with underscores, as RELION writes its own: --mask_diameter 200 --symmetry D2.
    """
    with exit_codes():
        if print_job_star or print_scheme_job_star:
            name = "scheme_job.star" if print_scheme_job_star else "job.star"
            typer.echo(job_star(name), nl=False)
        else:
            run_relion_job(context.args)


def job_star(name: str) -> str:
    """Return a job.star for External jobs, in which this `ini3d` is called by its full path."""
    from importlib import resources

    text = resources.files("napari_ini3d.cli").joinpath("relion", name).read_text("utf-8")
    program = Path(sys.argv[0]).absolute()
    if (
        program.name != "ini3d"
        or not program.is_file()
        or shlex.quote(str(program)) != str(program)
    ):
        return text
    return text.replace(_COMMAND, f"{program}{_COMMAND.removeprefix('ini3d')}")


def run_relion_job(words: Sequence[str]) -> None:
    """Do an External job; RELION reads its end from the marker file in the folder.

    Parameters
    ----------
    words : sequence of str
        Arguments, as RELION gives them.

    Raises
    ------
    typer.Exit
        With 130 if the job was stopped (143 after SIGTERM).
    Ini3dError
        If the job failed, which is marked.
    """
    from napari_ini3d.cli.relion_arguments import find_output, parse_arguments
    from napari_ini3d.runs import RelionJob

    job = RelionJob(find_output(words), Path.cwd())
    stop, before = StopRequest(), job.folder.outcome()
    job.prepare()
    try:
        with stop.listening(), _log_to_stdout():
            finished = _follow(job, parse_arguments(words), stop, before)
    except BaseException as error:
        job.fail(aborted=isinstance(error, KeyboardInterrupt))
        raise
    job.end(aborted=not finished)
    if not finished:
        _say("Stopped; RELION's Continue goes on from the last iteration")
        raise typer.Exit(stop.exit_code)


def _follow(
    job: RelionJob, arguments: RelionArguments, stopped: StopRequest, before: Outcome | None
) -> bool:
    """Do the iterations of a job; return whether it was finished."""
    from napari_ini3d.runs import LINE_HEADER

    for name in arguments.unused:
        _say(f"--{name} is not used: an initial model is made from the particles only")
    resumed = before != "SUCCESS" and _can_resume(job, arguments)
    reports = _start(
        job, arguments, lambda: stopped() or job.requests.stop_requested, resumed=resumed
    )
    _say(LINE_HEADER.strip())
    with closing(reports):  # type: ignore[type-var]
        for _ in reports:
            pass
    if job.folder.outcome() != "SUCCESS":
        return False
    _say(f"Map: {job.name.rstrip('/')}/{job.folder.map_path.name}")
    return True


def _start(
    job: RelionJob,
    arguments: RelionArguments,
    stop: Callable[[], bool],
    *,
    resumed: bool,
) -> Iterator[IterationReport]:
    from napari_ini3d.errors import RunFolderError
    from napari_ini3d.jobs import resume_run, start_run

    def finish(folder: RunFolder, outcome: Outcome) -> None:
        from napari_ini3d.report import write_pdf

        if outcome == "SUCCESS" and job.take_symmetrised():
            where = f"{folder.map_path.name} has the symmetry imposed, "
            _say(f"{where}{job.unsymmetrised_path.name} has not")
        folder.claim(job.log_path)
        write_pdf(folder, job.log_path, outcome=outcome)
        job.write_nodes(outcome)

    path = job.folder.path
    if resumed:
        iterations = arguments.settings.iterations
        longer = iterations if iterations != job.folder.read_record().settings.iterations else None
        try:
            reports = resume_run(path, iterations=longer, stop=stop, at_end=finish)
        except RunFolderError as error:  # such as particles that have changed
            _say(f"The run in this folder cannot be continued ({error}); it is started again")
        else:
            _say("Continuing the run in this folder")
            return reports
    return start_run(
        arguments.files,
        path,
        arguments.settings,
        command=shlex.join(["ini3d", *sys.argv[1:]]),
        overwrite=job.is_made_by_relion,
        stop=stop,
        at_end=finish,
    )


def _can_resume(job: RelionJob, arguments: RelionArguments) -> bool:
    """Return whether the folder holds an unfinished run of the same particles and settings."""
    from napari_ini3d.errors import RunFolderError
    from napari_ini3d.settings import setting_types

    if not job.folder.has_begun:
        return False
    try:
        record = job.folder.read_record()
    except RunFolderError:
        return False
    files = arguments.files
    wanted_files = str(files.path.absolute()), files.classes_2d
    same = (record.particles, record.classes_2d) == wanted_files
    for name in setting_types().keys() - _MAY_CHANGE:
        wanted = getattr(arguments.settings, name)
        is_measured = name in _MEASURED and wanted == _MEASURED[name]
        same = same and (is_measured or wanted == getattr(record.settings, name))
    return same


@contextmanager
def _log_to_stdout() -> Iterator[None]:
    """Print messages to standard output, which RELION shows in the log of the job."""
    from napari_ini3d._logging import log_to

    handler = logging.StreamHandler(sys.stdout)
    handler.setLevel(logging.INFO)
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:  # warnings go to standard error
        message = record.getMessage()
        new = record.levelno < logging.WARNING and message not in said
        said.add(message)
        return new

    handler.addFilter(is_new)
    handler.setFormatter(logging.Formatter(" %(message)s"))
    with log_to(handler):
        yield


def _say(message: str) -> None:
    print(f" {message}", flush=True)  # noqa: T201 - to a file that is read while it is written
