"""Time and memory of reading and writing a generated STAR file of a million particles.

    python benchmarks/star_reading.py [--particles 1000000] [--output FILE]

writes benchmarks/results/star_reading.json, or FILE.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_ini3d.io import read_particles, write_data_star
from napari_ini3d.particles import Assignments

RESULTS = Path(__file__).parent / "results" / "star_reading.json"
PER_MICROGRAPH = 300
OPTICS = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
1 opticsGroup1 300.0 2.7 0.1 1.1 64 2

data_particles

loop_
"""
COLUMNS = [
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnImageName",
    "rlnMicrographName",
    "rlnOpticsGroup",
    "rlnCtfMaxResolution",
    "rlnCtfFigureOfMerit",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnPhaseShift",
    "rlnClassNumber",
]
ROW = (
    "%12.6f %12.6f %06d@Extract/job012/mic%05d.mrcs MotionCorr/job002/mic%05d.mrc 1 "
    "%12.6f %12.6f %12.6f %12.6f %12.6f 0.000000 %d\n"
)


def generate(folder: Path, n_particles: int) -> Path:
    """Write the STAR file, and empty stacks for its names to be found."""
    values = np.random.default_rng(0).uniform(5000, 30000, (n_particles, 7)).round(2)
    stacks = folder / "Extract" / "job012"
    stacks.mkdir(parents=True)
    for micrograph in range((n_particles - 1) // PER_MICROGRAPH + 1):
        (stacks / f"mic{micrograph:05d}.mrcs").touch()
    path = folder / "particles.star"
    with open(path, "w", encoding="utf-8") as file:
        file.write(OPTICS + "".join(f"_{name} #{i}\n" for i, name in enumerate(COLUMNS, 1)))
        for i, v in enumerate(values.tolist()):
            micrograph, number = divmod(i, PER_MICROGRAPH)
            names = (number + 1, micrograph, micrograph)
            file.write(ROW % (*v[:2], *names, *v[2:], i % 50 + 1))
    return path


def random_assignments(n_particles: int) -> Assignments:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(9, n_particles)).astype(np.float32)
    return Assignments(
        class_index=np.zeros(n_particles, np.int32),
        rot=values[0],
        tilt=values[1],
        psi=values[2],
        origin_x=values[3],
        origin_y=values[4],
        max_probability=values[5],
        n_significant=np.ones(n_particles, np.int32),
        log_likelihood=values[6],
        junk_probability=values[7],
        scale=values[8],
    )


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(n_particles: int) -> dict[str, float | int | str]:
    with tempfile.TemporaryDirectory() as name:
        maker = multiprocessing.get_context("spawn").Process(
            target=generate, args=(Path(name), n_particles)
        )  # in its own process, whose memory does not count
        maker.start()
        maker.join()
        path = Path(name) / "particles.star"
        size = path.stat().st_size
        before, start, cpu = peak_megabytes(), time.perf_counter(), time.process_time()
        particles, table = read_particles(path)
        read_seconds, after = time.perf_counter() - start, peak_megabytes()
        read_cpu_seconds = time.process_time() - cpu
        found = random_assignments(n_particles)
        start, cpu = time.perf_counter(), time.process_time()
        write_data_star(Path(name) / "data.star", table, particles, found, class_count=1)
        write_seconds, write_cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return {
        "command": f"python benchmarks/star_reading.py --particles {n_particles}",
        "particles": n_particles,
        "columns": len(COLUMNS),
        "file_megabytes": round(size / 1e6, 1),
        "read_seconds": round(read_seconds, 2),
        "read_cpu_seconds": round(read_cpu_seconds, 2),
        "write_cpu_seconds": round(write_cpu_seconds, 2),
        "write_seconds": round(write_seconds, 2),
        "peak_megabytes_before": round(before),
        "peak_megabytes_after_reading": round(after),
        "peak_megabytes_after_writing": round(peak_megabytes()),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_average": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    figures = measure(options.particles)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
