"""Symmetry of phantoms whose axes are known: are they found, how exactly, and how fast?

usage: symmetry.py OUTPUT.json [--cases 200] [--asymmetric 200] [--relion 0] [--golden FOLDER]
                   [--maps FOLDER [--groups emd_1024=C6,...] [--proshade PROGRAM]]
                   [--pseudo 0] [--featureless]

Each case is a phantom of helices in C2-C12, D2-D12, T, O or I, in a random orientation and up to
4 voxels off the middle, at 8 or 20 Å, without noise or with white noise that brings the FSC of two
such maps down to 0.5 at 20 Å ("masked": the FSC within a sphere of the particle's size; five
times the noise). Maps without symmetry are compact, elongated (1 : 0.5 : 0.45) or nearly round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import SettingsError
from napari_ini3d.fourier import shell_sum, soft_mask
from napari_ini3d.geometry import symmetry_axes, symmetry_operators
from napari_ini3d.io import prepare_map, read_map, write_map
from napari_ini3d.simulation import Phantom, make_phantom
from napari_ini3d.symmetry import align_symmetry, detect_symmetry

GROUPS = [f"{family}{n}" for family in "CD" for n in range(2, 13)] + ["T", "O", "I"]
BOXES = ((64, 3.0), (64, 3.0), (96, 2.2), (64, 3.9), (128, 1.7))  # voxels, Å
RADII = ((10.0, 20.0), (8.0, 16.0), (6.0, 12.0), (4.5, 9.0))  # of domains, Å: the largest that fit
FARTHEST = 4.0  # voxels from the middle


@dataclass(frozen=True)
class Case:
    group: str
    seed: int
    box_size: int
    voxel_size: float
    resolution: float
    noise: str


@dataclass(frozen=True)
class Outcome:
    case: Case
    detected: str
    score: float
    axis_error: float  # degrees, the worst axis
    centre_error: float  # voxels, across the axis for Cn
    detect_seconds: float
    align_seconds: float


def symmetric_cases(count: int, noises: tuple[str, ...]) -> Iterator[Case]:
    for i in range(count):
        group = GROUPS[i % len(GROUPS)]
        rotation = i // len(GROUPS)
        box, voxel = BOXES[(rotation // 2 + i) % len(BOXES)]
        yield Case(
            group, i, box, voxel, (8.0, 20.0)[rotation % 2], noises[(rotation // 2) % len(noises)]
        )


def phantom_of(case: Case) -> Phantom:
    diameter = 0.62 * case.box_size * case.voxel_size
    for radii in RADII:
        try:
            return make_phantom(
                case.group, seed=case.seed, diameter=diameter, domains=4, domain_radius=radii
            )
        except SettingsError:  # no room for a domain of that size
            continue
    raise RuntimeError(f"no phantom for {case}")


def asymmetric_phantom(case: Case) -> Phantom:
    kind = case.seed % 3
    diameter = 0.62 * case.box_size * case.voxel_size
    domains, radii = ((5, (9.0, 20.0)), (4, (9.0, 20.0)), (16, (9.0, 16.0)))[kind]
    phantom = make_phantom(
        "C1", seed=case.seed, diameter=diameter, domains=domains, domain_radius=radii
    )
    stretch = np.array((1.15, 0.5, 0.45) if kind == 1 else (1.0, 1.0, 1.0))
    return replace(phantom, positions=phantom.positions * stretch)


def make_map(case: Case, phantom: Phantom) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the map, the rotation of the phantom and its centre (voxels)."""
    rng = np.random.default_rng([case.seed, case.box_size])
    rotation = Rotation.random(rng=rng).as_matrix()
    centre = rng.uniform(-FARTHEST, FARTHEST, 3)
    positions = phantom.positions @ rotation.T + centre * case.voxel_size
    volume = replace(phantom, positions=positions).density(
        case.box_size, case.voxel_size, case.resolution
    )
    if case.noise != "none":
        volume = volume + rng.normal(0, noise_level(volume, case, phantom), volume.shape)
    return volume.astype(np.float32), rotation, centre


def noise_level(volume: np.ndarray, case: Case, phantom: Phantom) -> float:
    """Return the standard deviation of noise as strong as the signal at 20 Å."""
    n = case.box_size
    power = shell_sum(np.abs(np.fft.rfftn(volume)) ** 2)
    mean = power / shell_sum(np.ones((n, n, n // 2 + 1)))
    shell = n * case.voxel_size / max(20.0, 1.1 * case.resolution)
    signal = np.exp(np.interp(shell, np.arange(1, len(mean)), np.log(mean[1:])))
    filled = n**3
    if case.noise == "masked":
        filled = (soft_mask(n, phantom.diameter / case.voxel_size / 2, 3.0, 3) ** 2).sum()
    return float(np.sqrt(signal / filled))


def axis_error(group: str, found: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest angle between an axis found and the true one nearest to it, degrees."""
    axes = np.array([axis.direction for axis in symmetry_axes(group)])
    sines = np.linalg.norm(np.cross((axes @ found.T)[:, None], (axes @ truth.T)[None]), axis=2)
    return float(np.rad2deg(np.arcsin(np.clip(sines.min(axis=1).max(), 0, 1))))


def centre_error(group: str, found: np.ndarray, truth: np.ndarray, rotation: np.ndarray) -> float:
    difference = found - truth
    axes = symmetry_axes(group)
    if len(axes) == 1:
        along = rotation @ np.array(axes[0].direction)
        difference = difference - along * (along @ difference)
    return float(np.linalg.norm(difference))


def run_case(case: Case) -> Outcome:
    phantom = asymmetric_phantom(case) if case.group == "C1" else phantom_of(case)
    volume, rotation, centre = make_map(case, phantom)
    start = time.perf_counter()
    report = detect_symmetry(volume, voxel_size=case.voxel_size)
    detect_seconds = time.perf_counter() - start
    if case.group == "C1":
        score = max((c.score for c in report.candidates), default=0.0)
        return Outcome(case, report.group, score, 0.0, 0.0, detect_seconds, 0.0)
    start = time.perf_counter()
    found = align_symmetry(volume, case.group, voxel_size=case.voxel_size)
    align_seconds = time.perf_counter() - start
    shift = found.transform.shift / case.voxel_size
    return Outcome(
        case,
        report.group,
        found.score,
        axis_error(case.group, found.transform.rotation.T, rotation),
        centre_error(case.group, shift, centre, rotation),
        detect_seconds,
        align_seconds,
    )


def asymmetric_cases(count: int, noises: tuple[str, ...]) -> Iterator[Case]:
    for i in range(count):
        box, voxel = BOXES[(i // 6) % len(BOXES)]
        noise = noises[(i // 12) % len(noises)]
        yield Case("C1", i, box, voxel, (8.0, 20.0)[(i // 3) % 2], noise)


def compare_with_relion(count: int) -> list[dict[str, object]]:
    """Align the same maps of 128³ with relion_align_symmetry and with ours; errors, seconds."""
    rows: list[dict[str, object]] = []
    if shutil.which("relion_align_symmetry") is None:
        return rows
    for i in range(count):
        case = Case(("D2", "C4", "D7", "O", "I")[i % 5], i, 128, 1.7, 8.0, "none")
        volume, rotation, _ = make_map(case, phantom_of(case))
        with tempfile.TemporaryDirectory() as name:
            source, target = Path(name) / "map.mrc", Path(name) / "aligned.mrc"
            write_map(source, volume, case.voxel_size)
            start = time.perf_counter()
            command = ["relion_align_symmetry", "--i", source, "--o", target, "--sym", case.group]
            subprocess.run(command, check=True, capture_output=True)
            theirs = time.perf_counter() - start
            aligned = read_map(target)
        left = align_symmetry(aligned.data, case.group, voxel_size=aligned.voxel_size)
        start = time.perf_counter()
        ours = align_symmetry(volume, case.group, voxel_size=case.voxel_size)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        detected = detect_symmetry(volume, voxel_size=case.voxel_size).group
        detect_seconds = time.perf_counter() - start
        left_over = axis_error(case.group, left.transform.rotation.T, np.eye(3))
        rows.append({
            "group": case.group, "box": case.box_size,
            "relion_degrees_off": round(left_over, 2),
            "relion_seconds": round(theirs, 2),
            "degrees_off": round(axis_error(case.group, ours.transform.rotation.T, rotation), 4),
            "seconds": round(seconds, 2), "ratio": round(theirs / seconds, 1),
            "detected": detected, "detect_seconds": round(detect_seconds, 2),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


PSEUDO = (  # group, density of copies by operator, true group
    ("C4", {0: 0.6}, "C1"),
    ("C4", {0: 0.6, 2: 0.6}, "C2"),
    ("D7", {0: 0.6, 7: 0.6}, "C2"),
    ("D7", dict.fromkeys(range(7), 0.7), "C7"),
    ("C6", {0: 0.7, 2: 0.7, 4: 0.7}, "C3"),
)


def pseudo_rows(count: int) -> list[dict[str, object]]:
    """Detect phantoms of which some copies have less density; half of them with strong noise."""
    rows: list[dict[str, object]] = []
    for i in range(count):
        group, densities, truth = PSEUDO[i % len(PSEUDO)]
        seed = i // len(PSEUDO)
        case = Case(group, 100 + seed, 64, 3.0, 8.0, ("none", "plain")[seed % 2])
        phantom = phantom_of(case)
        weights = phantom.weights.reshape(len(symmetry_operators(group)), -1).copy()
        for copy, density in densities.items():
            weights[copy] *= density
        volume, _, _ = make_map(case, replace(phantom, weights=weights.ravel()))
        start = time.perf_counter()
        report = detect_symmetry(volume, voxel_size=case.voxel_size)
        named = [c for c in report.candidates if c.group == group and c.pseudo]
        rows.append({
            "group": group, "copies": {str(k): v for k, v in densities.items()},
            "seed": case.seed, "noise": case.noise, "truth": truth, "detected": report.group,
            "named": bool(named) and named[0].pseudo.subgroup == truth,
            "verdict": report.verdict, "seconds": round(time.perf_counter() - start, 1),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def featureless_rows() -> list[dict[str, object]]:
    """Detect a ball, a shell, a disc and a rod, of which no point group can be told."""
    x, y, z = (np.mgrid[:64, :64, :64] - 32.0)[::-1]
    r, across = np.sqrt(x**2 + y**2 + z**2), np.hypot(x, y)
    shapes = {
        "ball": r < 16, "shell": (r < 20) & (r > 14),
        "disc": (across < 20) & (np.abs(z) < 5), "rod": (across < 6) & (np.abs(z) < 22),
    }  # fmt: skip
    rows: list[dict[str, object]] = []
    for name, inside in shapes.items():
        volume = gaussian_filter(inside.astype(np.float32), 1.5)
        report = detect_symmetry(volume, voxel_size=3.0)
        rows.append({"shape": name, "detected": report.group, "verdict": report.verdict})
        print(rows[-1], flush=True)
    return rows


PROSHADE_RESOLUTIONS = (20.0, 12.0)  # Å: the program asks for one, and it decides the time
PROSHADE_TIMEOUT = 600.0  # s


def detect_with_proshade(program: str, path: Path, resolution: float) -> dict[str, object]:
    """Return the group that ProSHADE states for a map, such as D2, and the seconds it took."""
    command = [program, "-S", "-f", str(path.resolve()), "-r", f"{resolution:g}"]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=folder, timeout=PROSHADE_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return {"resolution": resolution, "detected": "no answer", "seconds": PROSHADE_TIMEOUT}
    stated = re.search(r"claims the symmetry to be ([A-Z])(?:-(\d+))?", done.stdout)
    group = stated[1] + (stated[2] or "") if stated else f"no answer (exit code {done.returncode})"
    seconds = round(time.perf_counter() - start, 1)
    return {"resolution": resolution, "detected": group, "seconds": seconds}


def real_rows(folder: Path, groups: dict[str, str], proshade: str = "") -> list[dict[str, object]]:
    """Detect the maps of a folder, with ProSHADE too if its program is given."""
    rows: list[dict[str, object]] = []
    paths = [p for p in folder.iterdir() if p.suffix in (".mrc", ".map", ".ccp4")]
    for path in sorted(paths):
        found = prepare_map(path)
        start, busy = time.perf_counter(), time.process_time()
        report = detect_symmetry(found.data, voxel_size=found.voxel_size)
        rows.append({
            "map": path.stem, "box": len(found.data), "deposited": groups.get(path.stem, ""),
            "detected": report.group, "verdict": report.verdict,
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - busy, 1),
        })  # fmt: skip
        if proshade:
            rows[-1]["proshade"] = [
                detect_with_proshade(proshade, path, r) for r in PROSHADE_RESOLUTIONS
            ]
        print(rows[-1], flush=True)
    return rows


def golden_error(folder: Path) -> float:
    """Return how far the axes of the real tetramer are from those of its atoms, degrees."""
    found = read_map(folder / "pha_d2.mrc")
    truth = np.array(json.loads((folder / "pha_d2_axes.json").read_text())["two_fold_axes_xyz"])
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    alignment = align_symmetry(found.data, "D2", voxel_size=found.voxel_size)
    return axis_error("D2", alignment.transform.rotation.T, truth.T)


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """Return the figures that the issue of symmetry asks for, of one kind of cases."""
    wrong = [o for o in outcomes if o.detected != o.case.group]
    facts: dict[str, object] = {
        "cases": len(outcomes),
        "right group": f"{1 - len(wrong) / len(outcomes):.1%}",
        "wrong": dict(Counter(f"{o.case.group} -> {o.detected}" for o in wrong)),
    }
    symmetric = [o for o in outcomes if o.case.group != "C1"]
    if symmetric:
        for name in ("axis_error", "centre_error"):
            values = np.array([getattr(o, name) for o in symmetric])
            facts[name] = {
                "median": round(float(np.median(values)), 4),
                "worst": round(float(values.max()), 4),
                "above 0.25": int((values > 0.25).sum()),
            }
    large = [o for o in outcomes if o.case.box_size == 128]
    for name in ("detect_seconds", "align_seconds"):
        values = np.array([getattr(o, name) for o in large] or [0.0])
        facts[f"{name}, box 128"] = {
            "median": round(float(np.median(values)), 2),
            "longest": round(float(values.max()), 2),
        }
    return facts


def summary_by_kind(outcomes: list[Outcome]) -> dict[str, object]:
    """Return the errors of symmetric cases by resolution and noise."""
    kinds: dict[str, list[Outcome]] = {}
    for o in outcomes:
        kinds.setdefault(f"{o.case.resolution:g} Å, noise {o.case.noise}", []).append(o)
    return {
        kind: {
            "cases": len(of_kind),
            "median": round(float(np.median([o.axis_error for o in of_kind])), 4),
            "worst": round(max(o.axis_error for o in of_kind), 4),
            "above 0.25": sum(o.axis_error > 0.25 for o in of_kind),
            "centre worst": round(max(o.centre_error for o in of_kind), 4),
        }
        for kind, of_kind in kinds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--asymmetric", type=int, default=200)
    parser.add_argument("--masked", type=int, default=0, help="cases of the harder noise")
    parser.add_argument("--relion", type=int, default=0, help="maps aligned with RELION too")
    parser.add_argument("--golden", type=Path, help="folder with pha_d2.mrc and its axes")
    parser.add_argument("--maps", type=Path, help="folder with real maps")
    parser.add_argument("--groups", default="", help="their groups, such as emd_1024=C6,...")
    parser.add_argument("--proshade", default="", help="program that detects them too")
    parser.add_argument("--pseudo", type=int, default=0, help="pseudo-symmetric phantoms")
    parser.add_argument("--featureless", action="store_true", help="a ball, a shell, a disc, a rod")
    options = parser.parse_args()
    noises = ("none", "plain")
    kinds = {
        "symmetric": list(symmetric_cases(options.cases, noises)),
        "asymmetric": list(asymmetric_cases(options.asymmetric, noises)),
        "symmetric, harder noise": list(symmetric_cases(options.masked, ("masked",))),
    }
    result: dict[str, object] = {"cpus": len(os.sched_getaffinity(0)), "on": platform.processor()}
    rows = []
    symmetric: list[Outcome] = []
    for kind, cases in kinds.items():
        outcomes: list[Outcome] = []
        for case in cases:
            outcomes.append(run_case(case))
            last = outcomes[-1]
            if last.detected != case.group or last.axis_error > 0.25 or last.centre_error > 0.25:
                print(last, flush=True)
        if outcomes:
            result[kind] = summary(outcomes)
            print(kind, json.dumps(result[kind], indent=1), flush=True)
            rows += [asdict(outcome) for outcome in outcomes]
            symmetric += [o for o in outcomes if o.case.group != "C1"]
    if symmetric:
        result["by kind"] = summary_by_kind(symmetric)
    if options.relion:
        result["relion"] = compare_with_relion(options.relion)
    if options.maps:
        groups = dict(entry.split("=") for entry in options.groups.split(",") if entry)
        result["maps"] = real_rows(options.maps, groups, options.proshade)
    if options.pseudo:
        result["pseudo"] = pseudo_rows(options.pseudo)
    if options.featureless:
        result["featureless"] = featureless_rows()
    if options.golden:
        result["golden, degrees off"] = round(golden_error(options.golden), 4)
    result["outcomes"] = rows
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
