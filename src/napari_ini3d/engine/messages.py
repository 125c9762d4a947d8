"""Message of an iteration: what it did, in a few words."""

from __future__ import annotations

from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.engine.state import NO_GROUP, EngineState
from napari_ini3d.fourier import MAP_CRITERION


def iteration_message(
    run: RunContext,
    before: EngineState,
    outcome: IterationOutcome,
    after: EngineState,
    updates: list[Update],
) -> str:
    """Return the message of an iteration.

    Parameters
    ----------
    run : RunContext
    before : EngineState
    outcome : IterationOutcome
    after : EngineState
        After the iteration.
    updates : list of Update
        Per model.
    """
    if outcome.plan.phase == "starts":
        return _message_of_starts(run, outcome, after, updates)
    finest = f"{outcome.resolution(run.geometry).min():.1f} Å ({MAP_CRITERION})"
    if outcome.plan.phase == "refine" and after.phase == "search":
        group = after.models[0].point_group
        return (
            f"converged at {finest}; a second search begins from a start with the symmetry {group}"
        )
    if _is_chosen(before, after):
        return f"the second map converged at {finest}; the first has the higher likelihood"
    if after.finished:
        early = after.iteration < run.settings.iterations
        ended = "converged" if early else "all iterations done"
        return f"{ended} at {finest}"
    if after.phase == "final":
        return f"refined to {finest}; the final pass assigns every particle"
    stage = "searching" if outcome.plan.phase == "search" else "refining"
    group = before.models[0].point_group
    imposed = group != NO_GROUP and outcome.plan.phase == "search"
    return f"{stage} at {finest}" + (f" with the symmetry {group}" if imposed else "")


def _is_chosen(before: EngineState, after: EngineState) -> bool:
    """Tell whether the model that was kept has become that of the run."""
    other = before.alternative
    return other is not None and other.is_refined and after.models[0] is other.model


def _message_of_starts(
    run: RunContext, outcome: IterationOutcome, after: EngineState, updates: list[Update]
) -> str:
    groups = [u.model.point_group for u in updates if u.model.point_group != NO_GROUP]
    best, n = outcome.start, len(updates) - len(groups)
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
        beside = f", beside {len(groups)} with the symmetry {', '.join(groups)}" if groups else ""
        return f"{n} random starts{beside}; start {best + 1} has the highest likelihood so far"
    listed = ", ".join(f"{value:.2f}" for value in after.start_agreement)
    return (
        f"start {best + 1} of {n} has the highest likelihood and continues; "
        f"mean FSC of the others with it: {listed}"
    )
