"""Estimate of a run from a short one on some of its particles: time by phase, also on a cluster."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple, dataclass

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.engine import (
    ImageGeometry,
    IterationReport,
    ResolvedSettings,
    SourceSubset,
    plan_iteration,
    reconstruct,
    resolve_settings,
)
from napari_ini3d.io import ParticleSource, StackReader, particle_files
from napari_ini3d.kernels import available_threads
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.bad_images import bad_images
from napari_ini3d.preflight.check import check_headers
from napari_ini3d.preflight.class_averages import settings_for
from napari_ini3d.preflight.findings import raise_errors
from napari_ini3d.preflight.measure import measure_particles, must_invert
from napari_ini3d.preflight.phase_times import (
    Pace,
    Paces,
    PhaseEstimate,
    estimate_phases,
    pays_from,
    reference_size,
)
from napari_ini3d.preflight.resources import estimate_resources
from napari_ini3d.preflight.run_time import (
    PlannedStep,
    coarse_operations,
    planned_steps,
)
from napari_ini3d.preflight.working_box import choose_working_grid, particle_grid
from napari_ini3d.settings import InitialModelSettings

WORKERS = (2, 4, 8, 16)
"""Numbers of workers for which a time is printed."""

_IMAGES, _ITERATIONS = 600, 14  # of the short run
_PREPARATION, _COARSE, _FINE = (
    f"expectation/{part}" for part in ("prepare_images", "coarse_pass", "fine_pass")
)


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
        pays_from=pays_from(geometry, resolved, paces, reading, threads),
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
) -> Paces:
    """Do a short run, and return the pace of its phases."""
    short = settings.with_changes(iterations=min(settings.iterations, _ITERATIONS))
    resolved = resolve_settings(short, pixel_size=source.pixel_size)
    geometry = ImageGeometry(
        source.box_size, source.pixel_size, resolved.mask_diameter, len(particles)
    )
    threads = available_threads(settings.threads)
    found: dict[str, list[Pace]] = {}
    plan = next(planned_steps(resolved, geometry)).plan
    for report in reconstruct(source, particles, short):
        step = PlannedStep(plan, resolved.starts if plan.phase == "starts" else resolved.classes)
        phase = "refine" if plan.phase == "final" else plan.phase
        found.setdefault(phase, []).append(_pace_of(report, step, resolved, threads))
        plan = plan_iteration(report.state.schedule_input, resolved, geometry)
    return {phase: _typical(each) for phase, each in found.items()}


def _pace_of(
    report: IterationReport, step: PlannedStep, settings: ResolvedSettings, threads: int
) -> Pace:
    """Return the pace of an iteration; on a GPU, without parts, all of it is the coarse pass."""
    seconds = report.seconds
    image = seconds.get(_PREPARATION, 0.0)
    coarse = seconds.get(_COARSE, seconds["expectation"])
    # a thread that waits is part of the time
    share = seconds["expectation"] * threads / report.subset_size
    parts = max(image + coarse + seconds.get(_FINE, 0.0), 1e-9)
    return Pace(
        image=share * image / parts,
        operation=share * coarse / parts / coarse_operations(step, settings),
        fine=share * seconds.get(_FINE, 0.0) / parts / step.models,
        references=seconds["references"] / reference_size(step, settings),
        maps=seconds["maximisation"],
    )


def _typical(found: Sequence[Pace]) -> Pace:
    """Return the median without the first iteration, which compiles kernels."""
    rows = [astuple(pace) for pace in found[1:] or found]
    return Pace(*(statistics.median(column) for column in zip(*rows, strict=True)))
