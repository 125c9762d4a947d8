"""Run time on this machine: the planned matrix products over its rate of products."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from napari_ini3d.engine import (
    ImageGeometry,
    Phase,
    Phases,
    Plan,
    ResolvedSettings,
    ScheduleInput,
    can_repeat_search,
    first_radius,
    plan_iteration,
    resolve_settings,
)
from napari_ini3d.geometry import rotations_of_unit, shift_grid
from napari_ini3d.kernels import available_threads, blas_threads
from napari_ini3d.settings import InitialModelSettings

_PROBE = 1024  # size of the product that measures the machine
_REACHED = 0.6  # share of that rate which the products of a run reach
_PER_PIXEL = 6e-8  # s per image and pixel: reading, transforms, CTF
_PER_POSE = 4e-4  # s per image for what follows the coarse pass
_REFINEMENTS = 8  # iterations until a refinement has usually settled
HALF_SET_ITERATIONS = 6
"""Iterations until independent half-sets have usually settled."""

_START_UP = 4.0  # s
_USUAL_RATE = 3e10  # operations per second of a core in the products of a run


@dataclass(frozen=True)
class PlannedWork:
    """Work of a usual run, in seconds of a usual core.

    Attributes
    ----------
    phases : mapping
        From each phase to the work of its iterations.
    validation : float
    repeated_search : float
        Part of the validation.
    """

    phases: Mapping[str, tuple[float, ...]]
    validation: float
    repeated_search: float = 0.0


def estimate_seconds(geometry: ImageGeometry, settings: InitialModelSettings) -> float:
    """Return about how many seconds a run takes on a CPU; right within a factor of about two.

    Parameters
    ----------
    geometry : ImageGeometry
    settings : InitialModelSettings
    """
    work = plan_work(geometry, settings, rate=_product_rate() * _REACHED)
    seconds = sum(map(sum, work.phases.values())) + work.validation
    return _START_UP + seconds / available_threads(settings.threads)


def plan_work(
    geometry: ImageGeometry, settings: InitialModelSettings, *, rate: float = _USUAL_RATE
) -> PlannedWork:
    """Return the work of each iteration of a usual run, and of its validation.

    Parameters
    ----------
    geometry : ImageGeometry
    settings : InitialModelSettings
    rate : float
        Operations per second of the products in one thread. Default: that of a usual core, where
        only ratios count.
    """
    resolved = resolve_settings(
        settings, pixel_size=geometry.pixel_size, mask_diameter=geometry.diameter
    )
    phases: dict[str, list[float]] = {name: [] for name, _ in _steps(settings)}
    for step in planned_steps(resolved, geometry):
        seconds = seconds_per_image(step, resolved, geometry, rate)
        phases[step.plan.phase].append(step.plan.subset_size * seconds)
    validation = repeated = 0.0
    if settings.independent_half_sets:
        # half of the particles in each half-set, twice
        validation = HALF_SET_ITERATIONS * max(phases.get("refine", phases["search"]))
        if can_repeat_search(settings):
            repeated = sum(phases["starts"]) + sum(phases["search"])
    by_phase = {name: tuple(found) for name, found in phases.items()}
    return PlannedWork(by_phase, validation + repeated, repeated)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """An iteration of a usual run: its plan, and the number of models that are compared."""

    plan: Plan
    models: int


def planned_steps(settings: ResolvedSettings, geometry: ImageGeometry) -> Iterator[PlannedStep]:
    """Yield the iterations of a usual run, whose resolution rises as fast as the schedule allows.

    There is no final pass where the last refinement has visited all particles.

    Parameters
    ----------
    settings : ResolvedSettings
    geometry : ImageGeometry
    """
    images, radius, whole = 0, 1, False
    for phase, step in _steps(settings):
        if phase == "final" and whole:  # the last refinement has visited all
            continue
        visited = images / geometry.n_particles
        inputs = ScheduleInput(
            phase=phase,
            step=step,
            climbed=step,
            start_radius=first_radius(settings, geometry),
            fsc_radius=radius,
            visited=min(1.0, visited),
            sigma_offset=0.0,
        )
        plan = plan_iteration(inputs, settings, geometry)
        yield PlannedStep(plan, settings.starts if phase == "starts" else settings.classes)
        images += plan.subset_size
        radius, whole = plan.radius, plan.subset_size == geometry.n_particles


def expected_end(
    settings: InitialModelSettings, iteration: int, phase: str, done: int, searches_to_come: int = 0
) -> int:
    """Return the iteration at which a run is expected to have settled.

    Parameters
    ----------
    settings : InitialModelSettings
    iteration : int
        The last one.
    phase : str
        Of that iteration.
    done : int
        Iterations since this phase began, with that one.
    searches_to_come : int
        Searches, each with its refinement, that follow the current one.
    """
    names: list[str] = [name for name, _ in _steps(settings)]
    if phase not in names:
        return iteration
    later = names[names.index(phase) + names.count(phase) :]
    again = searches_to_come * (names.count("search") + names.count("refine"))
    left = max(names.count(phase) - done, 0) + len(later) + again
    return min(settings.iterations, iteration + left)


def _steps(settings: InitialModelSettings) -> list[tuple[Phase, int]]:
    phases = Phases.of(settings.iterations)
    steps: list[tuple[Phase, int]] = [("starts", i) for i in range(phases.starts)]
    steps += [("search", i) for i in range(phases.usual_search)]
    steps += [("refine", i) for i in range(min(_REFINEMENTS, phases.refine))]
    return [*steps, ("final", 0)]


def seconds_per_image(
    step: PlannedStep,
    settings: ResolvedSettings,
    geometry: ImageGeometry,
    rate: float = _USUAL_RATE,
) -> float:
    """Return about how many seconds one thread spends on an image.

    Parameters
    ----------
    step : PlannedStep
    settings : ResolvedSettings
    geometry : ImageGeometry
    rate : float
        As for `plan_work`.
    """
    others = step.models * _PER_POSE + _PER_PIXEL * geometry.box_size**2
    return coarse_operations(step, settings) / rate + others


def coarse_operations(step: PlannedStep, settings: ResolvedSettings) -> float:
    """Return the operations of the products in which an image is compared on the coarse grid.

    Parameters
    ----------
    step : PlannedStep
    settings : ResolvedSettings
    """
    plan = step.plan
    rotations = rotations_of_unit(plan.order, settings.imposed_group)
    shifts = len(shift_grid(plan.offset_range, plan.offset_step))
    components = np.pi / 2 * plan.coarse_radius**2
    per_model = 4.0 * rotations * shifts * components * (1 if plan.two_pass else 2)
    return float(step.models * per_model)


def _product_rate() -> float:
    """Return the operations per second of a large product in one thread."""
    a = np.ones((_PROBE, _PROBE), np.float32)
    with blas_threads(1):
        a @ a
        started = time.perf_counter()
        a @ a
        return 2 * _PROBE**3 / (time.perf_counter() - started)
