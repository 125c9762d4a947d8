"""State of a run as the dock *Convergence* shows it; no Qt here."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from napari_ini3d._types import AnyArray
from napari_ini3d.errors import explain
from napari_ini3d.fourier import MAP_CRITERION
from napari_ini3d.runs import (
    IterationSummary,
    Outcome,
    RunFolder,
    describe_junk,
    describe_resolution,
)

logger = logging.getLogger(__name__)

NO_RUN = "No run yet: start one in Initial model, or open a run folder."
PHASES = {
    "starts": "random starts",
    "search": "search",
    "refine": "refinement",
    "final": "final pass",
}
"""From the phase of a summary to its name."""

ALL_CLASSES = -1

_SPAN = 10  # iterations over which the trend is measured
_NOTICEABLE = 0.01  # relative change of the resolution
_EMPTY_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run, with the iteration and the class that are shown.

    Attributes
    ----------
    folder : Path or None
        None if there is no run.
    summaries : tuple of IterationSummary
        In order.
    state : str
        "running", "paused" or "stopping" for the run of the viewer; "idle" if it has ended, or
        was started elsewhere.
    outcome : str or None
        How it ended; None while it is running, or after it was killed.
    error : BaseException or None
        That ended it, if known.
    chosen : int or None
        The iteration that is shown; None for the newest.
    class_index : int
        The class that is shown, from 0; `ALL_CLASSES` for all.
    """

    folder: Path | None = None
    summaries: tuple[IterationSummary, ...] = ()
    state: str = "idle"
    outcome: Outcome | None = None
    error: BaseException | None = None
    chosen: int | None = None
    class_index: int = ALL_CLASSES

    @property
    def shown(self) -> IterationSummary | None:
        """The iteration that is shown."""
        if self.chosen is None:
            return self.summaries[-1] if self.summaries else None
        return self.find(self.chosen)

    @property
    def n_classes(self) -> int:
        """Number of classes so far; annealed classes start as one."""
        return max((len(summary.resolution) for summary in self.summaries), default=0)

    @property
    def single_class(self) -> int | None:
        """The only class that is shown; None if there are several."""
        if self.n_classes == 1:
            return 0
        return None if self.class_index == ALL_CLASSES else self.class_index

    def find(self, iteration: int) -> IterationSummary | None:
        """Return the summary nearest to an iteration."""
        return min(self.summaries, key=lambda s: abs(s.iteration - iteration), default=None)

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy that differs in some attributes."""
        return replace(self, **changes)

    def read_pictures(self) -> dict[str, AnyArray]:
        """Return slices, projections and view counts of the shown iteration; empty if missing."""
        summary = self.shown
        if self.folder is None or summary is None:
            return {}
        try:
            return RunFolder(self.folder).read_pictures(summary.iteration) or {}
        except (OSError, ValueError) as error:
            logger.info("no pictures of iteration %d: %s", summary.iteration, error)
            return {}


def phase_spans(summaries: Sequence[IterationSummary]) -> list[tuple[str, float, float]]:
    """Return each phase with its first and last iteration, widened by one half."""
    spans: list[tuple[str, float, float]] = []
    for summary in summaries:
        begin, end = summary.iteration - 0.5, summary.iteration + 0.5
        if spans and spans[-1][0] == summary.phase:
            spans[-1] = (summary.phase, spans[-1][1], end)
        else:
            spans.append((summary.phase, begin, end))
    return spans


def describe_run(view: RunView) -> str:
    """Return the state of a run in one or two sentences."""
    if view.folder is None:
        return NO_RUN
    if view.error is not None:
        return f"⚠ Failed{_after(view)}: {explain(view.error)}"
    if not view.summaries:
        return _describe_start(view)
    return " ".join(
        filter(None, (_describe_progress(view), _describe_classes(view), _describe_junk(view)))
    )


def _describe_start(view: RunView) -> str:
    if view.state != "idle":
        return "Started; waiting for the first iteration."
    if view.outcome is not None:
        return "Ended before the first iteration; see log.txt in the run folder."
    return (
        f"{view.folder} has no progress.jsonl, in which ini3d records its runs; there are no "
        "curves to show."
    )


def _describe_progress(view: RunView) -> str:
    last = view.summaries[-1]
    at = f"iteration {last.iteration}"
    value = describe_resolution(last.best_resolution)
    if view.state == "stopping":
        return f"Stopping after the current iteration: {value} at {at}."
    if view.state == "paused":
        return f"Paused at {at}: {value}."
    if view.state == "idle" and view.outcome == "FAILURE":
        return f"⚠ Failed after {at}: {value}; see log.txt. The run can be resumed."
    if view.state == "idle" and view.outcome == "ABORTED":
        return f"Stopped at {at}: {value}. The run can be resumed."
    follows = " The run is not finished yet." if view.state == "running" else ""
    if last.converged:
        return f"Converged at {at}: {value}.{follows}"
    if last.iteration >= last.n_iterations:
        return f"All {last.n_iterations} iterations done: {value}.{follows}"
    elsewhere = "Running elsewhere, or killed. " if view.state == "idle" else ""
    return elsewhere + describe_trend(view.summaries)


def describe_trend(summaries: Sequence[IterationSummary]) -> str:
    """Return whether the resolution of the best class has improved recently, as a sentence.

    Parameters
    ----------
    summaries : sequence of IterationSummary
        At least one.
    """
    last = summaries[-1]
    if last.phase == "starts":
        shown = describe_resolution(last.best_resolution)
        return f"{last.message[:1].upper()}{last.message[1:]}: {shown}."
    recent = [s for s in summaries if s.phase != "starts"][-_SPAN - 1 :]
    before, now = recent[0].best_resolution, last.best_resolution
    count = len(recent) - 1
    if not math.isfinite(now):
        return f"No resolution yet at iteration {last.iteration}: the half-sets do not agree."
    if count < 1 or not math.isfinite(before):
        return f"{describe_resolution(now)} at iteration {last.iteration}."
    span = "in the last iteration" if count == 1 else f"in the last {count} iterations"
    gain = before - now
    if abs(gain) < _NOTICEABLE * now:
        return f"Steady: {describe_resolution(now)}, no change {span}."
    word, how = ("Improving", "better") if gain > 0 else ("Coarser", "worse")
    return f"{word}: {describe_resolution(now)}, {abs(gain):.1f} Å {how} {span}."


def describe_iteration(summary: IterationSummary) -> str:
    """Return the values of an iteration in one line."""
    resolution = " / ".join(_number(value, ".1f") for value in summary.resolution)
    change = " / ".join(_number(value, ".2g") for value in summary.map_change)
    words = [
        f"Iteration {summary.iteration}, {PHASES.get(summary.phase, summary.phase)}",
        f"{resolution} Å ({MAP_CRITERION})",
        f"change {change}",
        f"Pmax {summary.mean_max_probability:.2f}",
    ]
    if math.isfinite(summary.junk):
        words.append(f"junk {100 * summary.junk:.0f} %")
    if len(summary.class_shares) > 1:
        shares = " / ".join(f"{100 * share:.0f}" for share in summary.class_shares)
        words.append(f"shares {shares} %")
    words += [
        f"subset {summary.subset_size}",
        f"step {summary.step_size:.2f}",
        f"angles {summary.angular_step:.1f}°",
        f"{summary.total_seconds:.1f} s",
    ]
    return " · ".join(words)


def _describe_classes(view: RunView) -> str:
    """Return which class has the highest resolution, and which are nearly empty."""
    last = view.summaries[-1]
    shares = last.class_shares
    if len(shares) < 2:
        return ""
    largest = max(range(len(shares)), key=shares.__getitem__)
    share = f"the largest, with {100 * shares[largest]:.0f} % of the subset."
    finite = [k for k, value in enumerate(last.resolution) if math.isfinite(value)]
    finest = min(finite, key=last.resolution.__getitem__, default=largest)
    text = f"Class {finest + 1} has the highest resolution and is {share}"
    if finest != largest:
        of_largest = f"class {largest + 1} is {share}"
        text = f"Class {finest + 1} has the highest resolution; {of_largest}"
    empty = [str(k + 1) for k, share in enumerate(shares) if share < _EMPTY_SHARE]
    return text + (f" Nearly empty: class {', '.join(empty)}." if empty else "")


def _describe_junk(view: RunView) -> str:
    """Return the share of junk of a run that is done."""
    last = view.summaries[-1]
    done = last.converged or last.iteration >= last.n_iterations
    junk = describe_junk(last) if done else ""
    return junk.replace("`", "") + "." if junk else ""


def _after(view: RunView) -> str:
    return f" after iteration {view.summaries[-1].iteration}" if view.summaries else ""


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"
