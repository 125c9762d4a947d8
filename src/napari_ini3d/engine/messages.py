"""Message of an iteration: what it did, in a few words."""

from __future__ import annotations

from napari_ini3d._types import Float64
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.engine.state import EngineState


def iteration_message(
    run: RunContext,
    outcome: IterationOutcome,
    resolution: Float64,
    after: EngineState,
    updates: list[Update],
) -> str:
    """Return the message of an iteration.

    Parameters
    ----------
    run : RunContext
    outcome : IterationOutcome
    resolution : (K,) float64
        Å, of each class.
    after : EngineState
        After the iteration.
    updates : list of Update
        Per model.
    """
    if outcome.plan.phase == "starts":
        return _message_of_starts(run, outcome, after, updates)
    if after.finished:
        early = after.iteration < run.settings.iterations
        ended = "converged" if early else "all iterations done"
        return f"{ended} at {resolution.min():.1f} Å"
    if after.phase == "final":
        return f"refined to {resolution.min():.1f} Å; the final pass assigns every particle"
    stage = "searching" if outcome.plan.phase == "search" else "refining"
    return f"{stage} at {resolution.min():.1f} Å"


def _message_of_starts(
    run: RunContext, outcome: IterationOutcome, after: EngineState, updates: list[Update]
) -> str:
    best, n = outcome.start, len(updates)
    if after.phase == "starts" and after.step == 0:
        if after.start_radius == outcome.plan.radius:
            return (
                f"no start agrees with start {best + 1} of {n}, which has the highest likelihood; "
                f"{len(after.models) - 1} more random starts beside it"
            )
        coarse, fine = (
            run.geometry.resolution_of(r) for r in (outcome.plan.radius, after.start_radius)
        )
        return f"the map has no features at {coarse:.1f} Å; new random starts at {fine:.1f} Å"
    if n == 1:
        return "searching from one random start"
    if after.phase == "starts":
        return f"{n} random starts; start {best + 1} has the highest likelihood so far"
    listed = ", ".join(f"{value:.2f}" for value in after.start_agreement)
    return (
        f"start {best + 1} of {n} has the highest likelihood and continues; "
        f"mean FSC of the others with it: {listed}"
    )
