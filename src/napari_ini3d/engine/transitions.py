"""Transitions between the phases: when the resolution may rise, and when a phase ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.engine.schedule import Phase, Phases, Plan, refined_radius
from napari_ini3d.engine.state import EngineState, ModelState

_CONVERGED_GAIN = 4e-3  # relative gain in evidence below which an iteration changes nothing
_CONVERGED_ITERATIONS = 2
_RISING_ITERATIONS, _RISING_SHELLS = 3, 0.1  # sum of the FSC over shells, per class
_PATIENCE = 10  # iterations without a gain that end a refinement whose map moves as a whole
_CLIMB_DRIFT = 3.0  # above it, the resolution of the search waits
_SEARCH_DRIFT, _REFINE_DRIFT = 1.0, 0.5  # above it, the phase goes on


@dataclass(frozen=True, slots=True)
class Transition:
    """Where the next iteration stands.

    Attributes
    ----------
    phase : Phase
    step : int
        Its number within the phase.
    climbed : int
        Iterations of the search in which the resolution was allowed to rise.
    """

    phase: Phase
    step: int
    climbed: int

    @classmethod
    def after(
        cls, run: RunContext, state: EngineState, drift: Drift, outcome: IterationOutcome
    ) -> Self:
        """Return the transition after an iteration.

        Parameters
        ----------
        run : RunContext
        state : EngineState
            Before the iteration.
        drift : Drift
            After it.
        outcome : IterationOutcome
        """
        climbed = state.climbed + (outcome.plan.phase == "search" and _may_climb(drift))
        phase, step = _next_phase(run, state.iteration + 1, climbed, drift, outcome)
        return cls(phase, step, climbed)


def _may_climb(drift: Drift) -> bool:
    """Tell whether the map was settled enough, when it was last measured."""
    return not np.isfinite(drift.ratio) or bool(drift.ratio <= _CLIMB_DRIFT)


def _next_phase(
    run: RunContext, iteration: int, climbed: int, drift: Drift, outcome: IterationOutcome
) -> tuple[Phase, int]:
    plan, phases = outcome.plan, Phases.of(run.settings.iterations)
    step = plan.step + 1
    if plan.phase == "starts" and step >= phases.starts:
        return ("search" if phases.search else "final"), 0
    if plan.phase == "search":
        settled = climbed >= phases.search and drift.ratio <= _SEARCH_DRIFT
        if settled or step >= phases.longest_search:
            return ("refine" if phases.refine else "final"), 0
    if plan.phase == "refine":
        next_radius = refined_radius(outcome.fsc_radius, run.settings, run.geometry)
        # converged: neither resolution, evidence nor the FSC of any shell grows, and the map rests
        model, limit = outcome.update.model, _REFINE_DRIFT if plan.step_size == 1 else _SEARCH_DRIFT
        rests = drift.ratio <= limit or gains_nothing(model, plan, _PATIENCE)
        grows = next_radius > plan.radius or shells_rise(model, plan)
        if rests and not grows and gains_nothing(model, plan):
            # an iteration over all particles is its own final pass
            return "final", int(outcome.sums.total == run.geometry.n_particles)
        if iteration >= run.settings.iterations - 1:
            return "final", 0
    return plan.phase, step


def gains_nothing(model: ModelState, plan: Plan, iterations: int = _CONVERGED_ITERATIONS) -> bool:
    """Tell whether none of the last iterations of the refinement has gained evidence."""
    if plan.step < iterations:
        return False
    recent = model.evidence[-iterations - 1 :]
    gain = np.diff(recent) / np.abs(recent[1:])
    return bool((gain < _CONVERGED_GAIN).all())


def shells_rise(model: ModelState, plan: Plan) -> bool:
    """Tell whether the half-sets have lately come to agree better."""
    if plan.step < _RISING_ITERATIONS:
        return True
    rise = model.fsc_sum[-1] - model.fsc_sum[-1 - _RISING_ITERATIONS]
    return bool(rise > _RISING_SHELLS * len(model.maps))
