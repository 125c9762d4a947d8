"""Remaining time of a run, by phase, smoothed over the iterations; no Qt here.

The work of each iteration that is still expected is planned (`preflight.plan_work`): a refinement
takes many times as long as a random start. The seconds per unit of work are measured.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_ini3d.engine import ImageGeometry
from napari_ini3d.errors import Ini3dError
from napari_ini3d.preflight import PlannedWork, plan_work
from napari_ini3d.runs import IterationSummary, RunFolder, ValidationProgress
from napari_ini3d.settings import InitialModelSettings

_RECENT = 7  # iterations that say how slow the phase is
_LONGER = 0.25  # iterations that a phase takes beyond its usual ones, over those it has done
_WEIGHTS = (0.2, 0.7)  # of a new estimate in the smoothed one; more after a long iteration
_STEP, _SLACK = 1.4, 5.0  # most change of an estimate in an iteration: factor, s
_REPEATED = ("search", "refine")  # phases of a second search
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
    left, course = math.nan, _Course(planned)
    for summary in summaries:
        seconds = summary.total_seconds
        course.add(summary.phase, seconds)
        estimate = course.seconds_left(summary.searches_to_come)
        if not math.isfinite(left):
            left = estimate
        elif math.isfinite(estimate):
            expected = max(left - seconds, 0.0)
            weight = min(max(seconds / max(left, seconds), _WEIGHTS[0]), _WEIGHTS[1])
            wanted = (1 - weight) * expected + weight * estimate
            least, most = expected / _STEP - _SLACK, left * _STEP + _SLACK
            left = max(0.0, min(max(wanted, least), most))
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


@dataclass
class _Course:
    """The phases of a run so far, with the seconds of their iterations.

    Attributes
    ----------
    planned : PlannedWork
    passes : list
        Each phase with the seconds of its iterations; a second search and its refinement are
        passes of their own.
    slowness : dict
        From each phase to the seconds per unit of work of its iterations.
    """

    planned: PlannedWork
    passes: list[tuple[str, list[float]]] = field(default_factory=list)
    slowness: dict[str, list[float]] = field(default_factory=dict)

    def add(self, phase: str, seconds: float) -> None:
        """Add an iteration; the first one compiles kernels, and says nothing about the others."""
        first = not self.passes
        if first or self.passes[-1][0] != phase:
            self.passes.append((phase, []))
        found = self.passes[-1][1]
        found.append(seconds)
        steps = self.planned.phases.get(phase, ())
        unit = steps[min(len(found), len(steps)) - 1] if steps else 0.0
        if unit > 0 and seconds > 0 and not first:
            self.slowness.setdefault(phase, []).append(seconds / unit)

    def seconds_left(self, searches_to_come: int) -> float:
        """Return the seconds until the run has ended, with its validation; NaN if unknown.

        Parameters
        ----------
        searches_to_come : int
            Searches, each with its refinement, that follow the current one.
        """
        names, (phase, spent) = list(self.planned.phases), self.passes[-1]
        if not self.slowness or phase not in names:
            return math.nan
        own = self._left_of_pass()
        usual = {name: self._usual(name) for name in names} | {phase: sum(spent) + own}
        later = sum(usual[name] for name in names[names.index(phase) + 1 :])
        again = searches_to_come * sum(usual.get(name, 0.0) for name in _REPEATED)
        return own + later + again + self.planned.validation * self._mean_slowness()

    def _left_of_pass(self) -> float:
        """Return the seconds that the current phase still takes.

        It is as slow as its last iterations.
        """
        phase, spent = self.passes[-1]
        done, before, steps = len(spent), self._last_pass(phase), self.planned.phases[phase]
        if before:
            at_all = len(before)
            slower = sum(spent) / sum(before[:done]) if done >= _ENOUGH else 1.0
            own, last = sum(before[done:]) * slower, statistics.median(spent[-_RECENT:])
        else:
            at_all, found = len(steps), self.slowness.get(phase, ())
            enough = len(found) >= _ENOUGH
            now = statistics.median(found[-_RECENT:]) if enough else self._mean_slowness()
            own, last = sum(steps[done:]) * now, (steps[-1] if steps else 0.0) * now
        # it may take longer than usual, the more it has taken
        return max(own, _LONGER * done * last) if done > at_all / 2 else own

    def _usual(self, phase: str) -> float:
        """Return the seconds of a pass that has not begun: those of the last one, or as planned.

        What is planned is as slow as all phases until now.
        """
        known = self._last_pass(phase)
        return sum(known) if known else sum(self.planned.phases[phase]) * self._mean_slowness()

    def _last_pass(self, phase: str) -> list[float]:
        """Return the seconds of the iterations of a phase when it was last done; empty if not."""
        earlier = reversed(self.passes[:-1])
        return next((seconds for name, seconds in earlier if name == phase), [])

    def _mean_slowness(self) -> float:
        """Return the seconds per unit of work, over phases, of which each counts once.

        The plan is right only within a factor of about two, and in another direction for each.
        """
        long = [found for found in self.slowness.values() if len(found) >= _ENOUGH]
        usual = [statistics.median(found) for found in long or self.slowness.values()]
        return statistics.geometric_mean(usual)


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
    settings = record.settings.with_changes(
        iterations=last.n_iterations,
        initial_resolution=_start_resolution(summaries) or record.settings.initial_resolution,
    )
    pixel_size = record.working_pixel_size or last.voxel_size
    geometry = ImageGeometry(
        box_size=round(width / pixel_size),
        pixel_size=pixel_size,
        diameter=settings.mask_diameter or 0.7 * width,
        n_particles=max(record.n_particles - len(record.excluded), 1),
    )
    return _planned_work(geometry, settings)


def _start_resolution(summaries: Sequence[IterationSummary]) -> float | None:
    """Return the resolution (Å) of starts that were begun anew at a finer one; else None."""
    sizes = [summary.current_size for summary in summaries if summary.phase == "starts"]
    if not sizes or sizes[-1] == sizes[0]:
        return None
    width = summaries[0].box_size * summaries[0].voxel_size
    return width / (sizes[-1] / 2 + 0.5)  # in the middle of the shell: its radius is rounded down


@functools.lru_cache(maxsize=8)
def _planned_work(geometry: ImageGeometry, settings: InitialModelSettings) -> PlannedWork:
    return plan_work(geometry, settings)
