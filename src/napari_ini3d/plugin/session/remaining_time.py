"""Remaining time of a run, by phase, smoothed over the iterations; no Qt here.

The work of each iteration that is still expected is planned (`preflight.plan_work`): a refinement
takes many times as long as a random start. The seconds per unit of work are measured.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from napari_ini3d.engine import ImageGeometry
from napari_ini3d.errors import Ini3dError
from napari_ini3d.preflight import PlannedWork, plan_work
from napari_ini3d.runs import IterationSummary, RunFolder, ValidationProgress
from napari_ini3d.settings import InitialModelSettings

_RECENT = 7  # iterations that say how slow the phase is
_LONGER = 0.25  # iterations that a phase takes beyond its usual ones, over those it has done
_WEIGHTS = (0.2, 0.7)  # of a new estimate in the smoothed one; more after a long iteration
_ENOUGH = 3  # iterations of a phase that say how slow it is; in the first one kernels are compiled


def remaining_seconds(summaries: Sequence[IterationSummary], planned: PlannedWork) -> float | None:
    """Return the seconds until the run has ended, with its validation; None if it is too early.

    Parameters
    ----------
    summaries : sequence of IterationSummary
        All iterations of the run, in their order.
    planned : PlannedWork
    """
    if summaries[-1].phase == "starts":  # they say little about the phases that take the time
        return None
    left = math.nan
    for seconds, estimate in _estimates(summaries, planned):
        if not math.isfinite(left):
            left = estimate
        elif math.isfinite(estimate):
            weight = min(max(seconds / max(left, seconds), _WEIGHTS[0]), _WEIGHTS[1])
            left = (1 - weight) * max(left - seconds, 0.0) + weight * estimate
    return left if math.isfinite(left) else None


def validation_share(progress: ValidationProgress | None, planned: PlannedWork) -> float:
    """Return the share of the work of a validation that is done, from 0 to 1.

    Parameters
    ----------
    progress : ValidationProgress or None
        None before it has begun.
    planned : PlannedWork
    """
    if progress is None or not planned.validation:
        return 0.0
    first = 1 - planned.repeated_search / planned.validation  # share of the half-sets
    if progress.part == "half-sets":
        return first * progress.share
    return first + (1 - first) * progress.share


def _estimates(
    summaries: Sequence[IterationSummary], planned: PlannedWork
) -> Iterator[tuple[float, float]]:
    """Yield the seconds of each iteration, and what those until then say about the remaining ones.

    The phase that goes on is as slow as its last iterations; later ones are as slow as all phases
    until now, of which each counts once: the plan is right only within a factor of about two, and
    in another direction for each phase.
    """
    slowness: dict[str, list[float]] = {}  # seconds per unit of work, of each iteration
    done: dict[str, int] = {}
    for number, summary in enumerate(summaries):
        phase, seconds = summary.phase, summary.total_seconds
        done[phase] = done.get(phase, 0) + 1
        steps = planned.phases.get(phase, ())
        unit = steps[min(done[phase], len(steps)) - 1] if steps else 0.0
        if unit > 0 and seconds > 0 and number:
            slowness.setdefault(phase, []).append(seconds / unit)
        own, later = _work_after(phase, done[phase], planned)
        yield seconds, _seconds_left(own, later, slowness, phase)


def _seconds_left(
    own: float, later: float, slowness: Mapping[str, Sequence[float]], phase: str
) -> float:
    if not slowness:
        return math.nan
    long = [found for found in slowness.values() if len(found) >= _ENOUGH]
    usual = [statistics.median(found) for found in long or slowness.values()]
    mean = statistics.geometric_mean(usual)
    own_times = slowness.get(phase, ())
    now = statistics.median(own_times[-_RECENT:]) if len(own_times) >= _ENOUGH else mean
    return own * now + later * mean


def _work_after(phase: str, done: int, planned: PlannedWork) -> tuple[float, float]:
    """Return the work that is left after so many iterations of a phase: of it, and later."""
    names = list(planned.phases)
    if phase not in names:
        return math.nan, math.nan
    later = names[names.index(phase) + 1 :]
    after = sum(sum(planned.phases[name]) for name in later) + planned.validation
    steps = planned.phases[phase]
    own = sum(steps[done:])
    if done > len(steps) / 2 and steps:  # it may take longer than usual, the more it has taken
        own = max(own, _LONGER * done * steps[-1])
    return own, after


def planned_work(folder: Path | None, summaries: Sequence[IterationSummary]) -> PlannedWork | None:
    """Return the work of a run; None if its settings cannot be read.

    Parameters
    ----------
    folder : Path or None
        Of the run.
    summaries : sequence of IterationSummary
        At least one.
    """
    last = summaries[-1]
    if folder is None:
        return None
    try:
        record = RunFolder.open(folder).read_record()
    except Ini3dError:
        return None
    width = last.box_size * last.voxel_size
    settings = record.settings.with_changes(iterations=last.n_iterations)
    pixel_size = record.working_pixel_size or last.voxel_size
    geometry = ImageGeometry(
        box_size=round(width / pixel_size),
        pixel_size=pixel_size,
        diameter=settings.mask_diameter or 0.7 * width,
        n_particles=max(record.n_particles - len(record.excluded), 1),
    )
    return _planned_work(geometry, settings)


@functools.lru_cache(maxsize=8)
def _planned_work(geometry: ImageGeometry, settings: InitialModelSettings) -> PlannedWork:
    return plan_work(geometry, settings)
