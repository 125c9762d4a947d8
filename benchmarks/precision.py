"""Effect of the precision of matrix products on the FSC, measured without a GPU.

usage: precision.py OUTPUT.json FOLDER TRUTH.mrc MASK_DIAMETER [--seeds 3] [--threads 1]

Runs on the particles in FOLDER with the CPU kernels, whose matrix products round their factors as
tensor cores do: to 10 bits of mantissa (tf32), to 10 bits and the range of half precision (fp16,
factors scaled as on the GPU), or to 7 bits (bf16). Sums are float32. gpu.py measures the speed of
these products on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ini3d.comparison import compare_maps
from napari_ini3d.engine import IterationReport, reconstruct
from napari_ini3d.io import StackReader, read_map, read_particles
from napari_ini3d.kernels import Backend, choose_backend, scaled_product
from napari_ini3d.settings import InitialModelSettings

Float32 = npt.NDArray[np.float32]


def round_mantissa(values: Float32, bits: int) -> Float32:
    """Return float32 values rounded to a number of bits of mantissa, ties to even."""
    drop = 23 - bits
    whole = np.ascontiguousarray(values).view(np.uint32)
    half_less_one = np.uint32((1 << (drop - 1)) - 1)
    whole = whole + half_less_one + ((whole >> np.uint32(drop)) & np.uint32(1))
    return (whole & np.uint32(0xFFFFFFFF ^ ((1 << drop) - 1))).view(np.float32)


def to_half(values: Float32) -> Float32:
    return values.astype(np.float16).astype(np.float32)


def rounded_product(rounding: Callable[[Float32], Float32]) -> Callable[..., Float32]:
    def matmul(a: Float32, b: Float32, out: Float32 | None = None) -> Float32:
        return np.matmul(rounding(a), rounding(b), out=out)

    return matmul


PRODUCTS: dict[str, Callable[..., Float32]] = {
    "float32": np.matmul,
    "tf32": rounded_product(lambda values: round_mantissa(values, 10)),
    "fp16": scaled_product(np, rounded_product(to_half)),
    "bf16": rounded_product(lambda values: round_mantissa(values, 7)),
}


class RoundedKernels:
    """The kernels of a backend, with another matrix product."""

    def __init__(self, backend: Backend, matmul: Callable[..., Float32]) -> None:
        self._kernels, self.matmul = backend.kernels, matmul

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)


def run(folder: Path, settings: InitialModelSettings, precision: str) -> IterationReport:
    particles, _ = read_particles(folder / "particles.star")
    cpu = choose_backend("cpu")
    backend = replace(cpu, kernels=RoundedKernels(cpu, PRODUCTS[precision]))
    with closing(StackReader(particles)) as source:
        *_, report = reconstruct(source, particles, settings, backend=backend)
    return report


def measure(
    report: IterationReport, plain: IterationReport, truth: Float32, mask_diameter: float
) -> dict[str, Any]:
    """Compare a map with the truth, and with the map that float32 gave for the same seed."""
    about = {"voxel_size": report.voxel_size, "mask_diameter": mask_diameter}
    found = compare_maps(truth, report.volumes[0], **about)
    against = compare_maps(plain.volumes[0], report.volumes[0], **about)
    last = int(len(truth) * plain.voxel_size / plain.resolution[0])
    least = float(against.fsc[1 : last + 1].min())
    return {
        "iterations": report.iteration,
        "fsc05_truth_A": round(found.resolution_half, 2),
        "mean_fsc_20A_truth": round(found.mean_fsc(20.0), 4),
        "resolution_reached_A": round(float(report.resolution[0]), 2),
        "least_fsc_with_float32_to_its_resolution": round(least, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    truth = read_map(options.truth).data
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in PRODUCTS}
    for seed in range(1, options.seeds + 1):
        settings = InitialModelSettings(
            mask_diameter=options.mask_diameter, seed=seed, threads=options.threads, device="cpu"
        )
        plain = run(options.folder, settings, "float32")
        for name in PRODUCTS:
            report = plain if name == "float32" else run(options.folder, settings, name)
            found = measure(report, plain, truth, options.mask_diameter)
            runs[name].append({"seed": seed, **found})
            print(name, runs[name][-1], f"load {os.getloadavg()[0]:.1f}", flush=True)
        options.output.write_text(json.dumps(summarise(runs, options), indent=1) + "\n")


def summarise(runs: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    def median(name: str, key: str) -> float:
        return round(statistics.median(found[key] for found in runs[name]), 4)

    about = [options.folder.name, options.truth.name, f"{options.mask_diameter:g}"]
    return {
        "command": " ".join(["precision.py", options.output.name, *about, *sys.argv[5:]]),
        "date": time.strftime("%Y-%m-%d"),
        "measured_on": "cpu; the inputs of the products rounded, the products in float32",
        "medians": {
            name: {key: median(name, key) for key in runs[name][0] if key != "seed"}
            for name in runs
        },
        "runs": runs,
    }


if __name__ == "__main__":
    main()
