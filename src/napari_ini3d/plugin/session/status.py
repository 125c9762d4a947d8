"""Status of a run: expected end, remaining time and a line of text; no Qt here."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
import time
from pathlib import Path

from napari_ini3d.errors import Ini3dError, RunFolderError, explain
from napari_ini3d.plugin.session.run_view import PHASES
from napari_ini3d.preflight import describe_time, expected_end as planned_end
from napari_ini3d.runs import IterationSummary, RunFolder, describe_resolution
from napari_ini3d.settings import InitialModelSettings

_MESSAGE = 100  # characters of a message of the log; the dock Log shows all
_ITERATION = re.compile(r"\d+/\d+ ")  # beginning of the line of an iteration
_TIME_AND_LEVEL = re.compile(r"^.*?\d\d:\d\d:\d\d [A-Z]+ +")  # of a log line


def expected_end(summaries: list[IterationSummary], settings: InitialModelSettings | None) -> int:
    """Return the iteration at which a run is expected to converge."""
    last = summaries[-1]
    if last.phase == "final" or settings is None:
        return last.n_iterations if settings is None else last.iteration
    same = itertools.takewhile(lambda found: found.phase == last.phase, reversed(summaries))
    done = sum(1 for _ in same)
    planned = settings.with_changes(iterations=last.n_iterations)
    return planned_end(planned, last.iteration, last.phase, done, last.searches_to_come)


def progress_of_bar(summaries: list[IterationSummary]) -> tuple[int, int]:
    """Return the iterations that are done, and at most: those of the status.

    A run that has done its last iteration has done all that it makes.
    """
    last = summaries[-1]
    return last.iteration, last.iteration if is_done(last) else last.n_iterations


def status_text(
    summaries: list[IterationSummary],
    state: str,
    settings: InitialModelSettings | None,
    *,
    left: float | None = None,
    message: str = "",
) -> str:
    """Return the status of a run: iteration, phase, resolution and remaining time.

    Parameters
    ----------
    summaries : list of IterationSummary
        At least one.
    state : str
        Of the session, or "left" if it goes on and is not followed any more.
    settings : InitialModelSettings or None
        None if unknown.
    left : float, optional
        Seconds until the end of the run; default: unknown.
    message : str
        Newest message of the log, which is shown after the last iteration.
    """
    last = summaries[-1]
    if state == "idle":
        return _end_text(last)
    if state == "left":
        return f"Detached after iteration {last.iteration}; the run continues without this window"
    if is_done(last):
        said = textwrap.shorten(message, _MESSAGE, placeholder=" …") or _what_follows(settings)
        words = [f"Last iteration ({last.iteration}) done", said]
        words += _time_left(left) if state == "running" else []
        return " · ".join([*words, *_words_of(state, "step")])
    resolution = last.best_resolution
    words = [f"Iteration {last.iteration} of at most {last.n_iterations}"]
    words.append(PHASES.get(last.phase, last.phase))
    if math.isfinite(resolution):
        words.append(describe_resolution(resolution))
    words += _time_left(left) if state == "running" else []
    return " · ".join([*words, *_words_of(state, "iteration")])


def _time_left(left: float | None) -> list[str]:
    """Return the remaining time (s) in words, and when the run ends."""
    if left is None:
        return []
    end = time.strftime("%H:%M", time.localtime(time.time() + left))
    return [f"about {describe_time(left)} left (ends {end})"]


def _words_of(state: str, unit: str) -> list[str]:
    """Return what is added to the status of a run that is to pause or to stop."""
    words = {"paused": "paused", "stopping": f"stopping after the current {unit}"}
    return [words[state]] if state in words else []


def message_of(line: str) -> str:
    """Return the message of a log line; empty for the line of an iteration."""
    message = _TIME_AND_LEVEL.sub("", line)
    return "" if _ITERATION.match(message) else message


def beginning_text(state: str, *, begun: bool) -> str:
    """Return the status of a run before its first iteration."""
    if state == "stopping":
        return "Stopping …"
    if state == "left":
        return "Detached; the run continues without this window"
    if state != "idle":
        return "Checking the particles …"
    return "Stopped before the first iteration" if begun else "No run yet"


def failure_text(error: BaseException, folder: Path, *, underway: bool) -> str:
    """Return the error message, with its notes, and advice if the run can be resumed.

    If the folder was refused before the first iteration, its run is not one of this session.
    """
    resumable = RunFolder(folder).has_begun and (underway or not isinstance(error, RunFolderError))
    advice = f"After fixing the problem, resume the run in {folder}." if resumable else ""
    notes = getattr(error, "__notes__", ())
    return "\n".join(filter(None, (explain(error), *notes, advice)))


def _end_text(last: IterationSummary) -> str:
    if is_done(last):
        result = f"{last.message}{_result_text(last)}"
        return f"Finished after {last.iteration} iterations: {result}"
    stopped = f"Stopped after iteration {last.iteration}: {last.message}"
    return f"{stopped}; the run can be resumed"


def _result_text(last: IterationSummary) -> str:
    """Return which of several classes is the result."""
    if len(last.class_shares) < 2:
        return ""
    share = max(last.class_shares)
    best = last.class_shares.index(share)
    return f" · the result is class {best + 1}, with {share:.0%} of the particles"


def _what_follows(settings: InitialModelSettings | None) -> str:
    """Return what a run does after its last iteration."""
    steps = []
    if settings is not None and settings.independent_half_sets:
        steps.append("refining two half-sets")
        if settings.classes == 1:
            steps.append("repeating the search")
    steps.append("writing the result")
    if _has_symmetry_to_find(settings):
        steps.append("testing its symmetry")
    return " and ".join([", ".join(steps[:-1]), steps[-1]] if steps[1:] else steps)


def _has_symmetry_to_find(settings: InitialModelSettings | None) -> bool:
    if settings is None or settings.symmetry_during_run:
        return False
    return settings.symmetry.upper() != "C1"


def is_done(last: IterationSummary) -> bool:
    """Tell whether an iteration is the last of its run."""
    return last.converged or last.iteration >= last.n_iterations


def settings_of(folder: Path | None) -> InitialModelSettings | None:
    """Return the settings of a run; None if there is no run, or they cannot be read."""
    try:
        return None if folder is None else RunFolder.open(folder).read_record().settings
    except Ini3dError:
        return None
