"""Bits, kills and overhead of a cluster of Dask on this machine.

usage: cluster.py OUTPUT.json FOLDER MASK_DIAMETER [--iterations 12] [--kills 20] [--seed 1]

Runs on the particles in FOLDER with one thread, with two, with two processes, and with two
processes of which one is killed (SIGKILL) after random chunks. Prints the hash of the last state of
each, which has to be the same; the seconds of the expectation and of whole iterations; the
processor seconds of all processes; and how many kills the run survived.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_ini3d.cluster import DaskChunks, StackRecipe, connect, parse_spec
from napari_ini3d.engine import Chunk, ChunkResult, EngineState, LocalChunks, reconstruct
from napari_ini3d.io import StackReader, read_particles
from napari_ini3d.particles import Particles
from napari_ini3d.settings import InitialModelSettings


class Killing:
    """A `ChunkExecutor` that kills a worker after some of the chunks, chosen at random."""

    device = "cpu"

    def __init__(self, chunks: DaskChunks, client: Any, kills: int, seed: int, every: int) -> None:
        self._chunks, self._client = chunks, client
        self._rng = np.random.default_rng(seed)
        self._left, self._every = kills, every
        self.killed = 0

    def prepare_references(self, *given: Any) -> Killing:
        self._references = self._chunks.prepare_references(*given)
        self.tile_images = self._references.tile_images
        return self

    def sum_over_chunks(self, chunks: Sequence[Chunk]) -> Iterator[ChunkResult]:
        for found in self._references.sum_over_chunks(chunks):
            if self.killed < self._left and self._rng.random() < 1 / self._every:
                self._kill()
            yield found

    def _kill(self) -> None:
        pids = sorted(self._client.run(os.getpid, on_error="ignore").values())
        os.kill(int(self._rng.choice(pids)), signal.SIGKILL)
        self.killed += 1


def hash_state(state: EngineState) -> str:
    found = hashlib.sha256()
    for name, values in sorted(state.to_arrays().items()):
        found.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def processor_seconds() -> float:
    """Return what this process and its children have used."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def measure(
    source: StackReader, particles: Particles, settings: InitialModelSettings, chunks: Any
) -> dict[str, Any]:
    """Return the hash of a run, and the seconds of its second half, when all is compiled."""
    expectation, total, used, phases = [], [], [], []
    before = processor_seconds()
    for report in reconstruct(source, particles, settings, chunks=chunks):
        now = processor_seconds()
        expectation.append(report.seconds["expectation"])
        total.append(report.seconds["total"])
        used.append(now - before)
        phases.append(report.phase)
        before = now
        print(f"  {report.iteration:3d} {report.phase:7s} {total[-1]:8.2f} s", flush=True)
    late = slice(len(total) // 2, None)
    return {
        "state_sha256": hash_state(report.state),
        "expectation_seconds": round(sum(expectation[late]), 2),
        "iteration_seconds": round(sum(total[late]), 2),
        "processor_seconds": round(sum(used[late]), 2),
        "iterations_measured": len(total[late]),
        "seconds": [[phase, round(value, 2)] for phase, value in zip(phases, total, strict=True)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mask_diameter", type=float)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=int, default=12, help="chunks between kills, on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    particles, _ = read_particles(options.folder / "particles.star")
    source = StackReader(particles)
    settings = InitialModelSettings(
        mask_diameter=options.mask_diameter,
        iterations=options.iterations,
        starts=2,
        threads=2,
        device="cpu",
    )
    recipe = StackRecipe(
        particles=particles, box_size=source.box_size, pixel_size=source.pixel_size
    ).absolute
    runs: dict[str, Any] = {}
    for name, threads in (("1 thread", 1), ("2 threads", 2)):
        print(name)
        chosen = settings.with_changes(threads=threads)
        runs[name] = measure(source, particles, chosen, LocalChunks())
    with connect(parse_spec("local:2"), 2) as client, closing(DaskChunks(client, recipe)) as chunks:
        print("local:2")
        runs["local:2"] = measure(source, particles, settings, chunks)
        if options.kills:
            print("local:2, killed")
            killing = Killing(chunks, client, options.kills, options.seed, options.every)
            runs["local:2, killed"] = measure(source, particles, settings, killing)
            del runs["local:2, killed"]["processor_seconds"]  # not of processes that are gone
            runs["local:2, killed"]["kills"] = killing.killed
    hashes = {run["state_sha256"] for run in runs.values()}
    result = {
        "command": " ".join(["cluster.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_at_the_end": [round(load, 1) for load in os.getloadavg()],
        "particles": len(particles),
        "box_size": source.box_size,
        "same_bits": len(hashes) == 1,
        "runs": runs,
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    sys.exit(0 if result["same_bits"] else 1)


if __name__ == "__main__":
    main()
