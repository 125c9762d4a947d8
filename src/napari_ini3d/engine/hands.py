"""Maps that mix both hands, and how one of them prevails.

At the resolution of the starts most particles look like their mirror image. An image then fits the
map in two poses, one for either hand, and counts half in each, which makes the next map its own
mirror image again, also where finer detail would tell the hands apart: a saddle point of the
likelihood, which expectation maximisation leaves slowly, and in a hard case after the run has
converged. So where a map agrees with its mirror image nearly as well as its half-sets agree,
the difference between the two is amplified in the reference of the next iteration. What the images
do not support is gone after it; what they support grows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_ini3d._types import Float32, Float64
from napari_ini3d.comparison import register_maps
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.engine.state import EngineState
from napari_ini3d.fourier import compute_fsc, mirror_map, resize_map

_GAIN = 3.0  # of the difference from the mirror image
_MIXED, _SETTLED = -0.15, -0.25  # FSC with the mirror image, less that which noise allows
_LEAST_WAVES = 4.0  # across the particle; coarser maps have no hand
_SHELLS = 4  # the finest ones with signal; coarser shells are alike in both hands
_LEAST_FSC = 0.5  # of the whole set, in a shell with signal
_LEAST_BOX = 16  # voxels, of the maps that are compared


def separate_hands(run: RunContext, state: EngineState, outcome: IterationOutcome) -> EngineState:
    """Return the state with the difference of each mixed map from its mirror image amplified.

    Parameters
    ----------
    run : RunContext
    state : EngineState
        After the iteration.
    outcome : IterationOutcome
        Of the iteration.
    """
    measured = state.phase in ("search", "refine") and outcome.plan.phase != "starts"
    waves = run.geometry.diameter / run.geometry.resolution_of(outcome.plan.radius)
    due = measured and state.drift.age == 0 and state.hand_trials > 0
    if not due or waves < _LEAST_WAVES:
        return state
    model, radius, threads = state.models[0], outcome.plan.radius, run.settings.threads
    half_sets = outcome.update.half_sets
    found = [
        difference_from_mirror(volume, half.fsc, radius, threads=threads)
        for volume, half in zip(model.maps, half_sets, strict=True)
    ]
    excess = max(e for e, _ in found)
    if excess <= _MIXED:
        return replace(state, hand_trials=0) if excess <= _SETTLED else state
    maps = model.maps.copy()
    for volume, (own_excess, difference) in zip(maps, found, strict=True):
        if own_excess > _MIXED:
            volume += np.float32((_GAIN - 1) / 2) * difference
    return replace(
        state,
        hand_trials=state.hand_trials - 1,
        models=(replace(model, maps=maps),),
        drift=state.drift.disturbed(),  # what becomes of the difference is waited for
    )


def difference_from_mirror(
    volume: Float32, half_set_fsc: Float64, radius: int, *, threads: int = 0
) -> tuple[float, Float32]:
    """Compare a map with its mirror image.

    Parameters
    ----------
    volume : (n, n, n) float32
    half_set_fsc : (n_shells,) float64
        Of the half-sets of the map.
    radius : int
        Fourier radius up to which the map has detail.
    threads : int
        0 for all cores.

    Returns
    -------
    excess : float
        FSC of the map with its mirror image in the best orientation, less what noise allows of a
        map that is its own mirror image, mean over the finest shells with signal; -1 without any.
        2 FSC / (1 + FSC) of the half-sets is allowed (Rosenthal & Henderson, 2003).
    difference : (n, n, n) float32
        The map less its mirror image.
    """
    whole = 2 * half_set_fsc / np.maximum(1 + half_set_fsc, 1e-3)
    shells = [s for s in range(1, radius + 1) if whole[s] > _LEAST_FSC][-_SHELLS:]
    size = min(len(volume), max(_LEAST_BOX, 2 * -(-3 * radius // 2)))
    small = resize_map(volume, size)
    if not shells or small.min() == small.max():
        return -1.0, np.zeros_like(volume)
    flipped = mirror_map(small)
    found = register_maps(small, flipped, both_hands=False, threads=threads)
    flipped = found.apply(flipped, threads=threads)
    excess = compute_fsc(small, flipped)[shells] - whole[shells]
    return float(excess.mean()), resize_map(small - flipped, len(volume))
