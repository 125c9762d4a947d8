"""Benchmark of one whole run on simulated particles that are the same on every machine."""

from __future__ import annotations

import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ini3d import __version__
from napari_ini3d.comparison import compare_maps
from napari_ini3d.engine import (
    ImageGeometry,
    Plan,
    ScheduleInput,
    first_radius,
    plan_iteration,
    resolve_settings,
)
from napari_ini3d.fourier import frequency_disk
from napari_ini3d.geometry import rotation_grid, shift_grid
from napari_ini3d.io import StackReader, read_map, read_particles
from napari_ini3d.jobs import start_run
from napari_ini3d.kernels import Backend, available_threads, blas_threads, choose_backend
from napari_ini3d.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

if TYPE_CHECKING:
    from napari_ini3d.engine import IterationReport

_DIAMETER = 120.0  # Å, of the phantom
_PROBE_SIZES = (1024, 2048, 4096, 8192)
_PROBE_SECONDS = 0.1  # long enough for a fair measurement
_PROBE_REPEATS = 5
_READ_AT_ONCE = 64  # images per batch, as in the engine


@dataclass(frozen=True, slots=True)
class BenchSet:
    """Simulated particles of a benchmark, and the maximum number of iterations."""

    name: str
    particles: SimulationSettings
    iterations: int


STANDARD = BenchSet(
    "standard",
    SimulationSettings(number=2000, box_size=64, pixel_size=3.4, snr=0.1, groups=2, seed=1),
    200,
)
QUICK = BenchSet(
    "quick", SimulationSettings(number=400, box_size=48, pixel_size=4.0, snr=0.4, seed=1), 24
)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Results of a benchmark.

    Attributes
    ----------
    machine : dict
        Version, processor, device, threads; "load_average" is that of the system at the start.
    particles : dict
        The simulated particles.
    seconds : dict
        Wall time of the stages of the run; "stage/part" is a part of "stage", where it is known.
    total_seconds : float
        Wall time of the run with its checks and files, without the simulation and the warm-up.
    warm_up_seconds : float
        Wall time of a short run before, in which the kernels are compiled.
    matmul_gflops : float
        Rate of a large float32 matrix product on the device, with the same number of threads.
    coarse_pass_gflop : float
        Matrix products of the coarse passes.
    iterations, images_compared : int
        Iterations done, and images compared in all of them.
    images_read_per_second : float
        Reading alone, from files in the page cache.
    resolution : float
        Å, where the FSC between the result and the truth falls below 0.5.
    peak_rss_bytes : int or None
        None where the system does not report it.
    """

    machine: dict[str, Any]
    particles: dict[str, Any]
    seconds: dict[str, float]
    total_seconds: float
    warm_up_seconds: float
    matmul_gflops: float
    coarse_pass_gflop: float
    iterations: int
    images_compared: int
    images_read_per_second: float
    resolution: float
    peak_rss_bytes: int | None

    @property
    def matmul_efficiency(self) -> float:
        """Time of the coarse pass's products at full rate, divided by that of the expectation.

        The fine pass counts in the time but not in the work.
        """
        return self.coarse_pass_gflop / self.matmul_gflops / self.seconds["expectation"]

    @property
    def particles_per_second(self) -> float:
        """Number of particles divided by the time of the whole run."""
        return float(self.particles["number"] / self.total_seconds)

    @property
    def images_compared_per_second(self) -> float:
        """Images compared, divided by the time of the expectation."""
        return self.images_compared / self.seconds["expectation"]


def run_benchmark(chosen: BenchSet, *, device: str, threads: int) -> BenchResult:
    """Simulate particles in a temporary folder, reconstruct them, and return the results.

    Parameters
    ----------
    chosen : BenchSet
    device : str
        As the setting: auto, cpu, gpu, gpu:1.
    threads : int
        0 uses all cores.

    Raises
    ------
    DeviceError
        If the device is not available.
    """
    backend = choose_backend(device)
    machine = _describe_machine(backend, threads)
    with tempfile.TemporaryDirectory(prefix="ini3d_bench_") as name:
        folder = Path(name)
        settings = InitialModelSettings(
            mask_diameter=round(_DIAMETER * 1.15),
            device=device,
            threads=threads,
            iterations=chosen.iterations,
        )
        warm_up_seconds = _warm_up(folder / "warm_up", settings)
        phantom = make_phantom(diameter=_DIAMETER, seed=chosen.particles.seed)
        star = write_dataset(
            folder / "data", simulate_particles(phantom, chosen.particles), phantom
        )
        before = matmul_rate(backend, threads)
        measured = _measure_run(star, folder / "run", settings, chosen)
        return BenchResult(
            machine=machine,
            particles={
                "name": chosen.name,
                "number": chosen.particles.number,
                "box_size": chosen.particles.box_size,
                "pixel_size": chosen.particles.pixel_size,
            },
            warm_up_seconds=warm_up_seconds,
            matmul_gflops=max(before, matmul_rate(backend, threads)) / 1e9,
            images_read_per_second=_reading_rate(star),
            resolution=_resolution(folder, settings),
            peak_rss_bytes=peak_rss(),
            **measured,
        )


def _warm_up(folder: Path, settings: InitialModelSettings) -> float:
    """Run a few particles, so that all kernels are compiled; return the wall time in seconds."""
    particles = SimulationSettings(number=200, box_size=32, pixel_size=5.0, snr=0.5)
    phantom = make_phantom(diameter=_DIAMETER, seed=1)
    star = write_dataset(folder / "data", simulate_particles(phantom, particles), phantom)
    started = time.perf_counter()
    for _ in start_run(star, folder / "run", settings.with_changes(iterations=6)):
        pass
    return time.perf_counter() - started


def _measure_run(
    star: Path, folder: Path, settings: InitialModelSettings, chosen: BenchSet
) -> dict[str, Any]:
    """Do a run, and return the time of its stages and the work done in them."""
    timer = _StageTimer()
    reports = start_run(star, folder, settings)
    timer.add("checks")
    particles = chosen.particles
    geometry = ImageGeometry(
        particles.box_size,
        particles.pixel_size,
        settings.mask_diameter or _DIAMETER,
        particles.number,
    )
    operations, images, iterations = 0.0, 0, 0
    for report, plan in _with_plans(reports, settings, geometry):
        timer.add("iteration_files" if iterations else "initialisation", report.seconds)
        models = settings.starts if plan.phase == "starts" else settings.classes
        operations += report.subset_size * coarse_operations(plan, models, geometry)
        images, iterations = images + report.subset_size, iterations + 1
    timer.add("result_files")
    return {
        "seconds": timer.seconds,
        "total_seconds": timer.total,
        "coarse_pass_gflop": operations / 1e9,
        "iterations": iterations,
        "images_compared": images,
    }


class _StageTimer:
    """Divides the wall time of a run among its stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = self._last = time.perf_counter()

    @property
    def total(self) -> float:
        """Wall time up to the last stage."""
        return self._last - self._started

    def add(self, name: str, known: Mapping[str, float] | None = None) -> None:
        """Add the times of known stages, and the rest of the time since the last call to `name`.

        "total" is the sum of the known stages; "stage/part" is contained in "stage".
        """
        stages = dict(known or {})
        parts = math.fsum(value for key, value in stages.items() if "/" not in key)
        inside = stages.pop("total", parts)
        now = time.perf_counter()
        for key, value in ({name: now - self._last - inside} | stages).items():
            self.seconds[key] = self.seconds.get(key, 0.0) + value
        self._last = now


def _with_plans(
    reports: Iterator[IterationReport], settings: InitialModelSettings, geometry: ImageGeometry
) -> Iterator[tuple[IterationReport, Plan]]:
    """Yield each report with the plan of its iteration."""
    resolved = resolve_settings(
        settings, pixel_size=geometry.pixel_size, mask_diameter=geometry.diameter
    )
    inputs = ScheduleInput(
        phase="starts",
        step=0,
        climbed=0,
        start_radius=first_radius(resolved, geometry),
        fsc_radius=0,
        visited=0.0,
        sigma_offset=0.0,
    )
    for report in reports:
        yield report, plan_iteration(inputs, resolved, geometry)
        inputs = report.state.schedule_input


def coarse_operations(plan: Plan, models: int, geometry: ImageGeometry) -> float:
    """Return the floating-point operations of the coarse pass's matrix products for one image.

    K models, R rotations, S shifts, C components: 4 K R S C for the real part of the products
    with the slices, 2 K R C for those with their power. Without a fine pass, the backprojection
    takes as many again.

    Parameters
    ----------
    plan : Plan
    models : int
        K: starts or classes.
    geometry : ImageGeometry
    """
    disk = frequency_disk(geometry.box_size, plan.radius)
    components = disk.size_within(plan.coarse_radius)
    rotations = len(rotation_grid(plan.order).matrices)
    pixel = geometry.pixel_size
    shifts = len(shift_grid(plan.offset_range / pixel, plan.offset_step / pixel))
    once = models * rotations * components * (4.0 * shifts + 2.0)
    return once if plan.two_pass else 2 * once


def matmul_rate(backend: Backend, threads: int) -> float:
    """Return the operations per second of a large float32 matrix product on a device."""
    rng = np.random.default_rng(0)
    with backend.device.enter(), blas_threads(available_threads(threads)):
        for size in _PROBE_SIZES:
            a = backend.xp.asarray(rng.random((size, size), dtype=np.float32))
            _time_product(a)
            best = min(_time_product(a) for _ in range(_PROBE_REPEATS))
            if best > _PROBE_SECONDS:
                break
    return float(2 * size**3 / best)


def _time_product(a: Any) -> float:
    started = time.perf_counter()
    float((a @ a)[0, 0])  # on a GPU, taking a value waits for the product
    return time.perf_counter() - started


def _reading_rate(star: Path) -> float:
    """Return the images read per second, in batches of the size that the engine reads."""
    particles, _ = read_particles(star)
    index = np.arange(len(particles))
    with closing(StackReader(particles)) as reader:
        started = time.perf_counter()
        for start in range(0, len(index), _READ_AT_ONCE):
            reader.read(index[start : start + _READ_AT_ONCE])
        return len(index) / (time.perf_counter() - started)


def _resolution(folder: Path, settings: InitialModelSettings) -> float:
    truth = read_map(folder / "data" / "truth.mrc")
    found = read_map(RunFolder.open(folder / "run").map_path)
    compared = compare_maps(
        truth.data,
        found.data,
        voxel_size=truth.voxel_size,
        mask_diameter=settings.mask_diameter,
    )
    return compared.resolution_half


def _describe_machine(backend: Backend, threads: int) -> dict[str, Any]:
    return {
        "version": __version__,
        "device": backend.name,
        "processor": processor_name(),
        "threads": available_threads(threads),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def processor_name() -> str:
    """Return the model name of the processor, or its architecture if that is unknown."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def peak_rss() -> int | None:
    """Return the peak resident memory of this process in bytes; None where it is unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
