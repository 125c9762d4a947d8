"""Conclusion of an iteration: best start, poses, next phase, convergence, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from napari_ini3d._types import Float32, Float64
from napari_ini3d.engine.agreement import AlignedMaps
from napari_ini3d.engine.centring import (
    centred_model,
    centred_poses,
    distance_from_centre,
)
from napari_ini3d.engine.class_alignment import align_classes
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.finer_starts import wants_finer_starts, with_finer_starts
from napari_ini3d.engine.image_scale import with_scales
from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.messages import iteration_message
from napari_ini3d.engine.more_starts import wants_more_starts, with_more_starts
from napari_ini3d.engine.outcome import IterationOutcome
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.schedule import Plan
from napari_ini3d.engine.state import NO_GROUP, EngineState, ModelState
from napari_ini3d.engine.sums import BestPoses, IterationSums
from napari_ini3d.engine.symmetric_starts import (
    best_symmetric_start,
    wants_choice,
    wants_symmetric_search,
    with_better_model,
    with_symmetric_search,
)
from napari_ini3d.engine.transitions import Transition
from napari_ini3d.geometry import (
    count_directions,
    euler_to_matrix,
    matrix_to_euler,
    nearest_pixels,
    pixel_directions,
)
from napari_ini3d.particles import Assignments
from napari_ini3d.settings import InitialModelSettings

_VIEW_NSIDE = 8
_SEARCH_INTERVAL, _REFINE_INTERVAL = 5, 3  # iterations over which the drift is measured


def conclude(
    run: RunContext,
    state: EngineState,
    plan: Plan,
    sums: list[IterationSums],
    updates: list[Update],
    seconds: Mapping[str, float],
) -> IterationReport:
    """Return the report of an iteration, which holds the state that the next one starts from.

    Parameters
    ----------
    run : RunContext
    state : EngineState
        Before the iteration; it is not changed.
    plan : Plan
    sums, updates : list
        Per model.
    seconds : mapping
        By stage.
    """
    outcome, after, starts = _advance(run, state, plan, sums, updates)
    message = iteration_message(run, state, outcome, after, updates)
    return _report(run, outcome, after, message, starts, seconds)


def _advance(
    run: RunContext,
    state: EngineState,
    plan: Plan,
    sums: list[IterationSums],
    updates: list[Update],
) -> tuple[IterationOutcome, EngineState, AlignedMaps | None]:
    """Return the outcome of an iteration, its maps centred and aligned, and the next state.

    In the last iteration of the starts, also their maps, aligned to the best.
    """
    outcome = IterationOutcome.of(plan, updates, sums)
    assignments = with_poses(state.assignments, outcome.sums.poses, run.geometry.pixel_size)
    if plan.phase in ("refine", "final"):  # in the search most poses are wrong
        assignments = with_scales(assignments, outcome.sums.poses)
    drift = _drift_after(state, outcome)
    if plan.phase == "search" and drift.age == 0 and run.settings.flatten_solvent:
        outcome, assignments = _centred(run, outcome, assignments)
        drift = replace(drift, maps=outcome.update.model.maps)
        updates = [outcome.update]
    transition = Transition.after(run, state, drift, outcome)
    if plan.phase == "search" and transition.phase != "search" and _are_free(run, outcome):
        outcome, assignments = align_classes(run, outcome, assignments)
        updates = [outcome.update]
    starts = None
    if plan.phase == "starts" and transition.phase != "starts":
        starts = _aligned_starts(run, outcome, updates)
    after = _next_state(run, state, transition, outcome, updates, starts, drift, assignments)
    if plan.phase == "starts" and wants_finer_starts(run, after):
        after = with_finer_starts(run, after)
    elif plan.phase == "starts" and wants_more_starts(run, after):
        after = with_more_starts(run, after, outcome.update.model)
    elif wants_symmetric_search(run, after):
        after = with_symmetric_search(after, run.particles, run.settings)
    elif wants_choice(after):
        after = with_better_model(after)
    return outcome, after, starts


def _report(
    run: RunContext,
    outcome: IterationOutcome,
    after: EngineState,
    message: str,
    starts: AlignedMaps | None,
    seconds: Mapping[str, float],
) -> IterationReport:
    plan = outcome.plan
    update, half_sets = outcome.update, outcome.update.half_sets
    return IterationReport(
        iteration=after.iteration,
        n_iterations=run.settings.iterations,
        phase=plan.phase,
        volumes=update.model.maps,
        voxel_size=run.geometry.pixel_size,
        resolution=outcome.resolution(run.geometry).astype(np.float32),
        ssnr=np.stack([h.ssnr for h in half_sets]).astype(np.float32),
        fsc=np.stack([h.fsc for h in half_sets]).astype(np.float32),
        step_size=plan.step_size,
        subset_size=outcome.sums.total,
        current_size=2 * plan.radius,
        angular_step=plan.finest_step,
        offset_range=plan.offset_range,
        offset_step=plan.finest_offset_step,
        mean_max_probability=outcome.sums.mean_of("max_probability"),
        class_shares=_shares(outcome.sums.class_weight),
        view_counts=_view_counts(
            after.assignments,
            len(update.model.maps),
            run.imposed_operators(update.model, plan.phase),
        ),
        map_change=update.map_change.astype(np.float32),
        sigma2_noise=update.model.sigma2.astype(np.float32),
        sigma_offset=float(update.model.sigma_offset),
        start=outcome.start,
        message=message,
        converged=after.finished and after.iteration < run.settings.iterations,
        seconds=seconds,
        assignments=after.assignments,
        state=after,
        aligned_starts=None if starts is None else starts.maps,
    )


def with_poses(assignments: Assignments, poses: list[BestPoses], pixel_size: float) -> Assignments:
    """Return a copy in which the particles of some tiles have their newest pose."""
    index = np.concatenate([p.index for p in poses])
    matrix, shift = (np.concatenate([getattr(p, f) for p in poses]) for f in ("matrix", "shift"))
    rot, tilt, psi = matrix_to_euler(matrix).T
    new = {
        "class_index": np.concatenate([p.class_index for p in poses]),
        "rot": rot,
        "tilt": tilt,
        "psi": psi,
        "origin_x": shift[:, 0] * pixel_size,
        "origin_y": shift[:, 1] * pixel_size,
        "max_probability": np.concatenate([p.max_probability for p in poses]),
        "n_significant": np.concatenate([p.n_significant for p in poses]),
        "log_likelihood": np.concatenate([p.log_evidence for p in poses]),
        "junk_probability": np.concatenate([p.junk_probability for p in poses]),
    }
    arrays = {}
    for name, values in new.items():
        arrays[name] = getattr(assignments, name).copy()
        arrays[name][index] = values
    return replace(assignments, **arrays)


def _centred(
    run: RunContext, outcome: IterationOutcome, assignments: Assignments
) -> tuple[IterationOutcome, Assignments]:
    """Return outcome and poses with every map at its centre of mass."""
    model = outcome.update.model
    operators = run.imposed_operators(model, outcome.plan.phase)
    shifts = np.stack([distance_from_centre(volume, operators) for volume in model.maps])
    if not shifts.any():
        return outcome, assignments
    model = centred_model(model, shifts, run.settings.padding_factor)
    assignments = centred_poses(assignments, shifts, run.geometry.pixel_size)
    return replace(outcome, update=replace(outcome.update, model=model)), assignments


def _are_free(run: RunContext, outcome: IterationOutcome) -> bool:
    """Tell whether there are several classes, and no point group that fixes their axes."""
    return len(outcome.update.model.maps) > 1 and len(run.operators) == 1


def _next_state(
    run: RunContext,
    state: EngineState,
    transition: Transition,
    outcome: IterationOutcome,
    updates: list[Update],
    starts: AlignedMaps | None,
    drift: Drift,
    assignments: Assignments,
) -> EngineState:
    models, phase = tuple(update.model for update in updates), transition.phase
    agreement, alternative = state.start_agreement, state.alternative
    if starts is not None:
        agreement = np.array(starts.agreement)
        alternative = best_symmetric_start(models) or alternative
        models = (_continue_alone(models[outcome.start], run.settings),)
    if phase != outcome.plan.phase:
        drift = Drift.begin(models[0].maps, outcome.plan.radius)
    return EngineState(
        iteration=state.iteration + 1,
        phase=phase,
        step=transition.step,
        climbed=transition.climbed,
        drawn=state.drawn + outcome.sums.total,
        start_radius=state.start_radius,
        starts_tried=state.starts_tried,
        fsc_radius=outcome.fsc_radius,
        typical_power=state.typical_power,
        drift=drift,
        start_agreement=agreement,
        models=models,
        assignments=assignments,
        alternative=alternative,
    )


def _aligned_starts(
    run: RunContext, outcome: IterationOutcome, updates: list[Update]
) -> AlignedMaps:
    """Return the first class of the best start, and those of the others, aligned to it.

    Of the starts on which no point group is imposed.
    """
    free = [update for update in updates if update.model.point_group == NO_GROUP]  # come first
    maps = [update.model.maps[0] for update in free]
    best = maps.pop(outcome.start)
    return AlignedMaps.of(best, maps, outcome.plan.radius, threads=run.settings.threads)


def _drift_after(state: EngineState, outcome: IterationOutcome) -> Drift:
    plan, update = outcome.plan, outcome.update
    if plan.phase == "starts":
        return state.drift
    interval = _SEARCH_INTERVAL if plan.phase == "search" else _REFINE_INTERVAL
    return state.drift.after(update.model.maps, update.half_sets, plan.radius, interval)


def _continue_alone(model: ModelState, settings: InitialModelSettings) -> ModelState:
    """Return the best start as the only model, its map copied to all classes."""
    missing = settings.classes - len(model.maps)
    model = model.continued(settings.offset_range)
    if not missing:
        return model
    times = (settings.classes, *[1] * 3)
    return replace(
        model,
        maps=np.tile(model.maps, times),
        numerator=np.tile(model.numerator, (*times, 1)),
        denominator=np.tile(model.denominator, (*times, 1)),
        class_shares=np.full(settings.classes, 1 / settings.classes),
    )


def _shares(class_weight: Float64) -> Float32:
    """Return the share of each class of the images that are not junk; equal ones if all are."""
    weight = class_weight if class_weight.any() else np.ones_like(class_weight)
    shares: Float32 = (weight / weight.sum()).astype(np.float32)
    return shares


def _view_counts(assignments: Assignments, n_classes: int, operators: Float32) -> Float32:
    """Count the particles of each class per HEALPix pixel of their viewing direction, (K, M).

    With a point group, a particle counts in equal parts for all its equivalent directions.
    """
    angles = (getattr(assignments, name) for name in ("rot", "tilt", "psi"))
    directions = euler_to_matrix(*angles)[:, 2]  # (N, 3), third row: the viewing direction
    counts = np.stack(
        [
            count_directions(directions[assignments.class_index == k], _VIEW_NSIDE)
            for k in range(n_classes)
        ]
    )
    if len(operators) == 1:
        return counts.astype(np.float32)
    centres = pixel_directions(_VIEW_NSIDE)  # (M, 3)
    equivalent = nearest_pixels(centres @ operators, _VIEW_NSIDE)  # (G, M)
    return np.asarray(counts[:, equivalent].mean(axis=1), np.float32)  # over the operators
