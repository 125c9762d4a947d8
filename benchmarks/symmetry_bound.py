"""How exactly can the axes of a noisy map be known at all? Errors beside their Cramér-Rao bound.

usage: symmetry_bound.py OUTPUT.json [--cases 40]

Each case is a phantom of `symmetry.py` of 64³ voxels at 20 Å with noise as strong as the signal at
20 Å. A map V with white noise of variance σ² has the information Σ ∂V ∂Vᵀ / σ² on the rotations and
shifts of its axes; a tilt of the axes changes V by what no symmetric map can follow, so that not
knowing V costs nothing. The bound of a case is the mean error of an estimator that reaches it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from napari_ini3d.symmetry import align_symmetry
from symmetry import GROUPS, Case, axis_error, make_map, phantom_of

DRAWS = 400


def errors_at_bound(case: Case) -> np.ndarray:
    """Return errors of the axes (degrees), drawn with the least possible variance."""
    phantom = phantom_of(case)
    clean, rotation, centre = make_map(replace(case, noise="none"), phantom)
    noisy, _, _ = make_map(case, phantom)
    n, clean = case.box_size, clean.astype(np.float64)
    gradient = np.array(np.gradient(clean))[::-1]  # (x, y, z)
    place = np.indices(clean.shape)[::-1] - n // 2 - centre[:, None, None, None]
    changes = np.concatenate([np.cross(place, gradient, axis=0), gradient]).reshape(6, -1)
    information = changes @ changes.T / (noisy - clean).var()
    frame = np.kron(np.eye(2), rotation)  # of the axes, for rotations and shifts
    information = frame.T @ information @ frame
    known = [0, 1, 3, 4] if case.group.startswith("C") else [*range(6)]
    covariance = np.zeros((6, 6))
    covariance[np.ix_(known, known)] = np.linalg.inv(information[np.ix_(known, known)])
    rng = np.random.default_rng(case.seed)
    drawn = rng.multivariate_normal(np.zeros(3), covariance[:3, :3], DRAWS)
    turned = Rotation.from_rotvec(drawn).as_matrix()
    return np.array([axis_error(case.group, one, np.eye(3)) for one in turned])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args()
    rows = []
    for i in range(options.cases):
        case = Case(GROUPS[i % len(GROUPS)], 1000 + i, 64, 3.0, 20.0, "plain")
        volume, rotation, _ = make_map(case, phantom_of(case))
        found = align_symmetry(volume, case.group, voxel_size=case.voxel_size)
        error, least = (
            axis_error(case.group, found.transform.rotation.T, rotation),
            errors_at_bound(case),
        )
        rows.append({
            "group": case.group, "seed": case.seed, "error": round(error, 3),
            "bound": round(float(least.mean()), 3),
            "above 0.25 at the bound": round(float((least > 0.25).mean()), 2),
        })  # fmt: skip
        print(rows[-1], flush=True)
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
