"""Relaxation of pseudo-symmetric particles: how many come into the right asymmetric unit?

usage: relaxation.py OUTPUT.json [--seeds 3] [--cases D7,T,O,I] [--starts 2]

The particles of a phantom of which one subunit (for D7: two that a 2-fold brings to each other) has
another density are given with exact poses, but in random units of the group. "possible" is the
share that the map of the true units could place, without a search; at an SNR of 0.05 single images
do not show more. Shares are up to the true subgroup, and to one relabelling of all units.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d.engine import FixedPoses, RunContext, TileExecutor, relax_symmetry
from napari_ini3d.engine.relaxation.relax import posed_images
from napari_ini3d.engine.relaxation.steps import compare_units, symmetric_residuals
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.geometry import PointGroup, euler_to_matrix, symmetry_operators
from napari_ini3d.kernels import choose_backend
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)
from napari_ini3d.symmetry import remaining_subgroup


@dataclass(frozen=True)
class Case:
    group: str
    odd: tuple[int, ...]  # operators of the subunits that differ
    density: float  # theirs, of that of the others
    number: int
    box_size: int
    pixel_size: float
    domain_radius: tuple[float, float]


CASES = {
    "D7": Case("D7", (0, 7), 0.0, 1000, 96, 1.8, (6.0, 12.0)),
    "T": Case("T", (0,), 4.0, 500, 64, 2.25, (7.0, 16.0)),
    "O": Case("O", (0,), 5.0, 500, 64, 2.25, (6.0, 14.0)),
    "I": Case("I", (0,), 8.0, 500, 64, 2.25, (5.0, 12.0)),
    "T, missing": Case("T", (0,), 0.0, 500, 64, 2.25, (7.0, 16.0)),
    "T, all alike": Case("T", (), 1.0, 500, 64, 2.25, (7.0, 16.0)),
}


def share_in_place(truth: np.ndarray, found: np.ndarray, kept: np.ndarray) -> float:
    """Return the share of poses that are right, up to a subgroup and one relabelling."""
    net = truth.transpose(0, 2, 1) @ found
    names = net[:: max(1, len(net) // 50)]
    equal = (kept[:, None] @ names).transpose(1, 0, 2, 3)
    apart = np.abs(net[:, None, None] - equal[None]).max(axis=(3, 4)).min(axis=2)
    return float((apart < 0.05).mean(axis=0).max())


def run_case(name: str, case: Case, seed: int, starts: int, snr: float) -> dict[str, object]:
    operators, group = symmetry_operators(case.group), PointGroup.parse(case.group)
    diameter = 0.62 * case.box_size * case.pixel_size
    phantom = make_phantom(
        case.group, seed=seed, diameter=diameter, domains=3, domain_radius=case.domain_radius
    )
    weights = phantom.weights.reshape(group.order, -1).copy()
    weights[list(case.odd)] *= case.density
    settings = SimulationSettings(
        number=case.number, box_size=case.box_size, pixel_size=case.pixel_size, snr=snr, seed=seed
    )
    simulated = simulate_particles(replace(phantom, weights=weights.ravel()), settings)
    poses = simulated.truth
    truth = euler_to_matrix(poses.rot, poses.tilt, poses.psi)
    unit = np.random.default_rng(seed).integers(0, group.order, case.number)
    given = truth @ operators[unit]
    origins = np.stack([poses.origin_x, poses.origin_y], axis=1)
    fixed = FixedPoses(given.astype(np.float32), origins)
    run_settings = InitialModelSettings(
        mask_diameter=1.1 * diameter, device="cpu", threads=1, seed=seed
    )
    source = InMemorySource.of(simulated)
    kept = operators[list(case.odd)] if len(case.odd) > 1 else operators[:1]
    start = time.perf_counter()
    found = relax_symmetry(source, simulated.particles, run_settings, fixed, group, starts=starts)
    seconds = time.perf_counter() - start
    assert found is not None
    left = remaining_subgroup(found.differences[0], found.differences[1], group, threads=1)
    possible = possible_share(source, simulated, run_settings, fixed, unit, truth, kept, group)
    return {
        "case": name, **asdict(case), "seed": seed, "snr": snr,
        "in place before": round(share_in_place(truth, given, kept), 3),
        "in place": round(share_in_place(truth, given @ operators[found.operators], kept), 3),
        "possible": round(possible, 3), "operators left": len(left),
        "gain": round(float(found.gain.mean()), 3),
        "deviations": round(
            float(found.gain.mean() / found.gain.std() * np.sqrt(len(found.gain))), 1
        ),
        "seconds": round(seconds, 1),
    }  # fmt: skip


def possible_share(source, simulated, settings, fixed, unit, truth, kept, group) -> float:
    """Return the share in place under the map of the true units."""
    free = settings.with_changes(non_negative=False, padding_factor=2)
    resolved = resolve_settings(free, pixel_size=source.pixel_size)
    executor = TileExecutor(choose_backend("cpu"), 1)
    run = RunContext.of(source, simulated.particles, resolved, executor)
    operators = symmetry_operators(group)
    few = operators.astype(np.float32)
    residuals = symmetric_residuals(posed_images(run, fixed), few)
    back = np.array([np.abs(operators - operators[u].T).max(axis=(1, 2)).argmin() for u in unit])
    compared = compare_units(residuals, few, None, np.eye(group.order, dtype=np.float32)[back])
    cubes = compared.sums.without_each(compared.sums.fsc(run.constraints), run.constraints)
    best = compare_units(residuals, few, cubes).scores.argmax(axis=1)
    executor.close()
    return share_in_place(truth, fixed.matrices @ operators[best], kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--snr", type=float, default=0.05)
    parser.add_argument("--cases", default=",".join(name for name in CASES if "," not in name))
    options = parser.parse_args()
    rows = []
    for seed in range(1, options.seeds + 1):
        for name in CASES:
            if name.replace(",", "") not in options.cases.replace(", ", " ").split(","):
                continue
            rows.append(run_case(name, CASES[name], seed, options.starts, options.snr))
            print(rows[-1], flush=True)
            options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
