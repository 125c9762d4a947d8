"""Conclusion of an iteration: best start, poses, next phase, convergence, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from napari_ini3d._types import Float32, Float64
from napari_ini3d.engine.agreement import mean_agreement
from napari_ini3d.engine.centring import (
    centred_model,
    centred_poses,
    distance_from_centre,
)
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.finer_starts import wants_finer_starts, with_finer_starts
from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.schedule import Phase, Phases, Plan, refined_radius
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.engine.sums import BestPoses, IterationSums
from napari_ini3d.fourier import fsc_resolution
from napari_ini3d.geometry import (
    count_directions,
    euler_to_matrix,
    matrix_to_euler,
    pixel_directions,
)
from napari_ini3d.particles import Assignments
from napari_ini3d.settings import InitialModelSettings

_VIEW_NSIDE = 8
_SUPPORTED_FSC, _REPORTED_FSC = 0.143, 0.5
_CONVERGED_GAIN = 4e-3  # relative gain in evidence below which an iteration changes nothing
_CONVERGED_ITERATIONS = 2
_RISING_ITERATIONS, _RISING_SHELLS = 3, 0.1  # sum of the FSC over shells, per class
_PATIENCE = 10  # iterations without a gain that end a refinement whose map moves as a whole
_SEARCH_INTERVAL, _REFINE_INTERVAL = 5, 3  # iterations over which the drift is measured
_CLIMB_DRIFT = 3.0  # above it, the resolution of the search waits
_SEARCH_DRIFT, _REFINE_DRIFT = 1.0, 0.5  # above it, the phase goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationOutcome:
    """Result of an iteration for the best of its models.

    Attributes
    ----------
    plan : Plan
    start : int
        Number of that model.
    update : Update
    sums : IterationSums
    fsc_radius : int
        Fourier radius up to which the half-sets of the best-resolved class agree.
    """

    plan: Plan
    start: int
    update: Update
    sums: IterationSums
    fsc_radius: int

    @classmethod
    def of(cls, plan: Plan, updates: list[Update], sums: list[IterationSums]) -> IterationOutcome:
        """Choose the model with the highest evidence."""
        start = max(range(len(updates)), key=lambda i: updates[i].model.recent_evidence)
        best = updates[start]
        shells = [h.first_shell_below(_SUPPORTED_FSC, plan.radius) - 1 for h in best.half_sets]
        return cls(
            plan=plan,
            start=start,
            update=best,
            sums=sums[start],
            fsc_radius=max(1, *shells),
        )


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
    outcome = IterationOutcome.of(plan, updates, sums)
    assignments = with_poses(state.assignments, outcome.sums.poses, run.geometry.pixel_size)
    drift = _drift_after(state, outcome)
    if plan.phase == "search" and drift.age == 0 and run.settings.flatten_solvent:
        outcome, assignments = _centred(run, outcome, assignments)
        drift = replace(drift, maps=outcome.update.model.maps)
        updates = [outcome.update]
    after = _next_state(run, state, outcome, updates, drift, assignments)
    if plan.phase == "starts" and wants_finer_starts(run, after):
        after = with_finer_starts(run, after)
    update, half_sets = outcome.update, outcome.update.half_sets
    resolution = np.array([_resolution(run, h.fsc, plan.radius) for h in half_sets])  # (K,)
    return IterationReport(
        iteration=after.iteration,
        n_iterations=run.settings.iterations,
        phase=plan.phase,
        volumes=update.model.maps,
        voxel_size=run.geometry.pixel_size,
        resolution=resolution.astype(np.float32),
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
        view_counts=_view_counts(after.assignments, len(update.model.maps), run.operators),
        map_change=update.map_change.astype(np.float32),
        sigma2_noise=update.model.sigma2.astype(np.float32),
        sigma_offset=float(update.model.sigma_offset),
        start=outcome.start,
        message=_message(run, outcome, resolution, after, updates),
        converged=after.finished and after.iteration < run.settings.iterations,
        seconds=seconds,
        assignments=after.assignments,
        state=after,
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
    return Assignments(**arrays)


def _resolution(run: RunContext, fsc: Float64, radius: int) -> float:
    """Return where the FSC falls below one half, at best the finest that was compared (Å)."""
    found = fsc_resolution(fsc, run.geometry.box_size, run.geometry.pixel_size, _REPORTED_FSC)
    return max(found, run.geometry.resolution_of(radius))


def _centred(
    run: RunContext, outcome: IterationOutcome, assignments: Assignments
) -> tuple[IterationOutcome, Assignments]:
    """Return outcome and poses with every map at its centre of mass."""
    model = outcome.update.model
    shifts = np.stack([distance_from_centre(volume, run.operators) for volume in model.maps])
    if not shifts.any():
        return outcome, assignments
    model = centred_model(model, shifts, run.settings.padding_factor)
    assignments = centred_poses(assignments, shifts, run.geometry.pixel_size)
    return replace(outcome, update=replace(outcome.update, model=model)), assignments


def _next_state(
    run: RunContext,
    state: EngineState,
    outcome: IterationOutcome,
    updates: list[Update],
    drift: Drift,
    assignments: Assignments,
) -> EngineState:
    models = tuple(update.model for update in updates)
    climbed = state.climbed + (outcome.plan.phase == "search" and _may_climb(drift))
    phase, step = _next_phase(run, state.iteration + 1, climbed, drift, outcome)
    agreement = state.start_agreement
    if outcome.plan.phase == "starts" and phase != "starts":
        agreement = _agreement(run, outcome, updates)
        models = (_continue_alone(models[outcome.start], run.settings),)
    if phase != outcome.plan.phase:
        drift = Drift.begin(models[0].maps, outcome.plan.radius)
    return EngineState(
        iteration=state.iteration + 1,
        phase=phase,
        step=step,
        climbed=climbed,
        drawn=state.drawn + outcome.sums.total,
        start_radius=state.start_radius,
        fsc_radius=outcome.fsc_radius,
        typical_power=state.typical_power,
        drift=drift,
        start_agreement=agreement,
        models=models,
        assignments=assignments,
    )


def _agreement(run: RunContext, outcome: IterationOutcome, updates: list[Update]) -> Float64:
    """Return the agreement of the other starts with the best, (S - 1,)."""
    maps = [update.model.maps[0] for update in updates]
    radius, threads = outcome.plan.radius, run.settings.threads
    return np.array(start_agreement(maps, outcome.start, radius, threads=threads))


def _drift_after(state: EngineState, outcome: IterationOutcome) -> Drift:
    plan, update = outcome.plan, outcome.update
    if plan.phase == "starts":
        return state.drift
    interval = _SEARCH_INTERVAL if plan.phase == "search" else _REFINE_INTERVAL
    return state.drift.after(update.model.maps, update.half_sets, plan.radius, interval)


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
        rests = drift.ratio <= limit or _gains_nothing(model, plan, _PATIENCE)
        grows = next_radius > plan.radius or _shells_rise(model, plan)
        if rests and not grows and _gains_nothing(model, plan):
            # an iteration over all particles is its own final pass
            return "final", int(outcome.sums.total == run.geometry.n_particles)
        if iteration >= run.settings.iterations - 1:
            return "final", 0
    return plan.phase, step


def _gains_nothing(model: ModelState, plan: Plan, iterations: int = _CONVERGED_ITERATIONS) -> bool:
    """Tell whether none of the last iterations of the refinement has gained evidence."""
    if plan.step < iterations:
        return False
    recent = model.evidence[-iterations - 1 :]
    gain = np.diff(recent) / np.abs(recent[1:])
    return bool((gain < _CONVERGED_GAIN).all())


def _shells_rise(model: ModelState, plan: Plan) -> bool:
    """Tell whether the half-sets have lately come to agree better."""
    if plan.step < _RISING_ITERATIONS:
        return True
    rise = model.fsc_sum[-1] - model.fsc_sum[-1 - _RISING_ITERATIONS]
    return bool(rise > _RISING_SHELLS * len(model.maps))


def _continue_alone(model: ModelState, settings: InitialModelSettings) -> ModelState:
    """Return the best start as the only model, its map copied to all classes.

    The search learns the spread of the shifts; it begins with a wide one, as a narrow prior with
    a narrow range would never find that particles are further off.
    """
    missing = settings.classes - len(model.maps)
    # the evidence of the next phase is not comparable with that of the starts: begin anew
    model = replace(
        model,
        evidence=model.evidence[:0],
        fsc_sum=model.fsc_sum[:0],
        sigma_offset=np.array(max(settings.offset_range, 1.0)),
    )
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
    _, equivalent = KDTree(centres).query(centres @ operators)  # (G, M)
    return np.asarray(counts[:, equivalent].mean(axis=1), np.float32)  # over the operators


def _message(
    run: RunContext,
    outcome: IterationOutcome,
    resolution: Float64,
    after: EngineState,
    updates: list[Update],
) -> str:
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


def start_agreement(
    maps: list[Float32], best: int, radius: int, *, threads: int = 0
) -> list[float]:
    """Return how well each other start agrees with the best: mean FSC after alignment.

    Parameters
    ----------
    maps : list of (n, n, n) float32
        The first class of each start.
    best : int
    radius : int
        Fourier radius up to which the maps have detail.
    threads : int
        0 for all cores.
    """
    others = [volume for number, volume in enumerate(maps) if number != best]
    return mean_agreement(maps[best], others, radius, threads=threads)
