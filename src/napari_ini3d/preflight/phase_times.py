"""Model of the time of a run: its phases on one machine and on the workers of a cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from napari_ini3d.engine import (
    CHUNKS_OF_GROUP,
    MOST_CHUNKS,
    ImageGeometry,
    Plan,
    ResolvedSettings,
    Workload,
    can_repeat_search,
    enough_groups,
    tile_images,
)
from napari_ini3d.geometry import rotations_of_unit, shift_grid
from napari_ini3d.preflight.run_time import (
    HALF_SET_ITERATIONS,
    PlannedStep,
    coarse_operations,
    planned_steps,
)

EstimatedPhase = Literal[
    "checks", "starts", "search", "refine", "final", "half-sets", "repeated search", "connection"
]

_FINE_LATER = 0.4  # time of the fine pass in a longer run, whose maps are better (docs/scale.md)
_STEP_SECONDS = 0.3  # of an iteration on a cluster, and of a sum, whatever its size;
_SUM_SECONDS = 0.02  # measured with two processes of a busy machine (docs/scale.md)
_CONNECTION = 10.0  # seconds until all workers have their images and compiled kernels
_CLUSTER_BANDWIDTH = 1e9  # bytes per second, from the workers to where they are added
_HALF = 4  # workers that should halve the time where a cluster pays
_MOST_PARTICLES = 1e8


@dataclass(frozen=True, slots=True)
class PhaseEstimate:
    """Time of a part of a run.

    Attributes
    ----------
    name : str
    iterations : int
    images : int
        That are compared in all of its iterations.
    shared : float
        Seconds of one thread for what is shared among threads and workers.
    fixed : float
        Seconds that neither more threads nor more workers make shorter.
    messages : float
        Seconds for what a cluster does in addition, whatever the number of workers.
    chunks : tuple of (int, float)
        Chunks of iterations, and the seconds for sending the sum of one, or that of a whole group.
    """

    name: EstimatedPhase
    iterations: int
    images: int
    shared: float
    fixed: float
    messages: float = 0.0
    chunks: tuple[tuple[int, float], ...] = ()

    def seconds(self, threads: int, workers: int = 0) -> float:
        """Return the seconds on one machine, or on workers of as many threads each."""
        if not workers or self.name == "checks":
            return self.fixed + self.shared / threads
        sending = math.fsum(_count_sums(n, workers) * seconds for n, seconds in self.chunks)
        return self.fixed + self.messages + sending + self.shared / (threads * workers)


@dataclass(frozen=True, slots=True)
class Pace:
    """What the short run measured in a phase, of one thread.

    Attributes
    ----------
    image : float
        Seconds to prepare an image.
    operation : float
        Seconds of an operation of the coarse pass.
    fine : float
        Seconds for all else that is done with an image, for each model.
    references : float
        Seconds to make the references of an iteration, over their size.
    maps : float
        Seconds to make its maps.
    """

    image: float
    operation: float
    fine: float
    references: float
    maps: float


Paces = Mapping[str, Pace]


def estimate_phases(
    geometry: ImageGeometry, settings: ResolvedSettings, paces: Paces, reading: float
) -> tuple[PhaseEstimate, ...]:
    """Return the expected time of the parts of a run.

    Parameters
    ----------
    geometry : ImageGeometry
    settings : ResolvedSettings
    paces : mapping of str to Pace
        By phase.
    reading : float
        Seconds to read and check an image.
    """
    n = geometry.n_particles
    found = [
        PhaseEstimate("checks", 0, n, 0.0, n * reading),
        PhaseEstimate("connection", 0, 0, 0.0, 0.0, messages=_CONNECTION),
    ]
    steps: dict[EstimatedPhase, list[PlannedStep]] = {}
    for step in planned_steps(settings, geometry):
        steps.setdefault(step.plan.phase, []).append(step)
    for name, each in steps.items():
        found.append(_estimate_phase(name, each, geometry, settings, paces))
    if settings.independent_half_sets:
        last = steps.get("refine") or steps.get("final") or steps["starts"]
        # half of the particles in each half-set: the images of one run, and twice the references
        halves = _estimate_phase(
            "half-sets", [max(last, key=_work)] * HALF_SET_ITERATIONS, geometry, settings, paces
        )
        found.append(
            replace(
                halves,
                fixed=2 * halves.fixed,
                messages=2 * halves.messages,
                chunks=2 * halves.chunks,
            )
        )
        if can_repeat_search(settings):
            again = [*steps["starts"], *steps.get("search", ())]
            found.append(_estimate_phase("repeated search", again, geometry, settings, paces))
    return tuple(found)


def _work(step: PlannedStep) -> int:
    return step.plan.subset_size


def _estimate_phase(
    name: EstimatedPhase,
    steps: Sequence[PlannedStep],
    geometry: ImageGeometry,
    settings: ResolvedSettings,
    paces: Paces,
) -> PhaseEstimate:
    shared = fixed = 0.0
    chunks: list[tuple[int, float]] = []
    for step in steps:
        pace = _measured(step.plan.phase, paces)
        fine = pace.fine * step.models * (_FINE_LATER if step.plan.two_pass else 1.0)
        per_image = pace.image + pace.operation * coarse_operations(step, settings) + fine
        shared += per_image * step.plan.subset_size
        fixed += pace.maps + pace.references * reference_size(step, settings)
        m = step.plan.radius * settings.padding_factor + 1
        sum_bytes = 12 * step.models * (2 * m + 1) ** 2 * (m + 2)
        sum_seconds = _SUM_SECONDS + sum_bytes / _CLUSTER_BANDWIDTH
        chunks.append((_count_chunks(step.plan, geometry, settings), sum_seconds))
    images = sum(step.plan.subset_size for step in steps)
    messages = _STEP_SECONDS * len(steps)
    return PhaseEstimate(name, len(steps), images, shared, fixed, messages, tuple(chunks))


def _count_sums(n_chunks: int, workers: int) -> int:
    """Return how many sums the workers send in an iteration: of its groups, or of its chunks."""
    n_groups = -(-n_chunks // CHUNKS_OF_GROUP)
    return n_groups if enough_groups(n_groups, workers) else n_chunks


def _count_chunks(plan: Plan, geometry: ImageGeometry, settings: ResolvedSettings) -> int:
    """Return about how many chunks an iteration has on CPUs."""
    classes = 1 if plan.phase == "starts" and settings.anneal_classes else settings.classes
    load = Workload(
        box_size=geometry.box_size,
        n_components=0,
        n_coarse=0,
        n_rows=classes * rotations_of_unit(plan.order, settings.imposed_group),
        n_shifts=len(shift_grid(plan.offset_range, plan.offset_step)),
        n_fine_shifts=0,
        most_fine_rows=0,
    )
    images = settings.tile_size or tile_images(load, is_gpu=False)
    return min(MOST_CHUNKS, math.ceil(plan.subset_size / images))


def _measured(phase: str, paces: Paces) -> Pace:
    """Return the pace of the phase of the short run that is like one of the run."""
    wanted = "refine" if phase == "final" else phase
    return paces[wanted] if wanted in paces else list(paces.values())[-1]


def pays_from(
    geometry: ImageGeometry,
    settings: ResolvedSettings,
    paces: Paces,
    reading: float,
    threads: int,
) -> int | None:
    """Return the number of such particles from which four workers halve the time of a run."""
    n = 1000.0
    while n <= _MOST_PARTICLES:
        phases = estimate_phases(replace(geometry, n_particles=round(n)), settings, paces, reading)
        here = math.fsum(phase.seconds(threads) for phase in phases)
        there = math.fsum(phase.seconds(threads, _HALF) for phase in phases)
        if there < here / 2:
            return round(n)
        n *= 10**0.2
    return None


def reference_size(step: PlannedStep, settings: ResolvedSettings) -> float:
    """Return the number of values of the references, to which their time is proportional."""
    rotations = rotations_of_unit(step.plan.order, settings.imposed_group)
    return step.models * rotations * float(step.plan.coarse_radius) ** 2
