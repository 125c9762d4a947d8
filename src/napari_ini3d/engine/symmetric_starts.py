"""Starts with a cubic point group, for particles that look like a ball at low resolution.

A shell such as apoferritin has no features at low resolution, and where it has some, at 18 Å, a
map of arbitrary ones explains the images as well as the true map does. What finds the true one
there is its symmetry, which most such particles have: one of the cubic groups. So random starts
with each of these groups are tried beside those without. The best of them waits until the
refinement of the best start without symmetry has converged. Then a second search begins from it,
which keeps its group imposed; its refinement does not. Of the two maps, both refined without
symmetry, that of the higher likelihood is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.initialisation import empty_assignments, random_model
from napari_ini3d.engine.noise import InitialNoise
from napari_ini3d.engine.resolved_settings import ResolvedSettings
from napari_ini3d.engine.schedule import Phases
from napari_ini3d.engine.state import NO_GROUP, START_GROUPS, Alternative, EngineState, ModelState
from napari_ini3d.particles import Particles
from napari_ini3d.settings import InitialModelSettings

_COMPARED = 2  # iterations, after convergence; earlier ones still rise


def cubic_models(run: RunContext, radius: int, noise: InitialNoise) -> tuple[ModelState, ...]:
    """Return a random start for each cubic group; none beside a given group or several classes.

    Parameters
    ----------
    run : RunContext
    radius : int
        Fourier radius.
    noise : InitialNoise
    """
    settings = run.settings
    if settings.imposed_group.upper() != NO_GROUP or settings.classes > 1:
        return ()
    first = max(settings.starts, settings.max_starts)  # random maps that no other start has
    return tuple(
        replace(random_model(run, first + i, 1, radius, noise), group=np.array(i))
        for i, group in enumerate(START_GROUPS)
        if group != NO_GROUP
    )


def best_symmetric_start(models: Sequence[ModelState]) -> Alternative | None:
    """Return the start of the highest evidence among those with a group; None without any."""
    symmetric = [model for model in models if model.point_group != NO_GROUP]
    if not symmetric:
        return None
    return Alternative(max(symmetric, key=lambda model: model.recent_evidence))


def wants_symmetric_search(run: RunContext, state: EngineState) -> bool:
    """Return whether the refinement has converged, a start with a group waits, and time is left.

    Parameters
    ----------
    run : RunContext
    state : EngineState
        After an iteration.
    """
    waits = state.alternative is not None and not state.alternative.is_refined
    needed = Phases.of(run.settings.iterations).from_search
    return waits and state.phase == "final" and state.iteration + needed <= run.settings.iterations


def with_symmetric_search(
    state: EngineState, particles: Particles, settings: InitialModelSettings | ResolvedSettings
) -> EngineState:
    """Return a state that searches from the start with a group, and keeps the map so far."""
    assert state.alternative is not None
    start = state.alternative.model
    return replace(
        state,
        phase="search",
        step=0,
        climbed=0,
        fsc_radius=state.start_radius,
        drift=Drift.begin(start.maps, state.start_radius),
        models=(start.continued(settings.offset_range),),
        assignments=empty_assignments(particles),
        alternative=Alternative(state.models[0], state.fsc_radius),
    )


def wants_choice(state: EngineState) -> bool:
    """Return whether both maps have been refined, so that one can be chosen."""
    refined = state.alternative is not None and state.alternative.is_refined
    return refined and state.phase == "final"


def with_better_model(state: EngineState) -> EngineState:
    """Return the state with that of the two models which has the higher evidence."""
    other = state.alternative
    assert other is not None
    if _final_evidence(other.model) <= _final_evidence(state.models[0]):
        return replace(state, alternative=None)
    return replace(
        state,
        step=0,  # the final pass assigns the particles to this map
        models=(other.model,),
        fsc_radius=other.fsc_radius,
        drift=Drift.begin(other.model.maps, other.fsc_radius),
        alternative=None,
    )


def _final_evidence(model: ModelState) -> float:
    return float(model.evidence[-_COMPARED:].mean())
