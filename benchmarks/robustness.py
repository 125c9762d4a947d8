"""How often `ini3d run` succeeds on particles with the faults of real ones, over many seeds.

usage: robustness.py OUTPUT.json [--sets a,b] [--maps C1,D2] [--map FILE] [--seeds 20] [--jobs 1]
       [--threads 2] [--data DIR] [--run=OPTIONS] [--auto-mask]

Every set is made of every map: phantoms of C1, C2 and D2, or FILE instead of the last. Its limit is
the map reconstructed from the true poses, with the particles and the defocus that the run gets,
without the junk. A run succeeds if it ends within 1.5 Å of the limit (2 Å where the limit is worse
than 9 Å), at an FSC of 0.5 with the true map after registration, of either hand. It fails
unannounced if it does not, but its verdict is "reliable"; without a verdict, a run that converged
counts as reliable. Each run is a process of its own. Runs that are in OUTPUT.json already are not
repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import starfile

from napari_ini3d.comparison import compare_maps
from napari_ini3d.engine.maximisation import complete_friedel
from napari_ini3d.engine.regularisation import divide_by_weight, half_set_fsc, wiener_divide
from napari_ini3d.fourier import cube_to_map, frequency_disk, gridding_profile, images_to_disk
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.io import Map, StackReader, read_map, read_particles, write_map
from napari_ini3d.kernels import choose_backend
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.simulation import (
    MapMolecule,
    Molecule,
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

BOX_SIZE, PIXEL_SIZE = 64, 3.4  # of the phantoms
PHANTOMS: dict[str, dict[str, Any]] = {
    "C1": {"symmetry": "C1", "seed": 3, "diameter": 120.0, "bead_width": 1.5},
    "C2": {"symmetry": "C2", "seed": 4, "diameter": 125.0, "bead_width": 1.5},
    "D2": {"symmetry": "D2", "seed": 4, "diameter": 130.0, "bead_width": 1.5},
}
MASK_MARGIN = 1.15
SNR_CIRCLE = 0.8  # of the box: diameter within which the SNR holds
CHUNK, PADDING = 500, 2

COMMON: dict[str, Any] = {
    "number": 4000,
    "snr": 0.05,
    "noise_colour": 0.0,
    "pink_noise": 0.5,
    "bfactor": 150.0,
    "defocus_error": 0.03,
    "defocus_range": (8000.0, 26000.0),
    "scale_spread": 0.2,
    "normalise": True,
    "seed": 1,
}
SETS: dict[str, dict[str, Any]] = {
    "a": {"about": "15 % junk, 30 % neighbours", "junk": 0.15, "neighbours": 0.3},
    "b": {"about": "SNR 0.02", "snr": 0.02},
    "c": {"about": "SNR 0.01, N 10,000", "snr": 0.01, "number": 10_000},
    "d": {
        "about": "80 % of the views in two directions",
        "preferred": 0.8,
        "views": "two",
        "view_share": 0.65,
        "view_spread": 12.0,
    },
    "e": {"about": "micelle", "micelle": True},
    "f": {"about": "40 % junk", "junk": 0.4},
    "g": {"about": "N 500, SNR 0.1", "snr": 0.1, "number": 500},
    "h": {"about": "offsets of 6 pixels", "offset_pixels": 6.0},
}


@dataclass(frozen=True)
class BenchmarkSet:
    name: str
    folder: Path
    truth: Map
    mask_diameter: float
    limit: float

    @property
    def allowed(self) -> float:
        """Worst resolution of a run that succeeds, Å."""
        return self.limit + (2.0 if self.limit > 9.0 else 1.5)


def load_molecule(name: str, path: Path | None) -> tuple[Molecule, int, float]:
    """Return a molecule with its box and pixel size."""
    if name in PHANTOMS:
        return make_phantom(**PHANTOMS[name]), BOX_SIZE, PIXEL_SIZE
    assert path is not None
    found = read_map(path)
    return MapMolecule(found.data, found.voxel_size), len(found.data), found.voxel_size


def make_set(
    letter: str, map_name: str, path: Path | None, root: Path, number: int | None
) -> BenchmarkSet:
    """Simulate a set, unless it is there, and measure its limit."""
    name = f"{letter}_{map_name}" + (f"_{number}" if number else "")
    folder, about = root / name, root / f"{name}.json"
    if not about.exists():
        molecule, box_size, pixel_size = load_molecule(map_name, path)
        chosen = {**COMMON, **SETS[letter]}
        offset = chosen.pop("offset_pixels", 2.0) * pixel_size
        if chosen.pop("micelle", False):
            molecule = MapMolecule.with_micelle(molecule, box_size, pixel_size)
        del chosen["about"]
        settings = SimulationSettings(
            **chosen,
            box_size=box_size,
            pixel_size=pixel_size,
            offset_sigma=offset,
            snr_diameter=SNR_CIRCLE * box_size * pixel_size,
        )
        settings = settings.with_changes(number=number or settings.number)
        write_dataset(folder, simulate_particles(molecule, settings), molecule)
        truth = read_map(folder / "truth.mrc")
        mask = min(math.ceil(molecule.diameter * MASK_MARGIN), box_size * pixel_size)
        limit = reconstruct_from_truth(folder)
        write_map(folder / "limit.mrc", limit, pixel_size)
        found = compare_maps(
            truth.data, limit, voxel_size=pixel_size, mask_diameter=mask, align=False
        )
        facts = {"mask_diameter": mask, "limit": found.resolution_half}
        about.write_text(json.dumps(facts) + "\n")
    facts = json.loads(about.read_text())
    return BenchmarkSet(f"{letter}/{map_name}", folder, read_map(folder / "truth.mrc"), **facts)


def reconstruct_from_truth(folder: Path) -> np.ndarray:
    """Return the map (n, n, n) of the particles that are not junk, from their true poses."""
    particles, _ = read_particles(folder / "particles.star")
    table = starfile.read(folder / "truth.star")["particles"]
    good = np.flatnonzero(table["ini3dJunkKind"] == "none")
    optics = particles.optics[0]
    n, length = optics.box_size, optics.box_size * optics.pixel_size
    disk = frequency_disk(n, n // 2 - 1)
    m = (n // 2 - 1) * PADDING + 1
    shape = (2, 2 * m + 1, 2 * m + 1, m + 2)  # per half-set
    numerator, weight = np.zeros(shape, np.complex64), np.zeros(shape, np.float32)
    kernels = choose_backend("cpu").kernels
    kx, ky = disk.kx * np.float32(PADDING), disk.ky * np.float32(PADDING)
    with closing(StackReader(particles)) as reader:
        for half in (0, 1):
            mine = good[half::2]
            for index in np.array_split(mine, math.ceil(len(mine) / CHUNK)):
                rows = table.iloc[index]
                x, y = (rows[f"rlnOrigin{axis}Angst"].to_numpy()[:, None] / length for axis in "XY")
                centred = np.exp(-2j * np.pi * (x * disk.kx + y * disk.ky))  # (B, P)
                images = images_to_disk(reader.read(index).images, disk) * centred
                parameters = ctf_parameters(particles.take(index), 0)
                ctf = compute_ctf(parameters, disk.kx / length, disk.ky / length)
                angles = (rows[f"rlnAngle{name}"].to_numpy() for name in ("Rot", "Tilt", "Psi"))
                matrices = euler_to_matrix(*angles).astype(np.float32)
                slices = (images * ctf).astype(np.complex64)
                kernels.backproject(slices, ctf**2, matrices, kx, ky, numerator[half], weight[half])
    complete_friedel(numerator, weight)
    halves = [divide_by_weight(numerator[h], weight[h], PADDING) for h in (0, 1)]
    agreement = half_set_fsc(halves[0], halves[1], PADDING, n // 2 + 1)
    cube = wiener_divide(numerator.sum(0), weight.sum(0), agreement.ssnr, PADDING)
    volume: np.ndarray = cube_to_map(cube.astype(np.complex64), n, PADDING)
    return volume / gridding_profile(n, PADDING)


def run_once(data: BenchmarkSet, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Do one run, and score its map."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        command = [str(Path(sys.executable).with_name("ini3d")), "run", "particles.star", "--json"]
        command += ["--output", str(output), "--seed", str(seed), "--device", "cpu"]
        command += ["--threads", str(options.threads), *shlex.split(options.run)]
        if not options.auto_mask:
            command += ["--mask-diameter", str(data.mask_diameter)]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=data.folder, capture_output=True, text=True, check=False)
        result = {"seed": seed, "wall_s": round(time.perf_counter() - started, 1)}
        if done.returncode:
            return {**result, "verdict": "failed", "fsc05": None, "error": done.stderr[-500:]}
        last = json.loads((output / "progress.jsonl").read_text().splitlines()[-1])
        finished = json.loads(done.stdout.splitlines()[-1])
        without = "reliable" if last["converged"] else "uncertain"
        return {
            **result,
            "iterations": last["iteration"],
            "converged": last["converged"],
            "verdict": finished.get("verdict", without),
            "reported": last["resolution"][0],
            **score_map(data, output / "initial_model.mrc", options.threads),
        }


def score_map(data: BenchmarkSet, path: Path, threads: int) -> dict[str, Any]:
    found = compare_maps(
        data.truth.data,
        read_map(path).data,
        voxel_size=data.truth.voxel_size,
        mask_diameter=data.mask_diameter,
        threads=threads,
    )
    return {
        "fsc05": round(found.resolution_half, 2),
        "mean_fsc_20A": round(found.mean_fsc(20.0), 4),
        "mirrored": found.mirrored,
    }


def summarise(data: BenchmarkSet, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the line of a set; runs that stopped with an error count as infinitely bad."""
    reached = [run["fsc05"] or math.inf for run in runs]
    good = [value <= data.allowed for value in reached]
    unannounced = [
        run["verdict"] == "reliable" for run, success in zip(runs, good, strict=True) if not success
    ]
    median, worst = statistics.median(reached), max(reached)
    return {
        "limit": round(data.limit, 2),
        "mask_diameter": data.mask_diameter,
        "median": median if math.isfinite(median) else None,
        "worst": worst if math.isfinite(worst) else None,
        "succeeded": round(sum(good) / len(runs), 4),
        "failed_unannounced": round(sum(unannounced) / len(runs), 4),
        "median_wall_s": round(statistics.median(run["wall_s"] for run in runs), 1),
        "runs": sorted(runs, key=lambda run: run["seed"]),
    }


def run_seeds(
    seeds: list[int], jobs: int, once: Callable[[int], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the result of each seed when it is there."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(once, seed) for seed in seeds]
        for future in as_completed(waiting):
            yield future.result()


def open_report(options: argparse.Namespace) -> dict[str, Any]:
    """Return the report to continue; refuse one of other runs."""
    same = {"run": options.run, "auto_mask": options.auto_mask, "number": options.number}
    if not options.output.exists():
        return {
            **same,
            "date": time.strftime("%Y-%m-%d"),
            "cores": os.cpu_count(),
            "threads": options.threads,
            "jobs": options.jobs,
            "about": {letter: chosen["about"] for letter, chosen in SETS.items()},
            "sets": {},
        }
    report: dict[str, Any] = json.loads(options.output.read_text())
    for name, value in same.items():
        if report[name] != value:
            raise SystemExit(
                f"{options.output} has runs with {name} {report[name]!r}, not {value!r}; "
                "give the same option, or another output"
            )
    return report


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--sets", default=",".join(SETS), help="letters, separated by commas")
    parser.add_argument("--maps", help="names, separated by commas; default: all")
    parser.add_argument("--map", type=Path, help="map to use instead of the phantom of D2")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=2, help="per run")
    parser.add_argument("--number", type=int, help="of particles in every set, for a trial")
    parser.add_argument("--data", type=Path, help="folder to keep the sets in")
    parser.add_argument("--run", default="", help="more options of `ini3d run`, in one word")
    parser.add_argument("--auto-mask", action="store_true", help="let the run estimate the mask")
    options = parser.parse_args()
    known = [*list(PHANTOMS)[:2], options.map.stem] if options.map else list(PHANTOMS)
    options.maps = options.maps.split(",") if options.maps else known
    options.sets = options.sets.split(",")
    for chosen, choices in ((options.sets, list(SETS)), (options.maps, known)):
        if unknown := set(chosen) - set(choices):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(choices)}")
    return options


def main() -> None:
    options = parse_options()
    report = open_report(options)
    with tempfile.TemporaryDirectory() as temporary:
        root = options.data or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        for letter in options.sets:
            for map_name in options.maps:
                runs = report["sets"].get(f"{letter}/{map_name}", {}).get("runs", [])
                done = {run["seed"] for run in runs}
                seeds = [seed for seed in range(1, options.seeds + 1) if seed not in done]
                if not seeds:
                    continue
                data = make_set(letter, map_name, options.map, root, options.number)
                print(f"{data.name}: limit {data.limit:.2f} Å", flush=True)
                once = lambda seed, data=data: run_once(data, seed, options)  # noqa: E731
                for run in run_seeds(seeds, options.jobs, once):
                    runs.append(run)
                    report["sets"][data.name] = summarise(data, runs)
                    options.output.write_text(json.dumps(report, indent=1) + "\n")
                    print(data.name, run, f"load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
