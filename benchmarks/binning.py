"""Benchmark of binning: models of the same particles with full and with half the sampling.

usage: binning.py OUTPUT.json FOLDER TRUTH.mrc MASK_DIAMETER MAX_RESOLUTION

Both runs stop at MAX_RESOLUTION, which must be coarser than Nyquist of the binned images. Each
map is aligned to the truth, and the first shells with an FSC below 0.5 are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d.comparison import compare_maps
from napari_ini3d.engine import reconstruct
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import StackReader, read_map, read_particles
from napari_ini3d.settings import InitialModelSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("max_resolution", type=float)
    options = parser.parse_args()
    particles, _ = read_particles(options.folder / "particles.star")
    truth = read_map(options.truth)
    settings = InitialModelSettings(
        mask_diameter=options.mask_diameter, max_resolution=options.max_resolution
    )
    rows: dict[str, Any] = {}
    maps = []
    for binning in (1, 2):
        source = StackReader(particles, pixel_size=truth.voxel_size * binning)
        started = time.perf_counter()
        *_, report = reconstruct(source, particles, settings)
        volume = resize_map(report.volumes[0], truth.data.shape[0])
        maps.append(volume)
        found = compare_maps(
            truth.data,
            volume,
            voxel_size=truth.voxel_size,
            mask_diameter=options.mask_diameter,
        )
        curve = np.asarray(found.fsc)
        rows[f"binned by {binning}"] = {
            "box_size": source.box_size,
            "wall_s": round(time.perf_counter() - started, 1),
            "first_shell_below_0.5": int(np.flatnonzero(curve[1:] < 0.5)[0]) + 1,
            "fsc": [round(float(value), 4) for value in curve],
        }
    shells = [row["first_shell_below_0.5"] for row in rows.values()]
    result = {
        "command": " ".join(["binning.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "shells_apart": abs(shells[0] - shells[1]),
        **rows,
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
