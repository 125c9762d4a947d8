"""`ini3d run` and `ini3d resume`: start or continue a run and print its progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_ini3d.cli.display import Mode, RunDisplay, emit, say
from napari_ini3d.cli.session import StopRequest, errors
from napari_ini3d.jobs import resume_run, start_run
from napari_ini3d.runs import (
    RunFolder,
    SymmetryFiles,
    ValidationFiles,
    describe_junk,
    describe_verdict,
    join_words,
    resume_command,
)

if TYPE_CHECKING:
    from napari_ini3d.engine import ClosingStep, IterationReport
    from napari_ini3d.io import ParticleFiles
    from napari_ini3d.runs import IterationSummary
    from napari_ini3d.settings import InitialModelSettings

OnStep = Callable[["ClosingStep"], None]
Start = Callable[[StopRequest, OnStep], Iterator["IterationReport"]]

_PRINTING = {"--json", "--quiet", "-q", "--verbose"}  # do not change the run


def run_job(
    particles: ParticleFiles,
    output: Path,
    settings: InitialModelSettings,
    mode: Mode,
    overwrite: bool,
    strict: bool,
    cluster: str | None,
) -> None:
    """Start a run and print its progress until it ends."""
    command = join_words(["ini3d", *(word for word in sys.argv[1:] if word not in _PRINTING)])

    def start(stop: StopRequest, on_step: OnStep) -> Iterator[IterationReport]:
        say(f"Checking the particles; output folder: {output}", mode)
        return start_run(
            particles,
            output,
            settings,
            command=command,
            overwrite=overwrite,
            strict=strict,
            stop=stop,
            cluster=cluster,
            on_step=on_step,
        )

    follow_job(start, output, mode)


def resume_job(
    folder: Path,
    mode: Mode,
    from_iteration: int | None,
    iterations: int | None,
    cluster: str | None,
) -> None:
    """Continue a run and print its progress until it ends."""

    def start(stop: StopRequest, on_step: OnStep) -> Iterator[IterationReport]:
        say(f"Continuing the run in {folder}", mode)
        return resume_run(
            folder,
            from_iteration=from_iteration,
            iterations=iterations,
            stop=stop,
            cluster=cluster,
            on_step=on_step,
        )

    follow_job(start, folder, mode)


def follow_job(start: Start, output: Path, mode: Mode) -> IterationSummary | None:
    """Do a run, print its progress and its results; return its last iteration.

    Raises
    ------
    typer.Exit
        With 130 (143 after SIGTERM) if it was stopped.
    """
    stop, display = StopRequest(), RunDisplay(mode)
    reports = start(stop, display.show_step)
    try:
        with stop.listening():
            last = display.follow(reports)
    except KeyboardInterrupt:
        _say_how_to_resume(output)
        raise
    except BrokenPipeError:
        raise
    except Exception as error:
        error.add_note(f"After fixing the problem, continue with: {resume_command(output)}")
        raise
    finally:  # the folder is unlocked and marked also if the output cannot be printed
        reports.close()  # type: ignore[attr-defined]
    if RunFolder.open(output).outcome() == "ABORTED":
        _say_how_to_resume(output)
        raise typer.Exit(stop.exit_code)
    _conclude(output, last, mode)
    return last


def _conclude(output: Path, last: IterationSummary | None, mode: Mode) -> None:
    folder = RunFolder.open(output)
    if mode == "json":
        emit("finished", finished_values(folder, last))
    say(f"Map:    {folder.map_path}", mode)
    if last is not None and (junk := describe_junk(last)):
        say(f"Junk:   {junk}", mode)
    verdict = ValidationFiles(folder).read_facts()
    if verdict is not None:
        say(f"Verdict: {describe_verdict(verdict)}", mode)
    _say_symmetry(folder, mode)
    say(f"Report: {folder.report_path}", mode)


def _say_symmetry(folder: RunFolder, mode: Mode) -> None:
    """Print the result of the symmetry search, if there was one."""
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    if facts is not None:
        say(f"Symmetry: {facts['verdict']}", mode)
        if files.symmetrised_path.is_file():
            say(f"Symmetrised map: {files.symmetrised_path}", mode)


def finished_values(folder: RunFolder, last: IterationSummary | None) -> dict[str, Any]:
    """Return the values of the last event of `--json`."""
    values: dict[str, Any] = {"map": str(folder.map_path), "report": str(folder.report_path)}
    validation = ValidationFiles(folder).read_facts()
    if validation is not None:
        names = ("verdict", "reasons", "resolution_0143", "resolution_05")
        values |= {name: validation[name] for name in names}
        values["repeat_agreement"] = validation.get("repeat_agreement")
    facts = SymmetryFiles(folder).read_facts()
    if facts is not None:
        values["symmetry"] = {name: facts.get(name) for name in ("group", "holds", "verdict")}
    if last is not None:
        line = last.to_json()
        values |= {name: line[name] for name in ("iteration", "resolution", "class_shares", "junk")}
    return values


def _say_how_to_resume(output: Path) -> None:
    errors.print(f"Stopped. Continue with: {resume_command(output)}", markup=False)
