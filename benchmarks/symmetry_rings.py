"""Rings of 25 to 48 subunits: which orders are found, at which resolution and noise?

usage: symmetry_rings.py OUTPUT.json [--cases 24] [--spacing 30]

Each case is a ring of Cn or Dn whose subunits are 30 Å apart at the rim, in a random orientation
and up to 4 voxels off the middle, at 8, 15 or 30 Å, without noise or with white noise as strong as
the signal at 20 Å. Subunits can show where their spacing is above the resolution: the wave n around
the axis of a ring of radius r has power at frequencies from about n / (2πr) on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from napari_ini3d.errors import SettingsError
from napari_ini3d.simulation import Phantom, make_phantom
from napari_ini3d.symmetry import align_symmetry, detect_symmetry
from symmetry import Case, axis_error, make_map

ORDERS = (26, 34, 42, 30, 48, 29)
BOXES = (64, 96, 128)
RESOLUTIONS = (8.0, 15.0, 30.0)
FILLED = 0.62  # of the box
RADII, HOLES = (0.3, 0.25), (0.7, 0.5, 0.3, 0.0)  # of the spacing; the diameter


def make_ring(group: str, seed: int, spacing: float) -> Phantom:
    """Return a ring whose subunits are a spacing (Å) apart at the rim."""
    diameter = int(group[1:]) * spacing / np.pi
    for radius in RADII:
        for hole in HOLES:
            try:
                return make_phantom(
                    group, seed=seed, diameter=diameter, inner_diameter=hole * diameter,
                    domains=4, domain_radius=(0.7 * radius * spacing, radius * spacing),
                )  # fmt: skip
            except SettingsError:  # no room for a domain of that size
                continue
    raise RuntimeError(f"no ring of {group}")


def run_case(i: int, spacing: float) -> dict[str, object]:
    group = f"{'CD'[i % 4 == 3]}{ORDERS[i % len(ORDERS)]}"
    box, resolution = BOXES[(i // 2) % len(BOXES)], RESOLUTIONS[i % len(RESOLUTIONS)]
    phantom = make_ring(group, i, spacing)
    voxel_size = phantom.diameter / FILLED / box
    noise = ("none", "plain")[(i // len(RESOLUTIONS)) % 2]
    case = Case(group, i, box, voxel_size, max(resolution, 2.2 * voxel_size), noise)
    volume, rotation, _ = make_map(case, phantom)
    start, busy = time.perf_counter(), time.process_time()
    report = detect_symmetry(volume, voxel_size=voxel_size)
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    found = align_symmetry(volume, group, voxel_size=voxel_size)
    error = axis_error(group, found.transform.rotation.T, rotation)
    return {
        "group": group, "box": box, "resolution": round(case.resolution, 1), "noise": noise,
        "spacing": spacing, "detected": report.group, "verdict": report.verdict,
        "aligned": found.holds, "axis_error": round(error, 4),
        "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--spacing", type=float, default=30.0, help="of subunits at the rim, Å")
    options = parser.parse_args()
    rows = []
    for i in range(options.cases):
        rows.append(run_case(i, options.spacing))
        print(rows[-1], flush=True)
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
