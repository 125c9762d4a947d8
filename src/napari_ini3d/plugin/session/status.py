"""How a run stands, in numbers and in words; no Qt here."""

from __future__ import annotations

import math
import time
from pathlib import Path

from napari_ini3d.errors import Ini3dError
from napari_ini3d.preflight import describe_time, expected_iterations
from napari_ini3d.runs import IterationSummary, RunFolder
from napari_ini3d.settings import InitialModelSettings

STAGES = {
    "starts": "random starts",
    "search": "search",
    "refine": "refinement",
    "final": "last pass over all particles",
}
_RECENT = 5  # iterations whose time is taken for those to come
_TELLING = 3  # before that, the first one, in which loops are compiled, tells nothing of others


def expected_end(summaries: list[IterationSummary], settings: InitialModelSettings | None) -> int:
    """Return the iteration at which a run is expected to have settled."""
    last = summaries[-1]
    if last.phase == "final" or settings is None:
        return last.n_iterations if settings is None else last.iteration
    return min(last.n_iterations, max(expected_iterations(settings), last.iteration + 1))


def remaining_seconds(summaries: list[IterationSummary], expected: int) -> float:
    """Return the time to the expected end, as long as iterations take what the last few took."""
    recent = [summary.total_seconds for summary in summaries[1:][-_RECENT:] or summaries]
    return (expected - summaries[-1].iteration) * sum(recent) / len(recent)


def status_text(
    summaries: list[IterationSummary], state: str, settings: InitialModelSettings | None
) -> str:
    """Return how a run stands: iteration, stage, resolution, and the time that is left.

    Parameters
    ----------
    summaries : list of IterationSummary
        At least one.
    state : str
        Of the session.
    settings : InitialModelSettings or None
        None where they are not known.
    """
    last, expected = summaries[-1], expected_end(summaries, settings)
    if state == "idle":
        return _end_text(last)
    if is_done(last):
        follows = " and looking at its symmetry" if _has_symmetry_to_find(settings) else ""
        return f"Iteration {last.iteration} was the last · writing the result{follows}"
    resolution = last.best_resolution
    words = [f"Iteration {last.iteration} of {last.n_iterations} at most"]
    words.append(STAGES.get(last.phase, last.phase))
    if math.isfinite(resolution):
        words.append(f"{resolution:.1f} Å")
    if state == "running" and expected > last.iteration and len(summaries) >= _TELLING:
        left = remaining_seconds(summaries, expected)
        end = time.strftime("%H:%M", time.localtime(time.time() + left))
        words.append(f"about {describe_time(left)} left (until {end})")
    ends = {"paused": "held", "stopping": "ending after the iteration in hand"}
    if ends.get(state):
        words.append(ends[state])
    return " · ".join(words)


def beginning_text(state: str, *, begun: bool) -> str:
    """Return how a run stands that has done no iteration."""
    if state == "stopping":
        return "Stopping …"
    if state != "idle":
        return "Checking the particles …"
    return "Stopped before the first iteration" if begun else "No run yet"


def _end_text(last: IterationSummary) -> str:
    if is_done(last):
        return f"Finished after {last.iteration} iterations: {last.message}{_result_text(last)}"
    return f"Stopped after iteration {last.iteration} ({last.message}); it can be resumed"


def _result_text(last: IterationSummary) -> str:
    """Say which of several classes is the result."""
    if len(last.class_shares) < 2:
        return ""
    share = max(last.class_shares)
    best = last.class_shares.index(share)
    return f" · the result is class {best + 1}, with {share:.0%} of the particles"


def _has_symmetry_to_find(settings: InitialModelSettings | None) -> bool:
    if settings is None or settings.symmetry_during_run:
        return False
    return settings.symmetry.upper() != "C1"


def is_done(last: IterationSummary) -> bool:
    """Tell whether an iteration is the last of its run."""
    return last.converged or last.iteration >= last.n_iterations


def settings_of(folder: Path | None) -> InitialModelSettings | None:
    """Return the settings of a run; None where there is none, or they cannot be read."""
    try:
        return None if folder is None else RunFolder.open(folder).read_record().settings
    except Ini3dError:
        return None
