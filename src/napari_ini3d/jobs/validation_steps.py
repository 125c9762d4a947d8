"""Steps of a validation, written for the programs that follow a run through its folder."""

from __future__ import annotations

from collections.abc import Callable

from napari_ini3d.engine import ClosingStep, Phases
from napari_ini3d.runs import RunFolder, ValidationProgress, write_validation_progress
from napari_ini3d.settings import InitialModelSettings

_HALF_SETS = "half-set 1", "half-set 2"  # stages
_AT_USUAL = 0.9  # share of a search that is done after the usual iterations


def write_steps(
    folder: RunFolder, settings: InitialModelSettings, on_step: Callable[[ClosingStep], None]
) -> Callable[[ClosingStep], None]:
    """Return a function that writes how far the validation is, and passes the step on.

    Parameters
    ----------
    folder : RunFolder
    settings : InitialModelSettings
        Of the run.
    on_step : callable
    """

    def write(step: ClosingStep) -> None:
        write_validation_progress(folder, progress_after(step, settings))
        on_step(step)

    return write


def progress_after(step: ClosingStep, settings: InitialModelSettings) -> ValidationProgress:
    """Return how far a validation is after a step of its half-sets or its repeated search."""
    if step.stage in _HALF_SETS:
        share = step.iteration / step.n_iterations
        return ValidationProgress("half-sets", (_HALF_SETS.index(step.stage) + share) / 2)
    phases, done = Phases.of(settings.iterations), step.iteration
    usual = phases.starts + phases.usual_search
    if done < usual:
        return ValidationProgress("repeated search", _AT_USUAL * done / usual)
    # it rises also beyond the usual number, where the map does not settle
    return ValidationProgress("repeated search", 1 - (1 - _AT_USUAL) * usual / done)
