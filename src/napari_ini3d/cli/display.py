"""Progress of a run on the terminal: a bar and a line per iteration, JSON lines, or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from napari_ini3d.engine import IterationReport
    from napari_ini3d.runs import IterationSummary

Mode = Literal["lines", "json", "quiet"]


def choose_mode(*, as_json: bool, quiet: bool) -> Mode:
    """Return the output mode.

    Raises
    ------
    typer.BadParameter
        If both are given.
    """
    if as_json and quiet:
        raise typer.BadParameter("--json and --quiet exclude each other; give one of them")
    return "json" if as_json else "quiet" if quiet else "lines"


def say(message: str, mode: Mode = "lines") -> None:
    """Print a message, unless the output is JSON or nothing."""
    if mode == "lines":
        Console(highlight=False, soft_wrap=True).print(message, markup=False)


def emit(event: str, values: dict[str, Any]) -> None:
    """Print an event as one line of JSON."""
    typer.echo(json.dumps({"event": event, **values}, allow_nan=False))


def follow(reports: Iterator[IterationReport], mode: Mode) -> IterationSummary | None:
    """Do the iterations of a run and print them; return the summary of the last one."""
    from napari_ini3d.runs import IterationSummary

    last: IterationSummary | None = None
    with _bar(mode) as bar:
        for report in reports:
            last = IterationSummary.from_report(report)
            if mode == "json":
                emit("iteration", last.to_json())
            elif bar is not None:
                bar.show(last)
    return last


class _Bar:
    """Lines of the iterations and, on a terminal, a progress bar below them."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("at most"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("starting", total=None)
        self.lines = 0

    def show(self, summary: IterationSummary) -> None:
        """Print the line of an iteration and move the bar."""
        from napari_ini3d.runs import LINE_HEADER, format_line

        if self.lines == 0:
            self.console.print(LINE_HEADER, style="dim")
        self.lines += 1
        self.console.print(format_line(summary), markup=False)
        self.progress.update(
            self.task,
            total=summary.n_iterations,
            completed=summary.iteration,
            description=summary.phase,
        )


@contextmanager
def _bar(mode: Mode) -> Iterator[_Bar | None]:
    if mode != "lines":
        yield None
        return
    bar = _Bar()
    with bar.progress:
        yield bar
