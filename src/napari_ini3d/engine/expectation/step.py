"""Expectation step: every image of the subset is compared with the references.

The subset is split into tiles; each is a pure function of the references (`expect_tile`), and
its sums are added in a fixed order.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from napari_ini3d._types import IntArray
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.expectation.priors import class_bias
from napari_ini3d.engine.expectation.tile import TileInput, expect_tile
from napari_ini3d.engine.images import split_into_tiles
from napari_ini3d.engine.memory import Workload, tile_images
from napari_ini3d.engine.references import ReferenceSet
from napari_ini3d.engine.schedule import Plan
from napari_ini3d.engine.state import EngineState
from napari_ini3d.engine.sums import Expectation, IterationSums, reduce_devices
from napari_ini3d.geometry import CHILDREN

_LEAST_TILES = 4  # for each of several GPUs


def expectation(
    run: RunContext,
    state: EngineState,
    plan: Plan,
    references: list[list[ReferenceSet]],
    subset: IntArray,
) -> Expectation:
    """Return the sums over a subset, for each model, and the time of the parts.

    Parameters
    ----------
    run : RunContext
    state : EngineState
    plan : Plan
    references : list of list of ReferenceSet
        Per device, per model.
    subset : (B,) int64
        Particles to visit.
    """
    devices = run.executor.backend.devices
    n_groups, n_shells = len(run.particles.optics), run.geometry.box_size // 2 + 1
    totals: list[list[IterationSums]] = []
    for backend, of_device in zip(devices, references, strict=True):
        with backend.device.enter():
            totals.append(
                [IterationSums(each.cubes, n_groups, n_shells, backend.xp) for each in of_device]
            )
    work = [partial(expect_tile, tile_input(run, state, plan, each)) for each in references]
    size = _tile_size(run, references, len(subset))
    tiles = split_into_tiles(subset, run.particles.optics_index, size)
    seconds: defaultdict[str, float] = defaultdict(float)  # over all threads
    for i, found in run.executor.map_tiles(work, run.source.batches(tiles)):
        with devices[i].device.enter():
            for total, tile_sums in zip(totals[i], found.per_model, strict=True):
                total.add(tile_sums)
        for name, value in found.seconds.items():
            seconds[name] += value
    parts = {name: value / run.executor.tiles_at_once for name, value in seconds.items()}
    return Expectation(reduce_devices(totals, devices), parts)


def tile_input(
    run: RunContext, state: EngineState, plan: Plan, references: list[ReferenceSet]
) -> TileInput:
    """Return what all tiles of one device share."""
    return TileInput(
        preparation=run.preparation.on(references[0].backend),
        references=references,
        assignments=state.assignments,
        sigma2=state.models[0].sigma2,  # the starts share the noise
        typical_power=state.typical_power,
        class_bias=class_bias(run, plan, references[0].n_classes),
    )


def _tile_size(run: RunContext, references: list[list[ReferenceSet]], subset_size: int) -> int:
    """Return the number of images of a tile that fits beside the references of every device."""
    if run.settings.tile_size is not None:
        return run.settings.tile_size
    size = min(_fitting_images(run, of_device[0]) for of_device in references)
    if len(references) > 1:
        # no GPU should wait for the last tile of another, or for its own first
        size = min(size, -(-subset_size // (_LEAST_TILES * len(references))))
    return size


def _fitting_images(run: RunContext, references: ReferenceSet) -> int:
    backend, fine = references.backend, references.fine
    load = Workload(
        box_size=run.geometry.box_size,
        n_components=len(references.disk),
        n_coarse=references.n_coarse,
        n_rows=len(references.slices),
        n_shifts=len(references.shifts),
        n_fine_shifts=0 if fine is None else len(fine.shifts),
        most_fine_rows=0 if fine is None else CHILDREN * references.pruning.max_rotations,
    )
    free, at_once = backend.device.free_bytes(), run.executor.tiles_at_once
    return tile_images(free, load, is_gpu=backend.is_gpu, workers=at_once)
