"""Benchmark of a million particles of 256 pixels: start, memory, time per iteration, reading.

usage: large.py OUTPUT.json FOLDER [--particles 1000000] [--fewer 100000] [--threads 2]

FOLDER must have room for the stacks (10 GB, removed at the end). A million images would take
262 GB, so many rows of the STAR file name the same 38,400 images in 64 stacks. The kernel is asked
to drop the stacks from the page cache before each way of reading. The ways are compared with
`--fewer` particles, which fit into memory for `preread`. A slow disk is simulated: each read waits
as on a network of 110 MB/s with a latency of 0.5 ms. A GPU is simulated too: for each 64 images
the main thread sleeps 100 ms and leaves the CPU free.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.engine import IterationReport, reconstruct
from napari_ini3d.io import StackReader, read_particles, reading_threads
from napari_ini3d.io.images import scratch
from napari_ini3d.io.mrc import stack as stack_module
from napari_ini3d.jobs import run as run_module
from napari_ini3d.particles import ImageBatch
from napari_ini3d.preflight import choose_working_grid, particle_grid
from napari_ini3d.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

BOX_SIZE, PIXEL_SIZE, MASK_DIAMETER = 256, 1.2, 180.0
IN_STACK, STACKS = 600, 64
MOST_BYTES = 20e9
ITERATIONS = 4  # two of the starts, two of the search
SLOW_RATE, SLOW_LATENCY = 110e6, 0.5e-3
GPU_IMAGES, GPU_TILE, GPU_SECONDS = 4800, 64, 100e-3
GIB = 2**30


def make_stacks(folder: Path) -> Path:
    """Write the stacks and a STAR file that names each image once; return its path."""
    needed = STACKS * IN_STACK * 4 * BOX_SIZE**2
    free = shutil.disk_usage(folder.parent).free
    if needed > min(free, MOST_BYTES):
        raise SystemExit(f"{folder}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free")
    phantom = make_phantom(diameter=150.0)
    settings = SimulationSettings(
        number=IN_STACK, box_size=BOX_SIZE, pixel_size=PIXEL_SIZE, snr=0.02
    )
    star = write_dataset(folder, simulate_particles(phantom, settings), phantom)
    for number in range(STACKS):
        shutil.copyfile(folder / "particles.mrcs", folder / f"stack{number:02d}.mrcs")
    (folder / "particles.mrcs").unlink()
    os.sync()
    return star


def write_rows(source: Path, target: Path, count: int) -> None:
    """Write a STAR file with `count` rows that name the images repeatedly, stack by stack."""
    lines = source.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if "@" in line)
    rest = [line.split("@particles.mrcs", 1)[1] for line in lines[first : first + IN_STACK]]
    per_stack = -(-count // STACKS)
    with target.open("w") as file:
        file.writelines(lines[:first])
        for row in range(count):
            stack, place = divmod(row, per_stack)
            image = place % IN_STACK
            file.write(f"{image + 1:06d}@stack{stack:02d}.mrcs{rest[image]}")


def forget_files(folder: Path) -> None:
    """Ask the kernel to drop the stacks from the page cache."""
    for path in folder.rglob("*.mrcs"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


class ReadingTimer:
    """Sums the time the engine waits for images, and the time reading them takes."""

    def __init__(self) -> None:
        self.waited, self.read, self.images = 0.0, 0.0, 0
        self._lock = threading.Lock()
        batches, read = StackReader.batches, StackReader.read

        def watched_batches(reader: StackReader, indices: Any) -> Iterator[ImageBatch]:
            source = batches(reader, indices)
            while True:
                started = time.perf_counter()
                batch = next(source, None)
                self.waited += time.perf_counter() - started
                if batch is None:
                    return
                yield batch

        def watched_read(reader: StackReader, index: IntArray) -> ImageBatch:
            started = time.perf_counter()
            batch = read(reader, index)
            with self._lock:
                self.read += time.perf_counter() - started
                self.images += len(index)
            return batch

        StackReader.batches = watched_batches  # type: ignore[method-assign]
        StackReader.read = watched_read  # type: ignore[method-assign]

    def take(self) -> dict[str, float]:
        """Return the sums, and reset them."""
        values = {"waited_s": self.waited, "reading_s": self.read, "images_read": self.images}
        self.waited, self.read, self.images = 0.0, 0.0, 0
        return {name: round(value, 3) for name, value in values.items()}


def follow(reports: Iterator[IterationReport], timer: ReadingTimer) -> list[dict[str, Any]]:
    """Do the iterations; return the time of each, files included."""
    rows = []
    started = time.perf_counter()
    for report in reports:
        took = time.perf_counter() - started
        rows.append(
            {
                "phase": report.phase,
                "subset_size": report.subset_size,
                "seconds": round(took, 2),
                "stages": {name: round(value, 3) for name, value in report.seconds.items()},
                **timer.take(),
            }
        )
        if report.iteration == ITERATIONS:
            break
        started = time.perf_counter()
    for row in rows:
        row["share_waited"] = round(row["waited_s"] / row["seconds"], 3)
    return rows


def settings_of(threads: int, **changes: Any) -> InitialModelSettings:
    return InitialModelSettings(
        mask_diameter=MASK_DIAMETER, iterations=6, starts=1, threads=threads, **changes
    )


def peak_gib() -> float:
    """Return the peak resident memory of this process in GiB; getrusage counts its parent too."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) * 1024 / GIB, 2)


def whole_run(star: Path, folder: Path, threads: int) -> dict[str, Any]:
    """Do the first iterations of a run as `ini3d run` does."""
    timer = ReadingTimer()
    started = time.perf_counter()
    read_particles(star)
    star_seconds = time.perf_counter() - started
    after_star = peak_gib()
    started = time.perf_counter()

    def stop() -> bool:
        return len(RunFolder(folder).read_progress()) >= ITERATIONS if folder.is_dir() else False

    reports = run_module.start_run(star, folder, settings_of(threads), stop=stop)
    checked = time.perf_counter() - started
    checking = timer.take()
    return {
        "star_file_s": round(star_seconds, 1),
        "peak_rss_after_star_file_gib": after_star,
        "start_up_s": round(checked, 1),
        "checking_images": checking,
        "iterations": follow(reports, timer),
        "peak_rss_gib": peak_gib(),
    }


def slow_disk(fast_folder: str) -> None:
    """Make reading slow, except from the folder that stands for a local disk."""
    read_at = stack_module.ImageStack._read_at

    def slow(stack: stack_module.ImageStack, buffer: memoryview, place: int) -> int:
        count = read_at(stack, buffer, place)
        if fast_folder not in str(stack._path):
            time.sleep(SLOW_LATENCY + count / SLOW_RATE)
        return count

    stack_module.ImageStack._read_at = slow  # type: ignore[method-assign]


def slow_copy(source: Path, target: Path) -> None:
    """Copy a file as slowly as from the slow disk."""
    started = time.perf_counter()
    shutil.copyfile(source, target)
    shutil.copystat(source, target)
    took = time.perf_counter() - started
    time.sleep(max(0.0, source.stat().st_size / SLOW_RATE - took))


def one_way(star: Path, threads: int, way: str, local: Path) -> dict[str, Any]:
    """Do a few iterations with one way of reading."""
    if "slow disk" in way:
        slow_disk(str(local))
        scratch.shutil.copy2 = slow_copy  # type: ignore[assignment]
    if "without prefetch" in way:
        StackReader.batches = _batches_in_turn  # type: ignore[method-assign]
    timer = ReadingTimer()
    particles, _ = read_particles(star)
    settings = settings_of(threads)
    grid = choose_working_grid(particle_grid(particles), settings)
    started = time.perf_counter()
    reader = StackReader(
        particles,
        pixel_size=grid.pixel_size,
        preread="preread" in way,
        scratch=local if "scratch" in way else None,
        threads=reading_threads(threads, shared=False),
    )
    opened = time.perf_counter() - started
    timer.take()
    if "simulated GPU" in way:
        return {"opening_s": round(opened, 1)} | simulate_gpu(reader, len(particles), timer)
    rows = follow(reconstruct(reader, particles, settings), timer)
    return {
        "working_box": str(grid),
        "opening_s": round(opened, 1),
        "iterations": rows,
        "peak_rss_gib": peak_gib(),
    }


def simulate_gpu(reader: StackReader, n_particles: int, timer: ReadingTimer) -> dict[str, Any]:
    """Read scattered images in tiles, and sleep for each as long as a GPU would compute."""
    chosen = np.sort(np.random.default_rng(0).permutation(n_particles)[:GPU_IMAGES])
    tiles = np.array_split(chosen, GPU_IMAGES // GPU_TILE)
    started = time.perf_counter()
    for _ in reader.batches(tiles):
        time.sleep(GPU_SECONDS)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "computing_s": round(GPU_SECONDS * len(tiles), 2),
        **timer.take(),
        "peak_rss_gib": peak_gib(),
    }


def _batches_in_turn(reader: StackReader, indices: Any) -> Iterator[ImageBatch]:
    """Read each batch when it is requested."""
    for index in indices:
        yield reader.read(index)


WAYS = (
    "local disk",
    "local disk, without prefetch",
    "local disk, preread",
    "local disk, scratch on the same disk",
    "simulated GPU, local disk",
    "simulated GPU, local disk, without prefetch",
    "simulated GPU, local disk, preread",
    "simulated GPU, slow disk",
    "simulated GPU, slow disk, without prefetch",
    "simulated GPU, slow disk, scratch",
    "slow disk",
    "slow disk, without prefetch",
    "slow disk, preread",
    "slow disk, scratch",
)


def in_own_process(call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--particles", type=int, default=1_000_000)
    parser.add_argument("--fewer", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    options = parser.parse_args()
    data = options.folder / "large_data"
    result: dict[str, Any] = {
        "command": f"large.py OUTPUT FOLDER --particles {options.particles} --fewer "
        f"{options.fewer} --threads {options.threads}",
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "box_size": BOX_SIZE,
        "pixel_size": PIXEL_SIZE,
        "images_on_disk": STACKS * IN_STACK,
        "ways": {},
    }
    try:
        source = make_stacks(data)
        if options.particles:
            star = data / "many.star"
            write_rows(source, star, options.particles)
            forget_files(data)
            result["load_before"] = os.getloadavg()
            result["whole"] = {"particles": options.particles} | in_own_process(
                whole_run, star, data / "run", options.threads
            )
            options.output.write_text(json.dumps(result, indent=1) + "\n")
        star = data / "fewer.star"
        write_rows(source, star, options.fewer)
        for way in options.ways:
            forget_files(data)
            local = data / "scratch"
            found = in_own_process(one_way, star, options.threads, way, local)
            result["ways"][way] = {"particles": options.fewer} | found
            shutil.rmtree(local, ignore_errors=True)
            options.output.write_text(json.dumps(result, indent=1) + "\n")
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
