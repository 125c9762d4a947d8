"""How a run goes on after an iteration, and what is told about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from napari_ini3d._types import Float32, Float64
from napari_ini3d.engine.initialisation import start_agreement
from napari_ini3d.engine.maximisation import IterationSums, Update
from napari_ini3d.engine.records import IterationReport, Phase
from napari_ini3d.engine.schedule import (
    ImageGeometry,
    Phases,
    Plan,
    refined_radius,
)
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.engine.tiles import BestPoses
from napari_ini3d.fourier import fsc_resolution
from napari_ini3d.geometry import euler_to_matrix, matrix_to_euler, pixel_directions
from napari_ini3d.particles import Assignments, Particles
from napari_ini3d.settings import InitialModelSettings

_VIEW_NSIDE = 8
_SUPPORTED_FSC, _REPORTED_FSC = 0.143, 0.5
_SETTLED_GAIN = 4e-3  # relative gain in evidence under which an iteration changes nothing
_SETTLED_ITERATIONS = 2


@dataclass(frozen=True, slots=True)
class IterationOutcome:
    """What an iteration found, for the best of its models.

    Attributes
    ----------
    plan : Plan
    update : Update
    sums : IterationSums
    start : int
        Which model it is.
    seconds : mapping
    """

    plan: Plan
    update: Update
    sums: IterationSums
    start: int
    seconds: Mapping[str, float]


def empty_assignments(particles: Particles) -> Assignments:
    """Return the assignments before any visit: the shifts of the file, no class."""
    n = len(particles)
    zeros = [np.zeros(n, np.float32) for _ in range(5)]
    return Assignments(
        class_index=np.full(n, -1, np.int32),
        rot=zeros[0],
        tilt=zeros[1],
        psi=zeros[2],
        origin_x=particles.origin_x.astype(np.float32),
        origin_y=particles.origin_y.astype(np.float32),
        max_probability=zeros[3],
        n_significant=np.zeros(n, np.int32),
        log_likelihood=zeros[4],
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
    }
    arrays = {}
    for name, values in new.items():
        arrays[name] = getattr(assignments, name).copy()
        arrays[name][index] = values
    return Assignments(**arrays)


def make_report(
    state: EngineState,
    models: tuple[ModelState, ...],
    outcome: IterationOutcome,
    settings: InitialModelSettings,
    geometry: ImageGeometry,
) -> IterationReport:
    """Return the report of an iteration, with the state from which the next one starts."""
    plan, update = outcome.plan, outcome.update
    after = _next_state(state, models, outcome, settings, geometry)
    resolution = np.array([_resolution(a.fsc, plan.radius, geometry) for a in update.agreement])
    return IterationReport(
        iteration=after.iteration,
        n_iterations=settings.iterations,
        phase=plan.phase,
        volumes=update.model.maps,
        voxel_size=geometry.pixel_size,
        resolution=resolution.astype(np.float32),
        ssnr=np.stack([a.ssnr for a in update.agreement]).astype(np.float32),
        fsc=np.stack([a.fsc for a in update.agreement]).astype(np.float32),
        step_size=plan.step_size,
        subset_size=outcome.sums.total,
        current_size=2 * plan.radius,
        angular_step=plan.finest_step,
        offset_range=plan.offset_range,
        offset_step=plan.finest_offset_step,
        mean_max_probability=outcome.sums.mean_of("max_probability"),
        class_shares=(outcome.sums.class_weight / outcome.sums.total).astype(np.float32),
        view_counts=_view_counts(after.assignments, len(update.model.maps)),
        map_change=update.map_change.astype(np.float32),
        sigma2_noise=update.model.sigma2.astype(np.float32),
        start=outcome.start,
        message=_message(outcome, resolution, after, models, settings.iterations),
        converged=after.finished and after.iteration < settings.iterations,
        seconds=outcome.seconds,
        assignments=after.assignments,
        state=after,
    )


def _resolution(fsc: Float64, radius: int, geometry: ImageGeometry) -> float:
    """Return where the FSC falls below one half, at best what was compared."""
    found = fsc_resolution(fsc, geometry.box_size, geometry.pixel_size, _REPORTED_FSC)
    return max(found, geometry.resolution_of(radius))


def _next_state(
    state: EngineState,
    models: tuple[ModelState, ...],
    outcome: IterationOutcome,
    settings: InitialModelSettings,
    geometry: ImageGeometry,
) -> EngineState:
    plan = outcome.plan
    supported = max(
        1, *(a.first_shell_below(_SUPPORTED_FSC, plan.radius) - 1 for a in outcome.update.agreement)
    )
    phase, step = _next_phase(plan, outcome, supported, settings, geometry)
    if plan.phase == "starts" and phase != "starts":
        models = (_only(models[outcome.start], settings),)
    assignments = with_poses(state.assignments, outcome.sums.poses, geometry.pixel_size)
    return EngineState(
        iteration=state.iteration + 1,
        phase=phase,
        step=step,
        drawn=state.drawn + outcome.sums.total,
        supported_radius=supported,
        sigma_offset=state.sigma_offset,
        models=models,
        assignments=assignments,
    )


def _next_phase(
    plan: Plan,
    outcome: IterationOutcome,
    supported: int,
    settings: InitialModelSettings,
    geometry: ImageGeometry,
) -> tuple[Phase, int]:
    phases = Phases.of(settings.iterations)
    step = plan.step + 1
    if plan.phase == "starts" and step >= phases.starts:
        return ("search" if phases.search else "final"), 0
    if plan.phase == "search" and step >= phases.search:
        return ("refine" if phases.refine else "final"), 0
    growing = refined_radius(supported, settings, geometry) > plan.radius
    settled = not growing and _settled(outcome.update.model, plan)
    if plan.phase == "refine" and settled:
        # an iteration over all particles is its own final pass
        return "final", int(outcome.sums.total == geometry.n_particles)
    return ("final", 0) if plan.phase == "refine" and step >= phases.refine else (plan.phase, step)


def _settled(model: ModelState, plan: Plan) -> bool:
    """Tell whether the last refinements have gained nothing."""
    if plan.step < _SETTLED_ITERATIONS:
        return False
    recent = model.evidence[-_SETTLED_ITERATIONS - 1 :]
    gain = np.diff(recent) / np.abs(recent[1:])
    return bool((gain < _SETTLED_GAIN).all())


def _only(model: ModelState, settings: InitialModelSettings) -> ModelState:
    """Return the model that goes on alone, as many times as there are classes."""
    missing = settings.classes - len(model.maps)
    if not missing:
        return replace(model, evidence=model.evidence[:0])
    times = (settings.classes, *[1] * 3)
    return replace(
        model,
        maps=np.tile(model.maps, times),
        numerator=np.tile(model.numerator, (*times, 1)),
        denominator=np.tile(model.denominator, (*times, 1)),
        class_shares=np.full(settings.classes, 1 / settings.classes),
        evidence=model.evidence[:0],
    )


def _view_counts(assignments: Assignments, n_classes: int) -> Float32:
    """Count the particles of each class per HEALPix pixel of their viewing direction."""
    centres = pixel_directions(_VIEW_NSIDE)
    counts = np.zeros((n_classes, len(centres)), np.float32)
    visited = assignments.class_index >= 0
    angles = (getattr(assignments, name)[visited] for name in ("rot", "tilt", "psi"))
    directions = euler_to_matrix(*angles)[:, 2]
    _, pixel = KDTree(centres).query(directions)
    classes = np.minimum(assignments.class_index[visited], n_classes - 1)
    np.add.at(counts, (classes, pixel), 1)
    return counts


def _message(
    outcome: IterationOutcome,
    resolution: Float64,
    after: EngineState,
    models: tuple[ModelState, ...],
    n_iterations: int,
) -> str:
    if outcome.plan.phase == "starts":
        return _message_of_starts(outcome, after, models)
    if after.finished:
        ended = "converged" if after.iteration < n_iterations else "all iterations done"
        return f"{ended} at {resolution.min():.1f} Å"
    if after.phase == "final":
        return f"refined to {resolution.min():.1f} Å; the last pass assigns every particle"
    what = "searching" if outcome.plan.phase == "search" else "refining"
    return f"{what} at {resolution.min():.1f} Å"


def _message_of_starts(
    outcome: IterationOutcome, after: EngineState, models: tuple[ModelState, ...]
) -> str:
    best, n = outcome.start, len(models)
    if n == 1:
        return "searching from one random start"
    if after.phase == "starts":
        return f"{n} random starts; start {best + 1} explains the images best so far"
    agreement = start_agreement([model.maps[0] for model in models], best, outcome.plan.radius)
    listed = ", ".join(f"{value:.2f}" for value in agreement)
    return (
        f"start {best + 1} of {n} explains the images best and goes on; "
        f"the others agree with it to a mean FSC of {listed}"
    )
