"""Time a run on a GPU: in total, by stage, and relative to the GPU's matrix product rate.

usage: gpu.py OUTPUT.json FOLDER MASK_DIAMETER [--device gpu:0] [--precision float32]
              [--seed 1] [--threads 0] [--iterations 300] [--no-cpu-map]

Runs the particles in FOLDER four times with one seed: a short run, which compiles the kernels; a
timed run from files to files; a run in memory that counts the operations of the matrix products;
and a run that waits for every kernel and every copy, to time each of them. The rest of the
expectation's time is launch gaps and small array operations. Finally the same run on the CPU, for
the FSC between the two maps. With --device cpu, everything runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from napari_ini3d.comparison import compare_maps
from napari_ini3d.engine import IterationReport, reconstruct
from napari_ini3d.io import StackReader, read_map, read_particles
from napari_ini3d.jobs import start_run
from napari_ini3d.kernels import Backend, choose_backend, list_gpus
from napari_ini3d.settings import InitialModelSettings

PRODUCT_SIZE = {True: 8192, False: 2048}  # on a GPU or not
TRANSFERS = ("to_device", "to_host", "upload")


class Meter:
    """Seconds, operations and bytes by name, summed over threads."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.amounts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, seconds: float = 0.0, **amounts: float) -> None:
        with self._lock:
            self.seconds[name] += seconds
            self.amounts.update(amounts)


class CountedKernels:
    """The kernels of a backend; counts the operations of products, and times each kernel.

    With `waits`, the time includes the kernel's execution, not only its launch.
    """

    def __init__(self, backend: Backend, meter: Meter, *, waits: bool) -> None:
        self._backend, self._meter, self._waits = backend, meter, waits

    def __getattr__(self, name: str) -> Callable[..., Any]:
        original = getattr(self._backend.kernels, name)

        def call(*arguments: Any) -> Any:
            started = self._now()
            result = original(*arguments)
            self._meter.add(name, self._now() - started)
            return result

        return call

    def matmul(self, a: Any, b: Any, out: Any = None) -> Any:
        started = self._now()
        result = self._backend.kernels.matmul(a, b, out)
        operations = 2.0 * a.shape[0] * a.shape[1] * b.shape[1]
        self._meter.add("matmul", self._now() - started, operations=operations)
        return result

    def _now(self) -> float:
        if self._waits:
            self._backend.device.synchronise()
        return time.perf_counter()


class CountedDevice:
    """The memory of a backend; counts the bytes and the seconds of copies."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._device, self._meter = backend.device, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def to_device(self, host: Any) -> Any:
        with self._timed("to_device", up=host.nbytes):
            return self._device.to_device(host)

    def to_host(self, array: Any) -> Any:
        with self._timed("to_host", down=array.nbytes):
            return self._device.to_host(array)

    def upload(self, host: Any) -> Any:
        with self._timed("upload", up=host.nbytes):
            return self._device.upload(host)

    @contextmanager
    def _timed(self, name: str, **amounts: float) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._meter.add(name, time.perf_counter() - started, **amounts)


def metered(backend: Backend, meter: Meter, *, waits: bool) -> Backend:
    def one(gpu: Backend) -> Backend:
        kernels = CountedKernels(gpu, meter, waits=waits)
        return replace(gpu, kernels=kernels, device=CountedDevice(gpu, meter), others=())

    first, *others = [one(device) for device in backend.devices]
    return replace(first, others=tuple(others))


def product_rate(backend: Backend, repeats: int = 5) -> float:
    """Return the matrix product rate of the first GPU, or of one CPU thread, in TFLOP/s."""
    n = PRODUCT_SIZE[backend.is_gpu]
    host = np.random.default_rng(0).random((n, n), dtype=np.float32)
    with backend.device.enter(), threadpool_limits(1, "blas"):
        a, b = backend.to_device(host), backend.to_device(host.T.copy())
        best = float("inf")
        for _ in range(repeats + 1):
            backend.device.synchronise()
            started = time.perf_counter()
            backend.kernels.matmul(a, b)
            backend.device.synchronise()
            best = min(best, time.perf_counter() - started)
    return float(2 * n**3 / best / 1e12)


def run_to_files(folder: Path, settings: InitialModelSettings) -> tuple[dict[str, Any], Any]:
    """Return the times of a run from files to files, and its map."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        started = time.perf_counter()
        reports = [
            (r.subset_size, dict(r.seconds))
            for r in start_run(folder / "particles.star", output, settings)
        ]
        wall = time.perf_counter() - started
        found = read_map(output / "initial_model.mrc").data
    stages: Counter[str] = Counter()
    for _, seconds in reports:
        stages.update(seconds)
    images = sum(size for size, _ in reports)
    inside = stages.pop("total")
    taken = {
        "wall_s": round(wall, 2),
        "iterations": len(reports),
        "images_visited": images,
        "images_per_second": round(images / wall),
        "stages_s": {k: round(v, 2) for k, v in stages.items()},
        "start_up_files_and_rest_s": round(wall - inside, 2),
    }
    return taken, found


def run_in_memory(
    folder: Path, settings: InitialModelSettings, backend: Backend
) -> tuple[Counter[str], IterationReport]:
    """Return the seconds of each stage and the last report of a run in memory."""
    particles, _ = read_particles(folder / "particles.star")
    seconds: Counter[str] = Counter()
    with closing(StackReader(particles)) as source:
        for report in reconstruct(source, particles, settings, backend=backend):
            seconds.update(report.seconds)
    return seconds, report


def measure_stages(
    folder: Path, settings: InitialModelSettings, backend: Backend, workers: int
) -> dict[str, Any]:
    rate = product_rate(backend)
    counted, waited = Meter(), Meter()
    plain, report = run_in_memory(folder, settings, metered(backend, counted, waits=False))
    slow, _ = run_in_memory(folder, settings, metered(backend, waited, waits=True))
    rate = max(rate, product_rate(backend))
    copies = {name: waited.seconds.pop(name) for name in TRANSFERS if name in waited.seconds}
    inside = sum(waited.seconds.values()) - waited.seconds["project"]
    expectation, teraflop = plain["expectation"], counted.amounts["operations"] / 1e12
    return {
        "product_rate_tflops": round(rate, 3),
        "products_tflop": round(teraflop, 3),
        "expectation_s": round(expectation, 3),
        "expectation_share_of_product_rate": round(teraflop / expectation / rate / workers, 3),
        "products_share_of_product_rate": round(teraflop / waited.seconds["matmul"] / rate, 3),
        "kernels_s": {name: round(s, 3) for name, s in waited.seconds.most_common()},
        "copies_s": {name: round(s, 3) for name, s in copies.items()},
        "bytes_up": int(counted.amounts["up"]),
        "bytes_down": int(counted.amounts["down"]),
        "expectation_outside_kernels_share": round(max(0.0, 1 - inside / workers / expectation), 3),
        "expectation_s_when_all_is_waited_for": round(slow["expectation"], 3),
        "resolution_A": round(float(report.resolution[0]), 2),
    }


def agreement(
    one: Any, other: Any, resolution: float, settings: InitialModelSettings, voxel: float
):
    found = compare_maps(one, other, voxel_size=voxel, mask_diameter=settings.mask_diameter)
    last = int(len(one) * voxel / resolution)
    return {
        "least_fsc_to_final_resolution": round(float(found.fsc[1 : last + 1].min()), 4),
        "mean_fsc_to_final_resolution": round(float(found.fsc[1 : last + 1].mean()), 4),
    }


def machine(backend: Backend) -> dict[str, Any]:
    def version_of(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    names = ("napari-ini3d", "numpy", "cupy-cuda12x", "cupy-cuda13x", "numba")
    return {
        "devices": [device.name for device in backend.devices],
        "memory_gb": [round(gpu.total_bytes / 1e9, 1) for gpu in list_gpus()],
        "driver": driver_version() if backend.is_gpu else None,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "versions": {"python": platform.python_version()}
        | {name: found for name in names if (found := version_of(name))},
    }


def driver_version() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("--device", default="gpu:0")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--no-cpu-map", action="store_true")
    options = parser.parse_args()
    names = ("mask_diameter", "device", "precision", "seed", "threads", "iterations")
    settings = InitialModelSettings(**{name: getattr(options, name) for name in names})
    started = time.perf_counter()
    backend = choose_backend(settings.device, precision=settings.precision)
    run_to_files(options.folder, settings.with_changes(iterations=3))
    first = time.perf_counter() - started
    taken, found = run_to_files(options.folder, settings)
    workers = len(backend.devices) if backend.is_gpu else settings.threads or os.cpu_count() or 1
    result = {
        "command": " ".join(["gpu.py", options.output.name, options.folder.name, *sys.argv[3:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(backend),
        "short_run_that_compiles_s": round(first, 2),
        "run": taken,
        "expectation": measure_stages(options.folder, settings, backend, workers),
    }
    if not options.no_cpu_map:
        on_cpu = settings.with_changes(device="cpu", precision="float32")
        of_cpu, expected = run_to_files(options.folder, on_cpu)
        voxel = StackReader(read_particles(options.folder / "particles.star")[0]).pixel_size
        resolution = result["expectation"]["resolution_A"]
        result["cpu_run"] = of_cpu
        result["agreement_with_cpu"] = agreement(expected, found, resolution, settings, voxel)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
