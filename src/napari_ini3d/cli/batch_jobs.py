"""`ini3d batch`: the runs of a jobs file, their progress and the table of their results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from napari_ini3d.cli.check import check_values
from napari_ini3d.cli.display import Mode, RunDisplay, emit, say
from napari_ini3d.cli.session import EXIT_ERROR, EXIT_PROBLEMS, StopRequest, errors
from napari_ini3d.cluster import check_cluster
from napari_ini3d.jobs import BatchPage, check_batch, read_batch, run_batch
from napari_ini3d.report import BATCH_COLUMNS, batch_cells, check_batch_page
from napari_ini3d.runs import JobSummary, join_words

if TYPE_CHECKING:
    from napari_ini3d.engine import ClosingStep, IterationReport
    from napari_ini3d.jobs import BatchJob, JobCheck

_CRITERION = "criterion"  # in the page only; the terminal is narrow
_STYLES = {"finished": "green", "failed": "red", "stopped": "yellow"}
_TO_DO = {"nothing": "finished", "start": "can start", "resume": "is to be resumed"}


def check_jobs(
    path: Path,
    page: Path | None,
    mode: Mode,
    *,
    strict: bool,
    cluster: str | None,
    keep_going: bool,
) -> list[JobCheck]:
    """Check the jobs of a file, and print what was found.

    Raises
    ------
    typer.Exit
        With 3 if a job cannot run, unless `keep_going`.
    Ini3dError
        If the file is wrong, the page cannot be written, or the cluster is none.
    """
    batch = read_batch(path)
    check_batch_page(_page_path(path, page))
    check_cluster(cluster)
    checks = []
    say(f"Checking {len(batch.jobs)} jobs", mode)
    for check in check_batch(batch, strict=strict, is_local=cluster is None):
        checks.append(check)
        _show_check(check, mode)
    if any(check.problems for check in checks) and not keep_going:
        say("No job was started; with --keep-going those run that can.", mode)
        raise typer.Exit(EXIT_PROBLEMS)
    return checks


def _page_path(path: Path, page: Path | None) -> Path:
    return page or path.with_suffix(".html")


def _show_check(check: JobCheck, mode: Mode) -> None:
    job, report = check.job, check.report
    if mode == "json":
        found = check_values(report, job.settings) if report else {"ok": not check.problems}
        place = {"job": job.name, "output": str(job.output), "to_do": check.to_do}
        emit("checked", {**place, "problems": list(check.problems), **found})
        return
    for problem in check.problems:
        errors.print(f"[bold red]error:[/] {job.name}: ", end="")
        errors.print(problem, markup=False)
    if not check.problems:
        say(f"  {job.name}: {_TO_DO[check.to_do]}", mode)
    for finding in report.findings if report else ():
        if finding.level == "warning":
            say(f"    warning: {finding}", mode)


def run_jobs(
    path: Path,
    checks: Sequence[JobCheck],
    page: Path | None,
    mode: Mode,
    *,
    strict: bool,
    cluster: str | None,
) -> None:
    """Run jobs that were checked, and print their progress and the table of their results.

    Raises
    ------
    typer.Exit
        With 1 if a job did not finish; with 130 (143 after SIGTERM) if the batch was stopped.
    """
    target = BatchPage(_page_path(path, page), f"Batch {path.stem}")
    stop, display = StopRequest(), _BatchDisplay(mode, len(checks))
    with stop.listening():
        done = []
        for summary in run_batch(
            checks,
            target,
            strict=strict,
            stop=stop,
            cluster=cluster,
            follow=display.follow,
            on_step=display.show_step,
        ):
            display.end(summary)
            done.append(summary)
    waiting = [JobSummary(each.job.name, each.job.output) for each in checks[len(done) :]]
    _show_table([*done, *waiting], target.path, mode)
    if stop():
        again = join_words(["ini3d", *sys.argv[1:]])
        errors.print(f"Stopped. Continue with: {again}", markup=False)
        raise typer.Exit(stop.exit_code)
    if any(summary.state != "finished" for summary in done):
        raise typer.Exit(EXIT_ERROR)


class _BatchDisplay:
    """Progress of the jobs of a batch, each as that of a run.

    Parameters
    ----------
    mode : {"lines", "json", "quiet"}
    total : int
        Number of jobs.
    """

    def __init__(self, mode: Mode, total: int) -> None:
        self._mode, self._total = mode, total
        self._ended = 0
        self._run = RunDisplay(mode)

    def follow(self, job: BatchJob, reports: Iterator[IterationReport]) -> None:
        """Do the iterations of a job and print them."""
        number = self._ended + 1
        if self._mode == "json":
            emit("job", {"job": job.name, "output": str(job.output), "number": number})
        say(f"\nJob {number} of {self._total}: {job.name}; folder: {job.output}", self._mode)
        self._run = RunDisplay(self._mode)
        self._run.follow(reports)

    def show_step(self, step: ClosingStep) -> None:
        """Print the progress of what follows the last iteration of a job."""
        self._run.show_step(step)

    def end(self, summary: JobSummary) -> None:
        """Print how a job has ended."""
        self._ended += 1
        if self._mode == "json":
            emit("job_ended", summary.to_json())
        if summary.error:
            errors.print(f"[bold red]error:[/] {summary.name}: ", end="")
            errors.print(summary.error, markup=False)


def _show_table(summaries: Sequence[JobSummary], page: Path, mode: Mode) -> None:
    if mode == "json":
        states = {summary.name: summary.state for summary in summaries}
        emit("batch", {"page": str(page), "states": states})
    if mode != "lines":
        return
    shown = [name for name in BATCH_COLUMNS if name != _CRITERION]
    table = Table(*shown, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for summary in summaries:
        cells = dict(zip(BATCH_COLUMNS, batch_cells(summary), strict=True))
        if cells["resolution"] and not summary.is_validated:
            cells["resolution"] = f"≈ {cells['resolution']}"
        style = _STYLES.get(summary.state, "")
        table.add_row(*(Text(cells[name], style if name == "state" else "") for name in shown))
    console = Console(highlight=False)
    console.print()
    console.print(table)
    say("Resolution: FSC 0.143 of half-sets; ≈ of the last iteration, without validation", mode)
    say(f"Results: {page}", mode)
