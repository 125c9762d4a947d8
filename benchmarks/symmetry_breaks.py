"""How clearly do subunits that differ stand out from noise, and does noise alone ever do?

usage: symmetry_breaks.py OUTPUT.json [--seeds 6] [--first-seed 50] [--noise 0.5,1,2]

Each case is a phantom of 64³ voxels at 8 Å on its true axes, with a true point group or with copies
of less density, with white noise of a share of the standard deviation of its map. The figure is the
largest ratio of a difference that counts to the deviation that noise gives it; a group breaks from
`LEAST_RATIO` on. 0 means that no difference is large enough to count.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ini3d.geometry import PointGroup, RigidTransform, symmetry_operators
from napari_ini3d.symmetry.breaks import break_ratios
from napari_ini3d.symmetry.density_copies import LEAST_RATIO, Comparison, DensityCopies
from napari_ini3d.symmetry.scores import deciding_waves
from symmetry import Case, make_map, phantom_of

TRUE = ("C2", "C3", "C4", "C6", "D2", "D3", "D7", "T", "O")
BROKEN: tuple[tuple[str, dict[int, float]], ...] = (  # group, density of copies by operator
    ("C4", {0: 0.85}),
    ("C4", {0: 0.85, 2: 0.85}),
    ("C4", {0: 0.6, 2: 0.6}),
    ("C3", {0: 0.8}),
    ("D2", {0: 0.8}),
    ("D3", {0: 0.8}),
    ("D7", {0: 0.6, 7: 0.6}),
    ("D7", dict.fromkeys(range(7), 0.8)),
    ("C6", {0: 0.7, 2: 0.7, 4: 0.7}),
    ("T", {0: 0.6}),
    ("O", {0: 0.5}),
)


def clearest(group: str, density: dict[int, float], seed: int, noise: float) -> float:
    """Return the largest ratio of a phantom of a group, some of whose copies have less density."""
    case = Case(group, seed, 64, 3.0, 8.0, "none")
    phantom, operators = phantom_of(case), symmetry_operators(group)
    weights = phantom.weights.reshape(len(operators), -1).copy()
    for copy, factor in density.items():
        weights[copy] *= factor
    volume, rotation, centre = make_map(case, replace(phantom, weights=weights.ravel()))
    rng = np.random.default_rng([seed, 7])
    volume = volume + rng.normal(0, noise * volume.std(), volume.shape).astype(np.float32)
    point_group = PointGroup.parse(group)
    copies = DensityCopies.of(
        volume,
        RigidTransform(rotation.T, centre),
        phantom.diameter / case.voxel_size / 2,
        deciding_waves(point_group),
        1.0,
        threads=1,
    )
    mean = copies.mean(operators, 1)
    compared = Comparison(copies, mean, 1)
    return max(break_ratios(compared, point_group, np.arange(len(operators)), threads=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=50)
    parser.add_argument("--noise", default="0.5,1,2")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows = []
    for noise in (float(value) for value in options.noise.split(",")):
        for group, density in [*((group, {}) for group in TRUE), *BROKEN]:
            ratios = [round(clearest(group, density, seed, noise), 2) for seed in seeds]
            named = sum(ratio >= LEAST_RATIO for ratio in ratios)
            rows.append({"group": group, "density": {str(k): v for k, v in density.items()},
                         "noise": noise, "ratios": ratios, "break": named})  # fmt: skip
            print(rows[-1], flush=True)
    facts = {"limit": LEAST_RATIO, "first_seed": options.first_seed, "cases": rows}
    options.output.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
