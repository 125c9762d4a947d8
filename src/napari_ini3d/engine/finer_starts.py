"""Starts at a finer resolution, where the particle looks like a ball at that of the first ones.

A shell such as apoferritin has no features at 40 Å: all starts find the same hollow sphere, no
pose is known, and what little deviates from the sphere is arbitrary. A search that begins there
sharpens the arbitrary, often into a map whose features have the wrong sign, or which mixes both
hands. Random maps in which the features can be seen do not have this past.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.initialisation import empty_assignments, random_models
from napari_ini3d.engine.noise import InitialNoise
from napari_ini3d.engine.schedule import Phases, finer_start_radius
from napari_ini3d.engine.state import EngineState
from napari_ini3d.engine.symmetric_starts import cubic_models
from napari_ini3d.fourier import featured_share

_FEATURELESS = 0.4  # share of the power of the finest shells that is not in the rotational average
_SHELLS = 2


def wants_finer_starts(run: RunContext, state: EngineState) -> bool:
    """Return whether the starts have ended with a featureless map, and finer starts can follow.

    Parameters
    ----------
    run : RunContext
    state : EngineState
        After an iteration of the starts.
    """
    radius = state.start_radius
    last = state.phase == "search"
    finer = finer_start_radius(radius, run.settings, run.geometry) > radius
    if not (last and finer and iterations_suffice(run, state.iteration)):
        return False
    # of neighbouring shells, one may have few features: the power of a hollow sphere oscillates
    finest = slice(max(1, radius + 1 - _SHELLS), radius + 1)
    shares = [float(featured_share(volume)[finest].max()) for volume in state.models[0].maps]
    return max(shares) < _FEATURELESS


def iterations_suffice(run: RunContext, iteration: int) -> bool:
    """Return whether, after so many iterations, those that are left allow for starts and a search.

    Parameters
    ----------
    run : RunContext
    iteration : int
        Iterations done.
    """
    phases = Phases.of(run.settings.iterations)
    return iteration + phases.starts + phases.from_search <= run.settings.iterations


def with_finer_starts(run: RunContext, state: EngineState) -> EngineState:
    """Return a state whose starts begin anew, from random maps of finer resolution.

    Beside them are starts with a cubic point group, which such particles often have.
    """
    radius = finer_start_radius(state.start_radius, run.settings, run.geometry)
    noise = InitialNoise(state.models[0].sigma2, state.typical_power)  # the starts keep it
    return replace(
        state,
        phase="starts",
        step=0,
        start_radius=radius,
        fsc_radius=radius,
        starts_tried=run.settings.starts,
        start_agreement=np.zeros(0),
        drift=Drift.of_starts(radius),
        models=random_models(run, radius, noise) + cubic_models(run, radius, noise),
        alternative=None,
        assignments=empty_assignments(run.particles),
    )
