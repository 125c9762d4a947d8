"""Share of the machine's matrix-product rate that the expectation step reaches, and the rest.

usage: e_step.py OUTPUT.json FOLDER MASK_DIAMETER [--iteration 59]

Runs on the particles in FOLDER up to an iteration of the refinement, then takes some tiles apart in
one thread: the time of each stage, the floating-point operations of the matrix products, and
beside it a large product of the same precision, timed in the same process. "Products" are all
matrix products of the expectation, "coarse products" those that compare with the coarse grid.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from napari_ini3d.engine import (
    LocalChunks,
    ReferenceSet,
    RunContext,
    TileExecutor,
    draw_subset,
    plan_iteration,
    reconstruct,
    resolve_settings,
    split_into_tiles,
)
from napari_ini3d.engine.expectation import fine, tile
from napari_ini3d.io import StackReader, read_particles
from napari_ini3d.kernels import Backend, choose_backend
from napari_ini3d.settings import InitialModelSettings

TILES, REPEATS = 12, 5
STAGES = [
    (tile, "coarse_posterior"),
    (fine, "_significant_rows"),
    (fine, "_fine_scores"),
    (fine, "_best_poses"),
    (fine, "_backproject_rows"),
]


def product_rate(repeats: int = 5) -> float:
    """Return the rate of a large float32 matrix product in one thread, in GFLOP/s."""
    a, b = (np.random.default_rng(0).random((2048, 2048), dtype=np.float32) for _ in range(2))
    a @ b
    best = min(timed(lambda: a @ b) for _ in range(repeats))
    return 2 * 2048**3 / best / 1e9


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(module: Any, name: str, seconds: dict[str, float]) -> None:
    """Replace a stage by one that adds up its time."""
    original = getattr(module, name)

    def wrapper(*args: Any) -> Any:
        started = time.perf_counter()
        result = original(*args)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
        return result

    setattr(module, name, wrapper)


def count_products(backend: Backend, count: Counter[str]) -> Backend:
    """Return a backend that adds up the operations and the seconds of its matrix products."""
    kernels = SimpleNamespace(**vars(backend.kernels))

    def matmul(a: Any, b: Any, out: Any = None) -> Any:
        started = time.perf_counter()
        result = backend.kernels.matmul(a, b, out=out)
        count["nanoseconds"] += round(1e9 * (time.perf_counter() - started))
        count["operations"] += 2 * a.shape[0] * a.shape[1] * b.shape[1]
        return result

    kernels.matmul = matmul
    return replace(backend, kernels=kernels)


def coarse_operations(references: ReferenceSet, n_images: int) -> float:
    """Floating-point operations of the products of the coarse pass."""
    components, rows = references.n_coarse, len(references.slices)
    return 2.0 * n_images * rows * (2 * components * len(references.shifts) + components)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("--iteration", type=int, default=59)
    options = parser.parse_args()
    particles, _ = read_particles(options.folder / "particles.star")
    source = StackReader(particles)
    settings = InitialModelSettings(mask_diameter=options.mask_diameter, starts=1)
    for report in reconstruct(source, particles, settings):
        if report.iteration == options.iteration:
            break
    state = report.state
    products: Counter[str] = Counter()
    backend = count_products(choose_backend("cpu"), products)
    executor = TileExecutor(backend, 1)
    resolved = resolve_settings(settings, pixel_size=source.pixel_size)
    run = RunContext.of(source, particles, resolved, executor)
    plan = plan_iteration(state.schedule_input, resolved, run.geometry)
    seconds: dict[str, float] = {}
    for module, name in STAGES:
        measure(module, name, seconds)
    with threadpool_limits(1, "blas"):
        rate = product_rate()
        prepared = LocalChunks().prepare_references(run, state, plan)
        ((references,),), (work,) = prepared.references, prepared.work
        subset = draw_subset(len(particles), 0, plan.subset_size, settings.seed)
        tiles = split_into_tiles(subset, particles.optics_index, prepared.tile_images)[:TILES]
        batches = list(source.batches(tiles))
        work(batches[0])  # what is compiled at first use is not in the time
        whole = np.inf
        for _ in range(REPEATS):
            products.clear()
            seconds.clear()
            took = timed(lambda: [work(batch) for batch in batches])
            if took < whole:
                whole, best, spent = took, products.copy(), seconds.copy()
        n_images = sum(map(len, tiles))
        rate = max(rate, product_rate())
    executor.close()
    operations = coarse_operations(references, n_images)
    coarse = spent["coarse_posterior"]
    result = {
        "command": " ".join(["e_step.py", *sys.argv[1:]]),
        "best_of": REPEATS,
        "date": time.strftime("%Y-%m-%d"),
        "plan": {"radius": plan.radius, "coarse_radius": plan.coarse_radius, "order": plan.order},
        "matrix_product_gflops": round(rate, 1),
        "ms_per_image": round(1e3 * whole / n_images, 3),
        "stages_ms_per_image": {k: round(1e3 * v / n_images, 3) for k, v in spent.items()},
        "preparation_and_rest_ms_per_image": round(
            1e3 * (whole - sum(spent.values())) / n_images, 3
        ),
        "products_ms_per_image": round(1e-6 * best["nanoseconds"] / n_images, 3),
        "products_share_of_peak": round(best["operations"] / best["nanoseconds"] / rate, 3),
        "products_share_of_whole_time_at_peak": round(best["operations"] / 1e9 / rate / whole, 3),
        "coarse_pass_gflops": round(operations / coarse / 1e9, 1),
        "coarse_pass_share_of_peak": round(operations / coarse / 1e9 / rate, 3),
        "coarse_products_share_of_whole_time": round(operations / 1e9 / rate / whole, 3),
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
