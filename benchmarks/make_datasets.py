"""Make the four benchmark sets, and measure the resolution that their true angles give.

usage: make_datasets.py OUTDIR --tools DIR [--only asym d7]

DIR contains `simulate.py` and `score.py`. Needs RELION's relion_project and relion_reconstruct.
Each set has truth.mrc, particles.mrcs, particles.star (without angles), truth.star, limit.mrc (the
reconstruction from the true angles) and set.json (parameters, mask diameter, scores of limit.mrc).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import starfile

from napari_ini3d.simulation import make_phantom

BOX_SIZE, VOXEL_SIZE, RESOLUTION, COUNT = 64, 3.4, 6.9, 2000
MASK_MARGIN = 1.15

SETS: dict[str, dict[str, Any]] = {
    "asym": {
        "phantom": {"symmetry": "C1", "seed": 1, "diameter": 120.0},
        "simulate": {"snr": 0.05, "groups": 2, "seed": 11},
    },
    "junkpref": {
        "phantom": {"symmetry": "C1", "seed": 2, "diameter": 120.0},
        "simulate": {"snr": 0.1, "preferred": 0.6, "junk": 0.3, "seed": 12},
    },
    "d7": {
        "phantom": {
            "symmetry": "D7",
            "seed": 1,
            "diameter": 165.0,
            "inner_diameter": 40.0,
            "domains": 3,
            "domain_radius": (12.0, 20.0),
        },
        "simulate": {"snr": 0.1, "seed": 13},
    },
    "ico": {
        "phantom": {
            "symmetry": "I",
            "seed": 1,
            "diameter": 180.0,
            "inner_diameter": 88.0,
            "domains": 4,
            "domain_radius": (9.0, 14.0),
        },
        "simulate": {"snr": 0.1, "seed": 14},
    },
}


def make_set(folder: Path, tools: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Write the true map and its particles; return the contents of set.json."""
    folder.mkdir(parents=True, exist_ok=True)
    phantom = make_phantom(**parameters["phantom"])
    density = phantom.density(BOX_SIZE, VOXEL_SIZE, RESOLUTION)
    density = density / np.float32(density.std())
    with mrcfile.new(folder / "truth.mrc", overwrite=True) as mrc:
        mrc.set_data(density)
        mrc.voxel_size = VOXEL_SIZE
    options = [f"--{key}={value}" for key, value in parameters["simulate"].items()]
    command = [sys.executable, tools / "simulate.py", folder / "truth.mrc", folder]
    subprocess.run([*map(str, command), f"--n={COUNT}", *options], check=True)
    return {
        **parameters,
        "particles": COUNT,
        "box_size": BOX_SIZE,
        "pixel_size": VOXEL_SIZE,
        "resolution": RESOLUTION,
        "particle_diameter": round(phantom.diameter, 1),
        "mask_diameter": math.ceil(phantom.diameter * MASK_MARGIN),
        "truth_sha256": hashlib.sha256(density.tobytes()).hexdigest(),
    }


def measure_limit(folder: Path, tools: Path, mask_diameter: float) -> dict[str, Any]:
    """Reconstruct the particles that are not junk from their true angles, and score the map."""
    tables = starfile.read(folder / "truth.star")
    particles = tables["particles"]
    tables["particles"] = particles[particles["junk"] == 0]
    starfile.write(tables, folder / "good.star", overwrite=True)
    command = ["relion_reconstruct", "--i", "good.star", "--o", "limit.mrc", "--ctf", "--pad", "2"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return score_map(folder / "limit.mrc", folder / "truth.mrc", tools, mask_diameter)


def score_map(path: Path, truth: Path, tools: Path, mask_diameter: float) -> dict[str, Any]:
    """Run score.py and return its output."""
    command = [sys.executable, tools / "score.py", path, truth, "--mask-diameter", mask_diameter]
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    scores: dict[str, Any] = json.loads(done.stdout)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=sorted(SETS), default=list(SETS))
    options = parser.parse_args()
    facts = {}
    for name in options.only:
        facts[name] = make_set(options.folder / name, options.tools, SETS[name])
        write_facts(options.folder / name, facts[name])
    (options.folder / "READY").touch()
    for name in options.only:
        folder = options.folder / name
        limit = measure_limit(folder, options.tools, facts[name]["mask_diameter"])
        write_facts(folder, {**facts[name], "limit": limit})
        print(name, limit)


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    (folder / "set.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
