"""Estimate of a run from a short one on some of its particles: time by phase, also on a cluster."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from typing import Literal

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.engine import (
    MOST_CHUNKS,
    ImageGeometry,
    IterationReport,
    Plan,
    ResolvedSettings,
    SourceSubset,
    Workload,
    can_repeat_search,
    plan_iteration,
    reconstruct,
    resolve_settings,
    tile_images,
)
from napari_ini3d.geometry import rotations_of_unit, shift_grid
from napari_ini3d.io import ParticleSource, StackReader, particle_files
from napari_ini3d.kernels import available_threads
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.bad_images import bad_images
from napari_ini3d.preflight.check import check_headers
from napari_ini3d.preflight.class_averages import settings_for
from napari_ini3d.preflight.findings import raise_errors
from napari_ini3d.preflight.measure import measure_particles, must_invert
from napari_ini3d.preflight.resources import estimate_resources
from napari_ini3d.preflight.run_time import (
    HALF_SET_ITERATIONS,
    PlannedStep,
    coarse_operations,
    planned_steps,
)
from napari_ini3d.preflight.working_box import choose_working_grid, particle_grid
from napari_ini3d.settings import InitialModelSettings

EstimatedPhase = Literal[
    "checks", "starts", "search", "refine", "final", "half-sets", "repeated search", "connection"
]

WORKERS = (2, 4, 8, 16)
"""Numbers of workers for which a time is printed."""

_IMAGES, _ITERATIONS = 600, 14  # of the short run
_FINE_LATER = 0.4  # time of the fine pass in a longer run, whose maps are better (docs/scale.md)
_PREPARATION, _COARSE, _FINE = (
    f"expectation/{part}" for part in ("prepare_images", "coarse_pass", "fine_pass")
)
_STEP_SECONDS = 0.3  # of an iteration on a cluster, and of a chunk, whatever its size;
_CHUNK_SECONDS = 0.02  # measured with two processes of a busy machine (docs/scale.md)
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
        Seconds for what a cluster sends, in addition.
    """

    name: EstimatedPhase
    iterations: int
    images: int
    shared: float
    fixed: float
    messages: float = 0.0

    def seconds(self, threads: int, workers: int = 0) -> float:
        """Return the seconds on one machine, or on workers of as many threads each."""
        if not workers or self.name == "checks":
            return self.fixed + self.shared / threads
        return self.fixed + self.messages + self.shared / (threads * workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEstimate:
    """Expected time and memory of a run.

    Attributes
    ----------
    geometry : ImageGeometry
        Of the images as they are compared.
    threads : int
        Of this machine, and of each worker.
    phases : tuple of PhaseEstimate
    memory_bytes : int
    measured_images : int
        With which a short run was done.
    measured_seconds : float
        That this took.
    pays_from : int or None
        Number of particles from which four workers halve the time; None if none does.
    """

    geometry: ImageGeometry
    threads: int
    phases: tuple[PhaseEstimate, ...]
    memory_bytes: int
    measured_images: int
    measured_seconds: float
    pays_from: int | None

    def seconds(self, workers: int = 0) -> float:
        """Return the seconds of the run on this machine, or on some workers."""
        return math.fsum(phase.seconds(self.threads, workers) for phase in self.phases)


@dataclass(frozen=True, slots=True)
class _Pace:
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


_Paces = Mapping[str, _Pace]


def estimate_run(source: ParticleSource, settings: InitialModelSettings) -> RunEstimate:
    """Return the expected time and memory of a run, without doing it.

    A run of a few iterations with at most 600 of the particles says how long images take in each
    phase. The iterations are those of a usual run.

    Parameters
    ----------
    source : Path, str or ParticleFiles
    settings : InitialModelSettings

    Raises
    ------
    InputError, SettingsError
        If a run would not start; only some of the images are looked at.
    """
    began = time.perf_counter()
    files = particle_files(source)
    report, particles = check_headers(files, settings_for(files, settings))
    raise_errors(report.findings)
    assert particles is not None  # otherwise there is an error
    settings, reading = _measure_images(particles, settings_for(files, settings))
    own = particle_grid(particles)
    grid = choose_working_grid(own, settings)
    pixel_size = None if grid == own else grid.pixel_size
    index = _sample(len(particles))
    with closing(StackReader(particles, pixel_size=pixel_size)) as reader:
        some = particles.take(index)
        paces = _measure_paces(SourceSubset(reader, index), some, settings)
        resolved = resolve_settings(settings, pixel_size=reader.pixel_size)
        geometry = ImageGeometry(
            reader.box_size, reader.pixel_size, resolved.mask_diameter, len(particles)
        )
    threads = available_threads(settings.threads)
    memory = estimate_resources(
        len(particles), own.box_size, settings, pixel_size=own.pixel_size
    ).memory_bytes
    return RunEstimate(
        geometry=geometry,
        threads=threads,
        phases=estimate_phases(geometry, resolved, paces, reading),
        memory_bytes=memory,
        measured_images=len(index),
        measured_seconds=time.perf_counter() - began,
        pays_from=_pays_from(geometry, resolved, paces, reading, threads),
    )


def _sample(n_particles: int) -> IntArray:
    return np.unique(np.linspace(0, n_particles - 1, min(n_particles, _IMAGES)).astype(np.int64))


def _measure_images(
    particles: Particles, settings: InitialModelSettings
) -> tuple[InitialModelSettings, float]:
    """Return the settings with what a run measures on its images, and the seconds of an image."""
    index = _sample(len(particles))
    with closing(StackReader(particles)) as reader:
        began = time.perf_counter()
        bad = [image.index for image in bad_images(reader, index)]
        reading = (time.perf_counter() - began) / len(index)
        good = np.setdiff1d(index, bad)
        found = measure_particles(reader, good if len(good) else index)
    inverted = must_invert(found.contrast, settings.invert_contrast)
    return settings.with_changes(
        mask_diameter=settings.mask_diameter or float(round(found.mask_diameter)),
        invert_contrast="yes" if inverted else "no",
    ), reading


def _measure_paces(
    source: SourceSubset, particles: Particles, settings: InitialModelSettings
) -> _Paces:
    """Do a short run, and return the pace of its phases."""
    short = settings.with_changes(iterations=min(settings.iterations, _ITERATIONS))
    resolved = resolve_settings(short, pixel_size=source.pixel_size)
    geometry = ImageGeometry(
        source.box_size, source.pixel_size, resolved.mask_diameter, len(particles)
    )
    threads = available_threads(settings.threads)
    found: dict[str, list[_Pace]] = {}
    plan = next(planned_steps(resolved, geometry)).plan
    for report in reconstruct(source, particles, short):
        step = PlannedStep(plan, resolved.starts if plan.phase == "starts" else resolved.classes)
        phase = "refine" if plan.phase == "final" else plan.phase
        found.setdefault(phase, []).append(_pace_of(report, step, resolved, threads))
        plan = plan_iteration(report.state.schedule_input, resolved, geometry)
    return {phase: _typical(each) for phase, each in found.items()}


def _pace_of(
    report: IterationReport, step: PlannedStep, settings: ResolvedSettings, threads: int
) -> _Pace:
    """Return the pace of an iteration; on a GPU, without parts, all of it is the coarse pass."""
    seconds = report.seconds
    image = seconds.get(_PREPARATION, 0.0)
    coarse = seconds.get(_COARSE, seconds["expectation"])
    # a thread that waits is part of the time
    share = seconds["expectation"] * threads / report.subset_size
    parts = max(image + coarse + seconds.get(_FINE, 0.0), 1e-9)
    return _Pace(
        image=share * image / parts,
        operation=share * coarse / parts / coarse_operations(step, settings),
        fine=share * seconds.get(_FINE, 0.0) / parts / step.models,
        references=seconds["references"] / _reference_size(step, settings),
        maps=seconds["maximisation"],
    )


def _typical(found: Sequence[_Pace]) -> _Pace:
    """Return the median without the first iteration, which compiles kernels."""
    rows = [astuple(pace) for pace in found[1:] or found]
    return _Pace(*(statistics.median(column) for column in zip(*rows, strict=True)))


def _reference_size(step: PlannedStep, settings: ResolvedSettings) -> float:
    """Return the number of values of the references, to which their time is proportional."""
    rotations = rotations_of_unit(step.plan.order, settings.imposed_group)
    return step.models * rotations * float(step.plan.coarse_radius) ** 2


def estimate_phases(
    geometry: ImageGeometry, settings: ResolvedSettings, paces: _Paces, reading: float
) -> tuple[PhaseEstimate, ...]:
    """Return the expected time of the parts of a run.

    Parameters
    ----------
    geometry : ImageGeometry
    settings : ResolvedSettings
    paces : mapping of str to _Pace
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
        found.append(replace(halves, fixed=2 * halves.fixed, messages=2 * halves.messages))
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
    paces: _Paces,
) -> PhaseEstimate:
    shared = fixed = messages = 0.0
    for step in steps:
        pace = _measured(step.plan.phase, paces)
        fine = pace.fine * step.models * (_FINE_LATER if step.plan.two_pass else 1.0)
        per_image = pace.image + pace.operation * coarse_operations(step, settings) + fine
        shared += per_image * step.plan.subset_size
        fixed += pace.maps + pace.references * _reference_size(step, settings)
        m = step.plan.radius * settings.padding_factor + 1
        chunk_bytes = 12 * step.models * (2 * m + 1) ** 2 * (m + 2)
        chunks = _count_chunks(step.plan, geometry, settings)
        messages += _STEP_SECONDS + chunks * (_CHUNK_SECONDS + chunk_bytes / _CLUSTER_BANDWIDTH)
    images = sum(step.plan.subset_size for step in steps)
    return PhaseEstimate(name, len(steps), images, shared, fixed, messages)


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


def _measured(phase: str, paces: _Paces) -> _Pace:
    """Return the pace of the phase of the short run that is like one of the run."""
    wanted = "refine" if phase == "final" else phase
    return paces[wanted] if wanted in paces else list(paces.values())[-1]


def _pays_from(
    geometry: ImageGeometry,
    settings: ResolvedSettings,
    paces: _Paces,
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
