"""More random starts, where no other start has found the map of the best one.

Starts that agree have most likely found what the images hold; one that stands alone may be a wrong
map that happens to have the highest likelihood. It goes on beside new random maps, until another
start agrees with the best or as many have been tried as the settings allow.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.finer_starts import iterations_suffice
from napari_ini3d.engine.initialisation import random_models
from napari_ini3d.engine.noise import InitialNoise
from napari_ini3d.engine.state import EngineState, ModelState

_AGREEMENT = 0.8  # mean FSC; of 20 runs at SNR 0.1 to 0.01, all had a start that agreed to 0.85


def wants_more_starts(run: RunContext, state: EngineState) -> bool:
    """Return whether no start agrees with the best, and more can be tried.

    Parameters
    ----------
    run : RunContext
    state : EngineState
        After an iteration of the starts.
    """
    others = state.start_agreement
    alone = state.phase == "search" and len(others) > 0 and bool(others.max() < _AGREEMENT)
    allowed = state.starts_tried + len(others) <= run.settings.max_starts
    return alone and allowed and iterations_suffice(run, state.iteration)


def with_more_starts(run: RunContext, state: EngineState, best: ModelState) -> EngineState:
    """Return a state whose starts go on with the best one and new random maps.

    Parameters
    ----------
    run : RunContext
    state : EngineState
        After the last iteration of the starts.
    best : ModelState
        The start of the highest likelihood, as it was in that iteration.
    """
    noise = InitialNoise(best.sigma2, state.typical_power)  # the starts keep it
    number = len(state.start_agreement)
    new = random_models(run, state.start_radius, noise, first=state.starts_tried, number=number)
    return replace(
        state,
        phase="starts",
        step=0,
        starts_tried=state.starts_tried + number,
        start_agreement=np.zeros(0),
        drift=Drift.of_starts(state.start_radius),
        models=(best, *new),
    )
