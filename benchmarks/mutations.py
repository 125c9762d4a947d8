"""Mutated files: bytes of a file of every reader changed, removed, repeated and truncated.

Used by `benchmarks/faults.py`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from napari_ini3d.engine import EngineState, HalfSetMaps
from napari_ini3d.io import (
    ImageStack,
    convert_to_cryosparc,
    read_map,
    read_particles,
    read_stack_header,
    write_map,
)
from napari_ini3d.runs import (
    RunFolder,
    SymmetryFiles,
    ValidationFiles,
    history_iterations,
    read_history,
    read_image_checksums,
    read_owner,
    read_summaries,
    run_files,
    write_history,
)

Case = tuple[str, Path, Callable[[], object]]
"""What a file is, where it is, and how it is read."""


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Return a file with bytes changed, removed, repeated or truncated."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if not changed:
            break
        place = chance.randrange(len(changed))
        kind = chance.randrange(5)
        if kind == 0:
            changed[place] = chance.randrange(256)
        elif kind == 1:
            del changed[place : place + chance.randrange(1, 40)]
        elif kind == 2:
            changed[place:place] = changed[place : place + chance.randrange(1, 40)]
        elif kind == 3:
            del changed[place:]
        else:
            changed[place : place + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"nan ", b"-1e9"))
    return bytes(changed)


def cases(star: Path, run_path: Path) -> Iterator[Case]:
    """Yield a file of each reader: of the particles in `star`, and of a finished run.

    Parameters
    ----------
    star : Path
    run_path : Path
        Its files are restored when they have been mutated.
    """
    yield from _inputs(star)
    run = RunFolder.open(run_path)
    particles, _ = read_particles(star)
    last = run.written_iterations()[-1]
    symmetry, validation = SymmetryFiles(run), ValidationFiles(run)
    symmetry.write_facts({"requested": "auto", "group": "D2", "verdict": "D2 holds", "holds": True})
    yield "settings.json", run.settings_path, run.read_record
    yield "progress.jsonl", run.progress_path, lambda: read_summaries(run)
    yield "outputs.txt", run.path / "outputs.txt", lambda: run_files(run)
    yield "symmetry.json", symmetry.facts_path, symmetry.read_facts
    yield "validation.json", validation.facts_path, validation.read_facts
    picture = run.pictures_path / f"it{last:03d}.npz"
    yield "pictures (npz)", picture, lambda: run.read_pictures(last)
    path = run.path / "images.npz"
    yield "checksums of images (npz)", path, lambda: read_image_checksums(run, len(particles))
    state = run.iteration_path(last, "state.npz")
    model = EngineState.from_arrays(run.read_checkpoint(last)[1]).models[0]
    yield (
        "checkpoint (npz)",
        state,
        lambda: run.read_checkpoint(last, accept=EngineState.from_arrays),
    )
    halves = HalfSetMaps(np.stack([model.maps, model.maps]), 3)
    validation.write_half_sets(halves, model.maps)
    yield (
        "half-sets (npz)",
        validation.half_sets_path,
        lambda: validation.read_half_sets(model.maps),
    )
    write_history(run, last, model.maps, 5.0)
    path = next((run.path / "history").glob(f"*{last:03d}*"))
    yield "history", path, lambda: (history_iterations(run), read_history(run, last, 0))
    lock = run.path / "run.lock"
    owner = {"host": "h", "machine": "m", "pid": 1, "started": 1.0, "since": "s", "token": "t"}
    lock.write_text(json.dumps(owner), encoding="utf-8")
    yield "run.lock", lock, lambda: read_owner(run.path)


def _inputs(star: Path) -> Iterator[Case]:
    """Yield files that users give."""
    yield "particles.star", star, lambda: read_particles(star)
    dataset = star.with_suffix(".cs")
    convert_to_cryosparc(star, dataset)
    yield "particles.cs", dataset, lambda: read_particles(dataset)
    tiny = star.with_name("tiny.mrc")
    write_map(tiny, np.random.default_rng(1).normal(size=(16, 16, 16)), 2.0)
    yield "map (MRC)", tiny, lambda: read_map(tiny)
    stack = star.with_name("particles.mrcs").read_bytes()
    header = np.frombuffer(stack[:1024], "<i4").copy()
    side = int(header[0])
    header[2] = header[9] = 2  # images
    head = star.with_name("head.mrcs")
    head.write_bytes(header.tobytes() + stack[1024 : 1024 + 2 * side * side * 4])
    yield "stack (MRC)", head, lambda: _read_images(head)


def _read_images(path: Path) -> None:
    """Read the header and the images of a stack."""
    header = read_stack_header(path)
    stack = ImageStack(path, header)
    try:
        numbers = np.arange(header.n_images)
        stack.read(numbers, np.empty((len(numbers), header.ny, header.nx), np.float32))
    finally:
        stack.close()
