"""Progress of a run on the terminal: a bar and a line per iteration, JSON lines, or nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from napari_ini3d.engine import ClosingStage, ClosingStep, IterationReport
    from napari_ini3d.runs import IterationSummary

Mode = Literal["lines", "json", "quiet"]

_STAGES: dict[ClosingStage, str] = {
    "half-set 1": "Refining half-set 1 of 2 independently",
    "half-set 2": "Refining half-set 2 of 2 independently",
    "repeated search": "Repeating the search from other random maps",
    "symmetry": "Testing the symmetry of the map",
    "report": "Writing the report",
}
_LINES_PER_STAGE = 10


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


class RunDisplay:
    """Progress of a run as lines and a bar, as JSON, or not at all.

    Parameters
    ----------
    mode : {"lines", "json", "quiet"}
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._bar = _Bar() if mode == "lines" else None

    def follow(self, reports: Iterator[IterationReport]) -> IterationSummary | None:
        """Do the iterations of a run and print them; return the summary of the last one."""
        from napari_ini3d.runs import IterationSummary

        last: IterationSummary | None = None
        with nullcontext() if self._bar is None else self._bar.progress:
            for report in reports:
                last = IterationSummary.from_report(report)
                if self._mode == "json":
                    emit("iteration", last.to_json())
                elif self._bar is not None:
                    self._bar.show(last)
        return last

    def show_step(self, step: ClosingStep) -> None:
        """Print the progress of what follows the last iteration."""
        if self._mode == "json":
            finite = math.isfinite(step.resolution)
            emit("closing", {**asdict(step), "resolution": step.resolution if finite else None})
        elif self._bar is not None:
            self._bar.show_step(step)


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

    def show_step(self, step: ClosingStep) -> None:
        """Print the begin of a stage and about ten of its iterations, and move the bar."""
        from napari_ini3d.runs import describe_resolution

        total = step.n_iterations
        if step.iteration == 0:
            at_most = f" (at most {total} iterations)" if total else ""
            self.console.print(f"{_STAGES[step.stage]}{at_most}", markup=False)
            self.progress.reset(self.task, total=total or None, description=step.stage)
            return
        if step.iteration % max(1, total // _LINES_PER_STAGE) == 0:
            line = f"  {step.stage}, iteration {step.iteration} of at most {total}"
            if math.isfinite(step.resolution):
                line += f": {describe_resolution(step.resolution)}"
            self.console.print(line, markup=False)
        self.progress.update(self.task, total=total, completed=step.iteration)
