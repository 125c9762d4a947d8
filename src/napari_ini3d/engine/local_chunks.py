"""Sums over chunks in this process: by the threads of a CPU, or by one or more GPUs."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.engine.chunks import Chunk, ChunkResult
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.expectation.priors import class_bias
from napari_ini3d.engine.expectation.tile import TileInput, TileResult, expect_tile
from napari_ini3d.engine.memory import TileLimit, Workload, tile_images, tile_limit
from napari_ini3d.engine.reference_set import Pruning, ReferenceSet
from napari_ini3d.engine.references import prepare_references
from napari_ini3d.engine.schedule import Plan
from napari_ini3d.engine.state import EngineState
from napari_ini3d.engine.sums import ChunkSums
from napari_ini3d.fourier import frequency_disk
from napari_ini3d.geometry import CHILDREN, rotations_of_unit, shift_grid
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageBatch

logger = logging.getLogger(__name__)

_LEAST_TILES = 4  # for each of several GPUs


class LocalChunks:
    """The `ChunkExecutor` of this process: its threads, or its GPUs.

    Parameters
    ----------
    memory_share : float
        Share of the free memory that this process may take, where others compute beside it.
    """

    def __init__(self, memory_share: float = 1.0) -> None:
        self._memory_share = memory_share
        self._warned: set[str] = set()

    @property
    def device(self) -> None:
        """None: the device of the settings."""
        return None

    def prepare_references(
        self, run: RunContext, state: EngineState, plan: Plan
    ) -> LocalReferences:
        """Return the references of an iteration, on every device of this process."""
        devices = run.executor.backend.devices
        references = prepare_references(run, state, plan)
        load, is_gpu = workload(run, state, plan), devices[0].is_gpu
        images = planned_tile_images(run, state, plan, is_gpu=is_gpu)
        if len(devices) > 1 and run.settings.tile_size is None:
            # no GPU should wait for the last tile of another, or for its own first
            images = min(images, -(-plan.subset_size // (_LEAST_TILES * len(devices))))
        return LocalReferences(
            run=run,
            references=references,
            work=[partial(expect_tile, tile_input(run, state, plan, each)) for each in references],
            tile_images=images,
            limits=[self._limit(run, load, images, one) for one in devices],
        )

    def _limit(self, run: RunContext, load: Workload, images: int, backend: Backend) -> TileLimit:
        at_once = run.executor.tiles_at_once
        if run.settings.tile_size is not None:  # as it was asked for, until memory is exhausted
            return TileLimit(at_once)
        free = backend.device.free_bytes() * self._memory_share
        limit = tile_limit(free, load, images, is_gpu=backend.is_gpu, at_once=at_once)
        if limit.images is not None and backend.name not in self._warned:
            self._warned.add(backend.name)  # once for a run
            logger.warning(
                "%s: the memory that is free has no room for %d images at once; continuing with "
                "%d, which may change the last bits of the result",
                backend.name,
                images,
                limit.images,
            )
        return limit


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReferences:
    """The `PreparedReferences` of this process.

    Attributes
    ----------
    run : RunContext
    references : list of list of ReferenceSet
        Per device, per model.
    work : sequence of callable
        Per device: from a batch to the sums of a tile.
    tile_images : int
    limits : sequence of TileLimit
        Per device.
    """

    run: RunContext
    references: list[list[ReferenceSet]]
    work: Sequence[Callable[[ImageBatch], TileResult]]
    tile_images: int
    limits: Sequence[TileLimit]

    def at_most(self, at_once: int) -> LocalReferences:
        """Return the same references, where at most so many tiles are computed at once."""
        limits = [TileLimit(min(at_once, limit.at_once), limit.images) for limit in self.limits]
        return replace(self, limits=limits)

    def sum_over_chunks(self, chunks: Sequence[Chunk]) -> Iterator[ChunkResult]:
        """Yield the sums of each chunk, in order, on the first device; GPUs take turns."""
        executor, devices = self.run.executor, self.run.executor.backend.devices
        places = _Places(chunks)
        batches = self.run.source.batches(_in_turns(chunks, len(devices)))
        found = executor.map_tiles(
            self.work,
            batches,
            device_of=lambda batch: places.of(batch.index) % len(devices),
            limits=self.limits,
        )
        begun: dict[int, _Sum] = {}  # one for each device
        for i, tile in found:
            place = places.of(tile.per_model[0].tile.index)
            if begun and place // len(devices) != next(iter(begun)) // len(devices):
                yield from self._finish(begun, chunks)
                begun = {}
            with devices[i].device.enter():
                if place in begun:
                    begun[place].add(tile)
                else:
                    begun[place] = _Sum(tile, devices[i])
        yield from self._finish(begun, chunks)

    def _finish(self, begun: dict[int, _Sum], chunks: Sequence[Chunk]) -> Iterator[ChunkResult]:
        """Yield the sums of the chunks that the devices computed side by side, in order."""
        first, *others = self.run.executor.backend.devices
        threads = self.run.executor.tiles_at_once
        for place in sorted(begun):
            found = begun[place]
            if others:
                found.move(first)
            seconds = {name: value / threads for name, value in found.seconds.items()}
            yield ChunkResult(chunks[place].group, found.per_model, seconds)


class _Sum:
    """Sums of a chunk for each model, on the device that computes it."""

    def __init__(self, first: TileResult, backend: Backend) -> None:
        self.per_model = [ChunkSums(sums) for sums in first.per_model]
        self.seconds = defaultdict(float, first.seconds)
        self._backend = backend

    def add(self, tile: TileResult) -> None:
        for total, sums in zip(self.per_model, tile.per_model, strict=True):
            total.add(sums)
        for name, value in tile.seconds.items():
            self.seconds[name] += value

    def move(self, target: Backend) -> None:
        """Move the sums to another device, and the poses to the host."""
        for sums in self.per_model:
            with self._backend.device.enter():
                sums.move_to_host(self._backend)
            with target.device.enter():
                sums.move_to_device(target)


class _Places:
    """Finds the place of a chunk in a sequence by the particles of a batch.

    A source may exclude images and split batches, so that results are not one per tile.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._first = min(int(tile.min()) for chunk in chunks for tile in chunk.tiles)
        last = max(int(tile.max()) for chunk in chunks for tile in chunk.tiles)
        self._places = np.empty(last - self._first + 1, np.int32)
        for place, chunk in enumerate(chunks):
            for tile in chunk.tiles:
                self._places[tile - self._first] = place

    def of(self, index: IntArray) -> int:
        return int(self._places[index[0] - self._first])


def _in_turns(chunks: Sequence[Chunk], n_devices: int) -> Iterator[IntArray]:
    """Yield the tiles of as many chunks as there are devices in turns, then of the next."""
    for low in range(0, len(chunks), n_devices):
        of_devices: Iterable[tuple[IntArray | None, ...]]
        of_devices = zip_longest(*(chunk.tiles for chunk in chunks[low : low + n_devices]))
        for tiles in of_devices:
            yield from (tile for tile in tiles if tile is not None)


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


def planned_tile_images(run: RunContext, state: EngineState, plan: Plan, *, is_gpu: bool) -> int:
    """Return the images of a tile of an iteration: the same in every process that computes it.

    Parameters
    ----------
    run : RunContext
    state : EngineState
    plan : Plan
    is_gpu : bool
        Whether the tiles are computed on GPUs.
    """
    return run.settings.tile_size or tile_images(workload(run, state, plan), is_gpu=is_gpu)


def workload(run: RunContext, state: EngineState, plan: Plan) -> Workload:
    """Return the sizes of an iteration, of which the memory of a tile is made."""
    box_size, pixel_size = run.geometry.box_size, run.geometry.pixel_size
    disk = frequency_disk(box_size, plan.radius)
    finest = plan.finest_offset_step / pixel_size
    group = run.imposed_group(state.models[0], plan.phase)
    return Workload(
        box_size=box_size,
        n_components=len(disk),
        n_coarse=disk.size_within(plan.coarse_radius),
        n_rows=len(state.models[0].maps) * rotations_of_unit(plan.order, group),
        n_shifts=len(shift_grid(plan.offset_range / pixel_size, plan.offset_step / pixel_size)),
        n_fine_shifts=len(shift_grid(2 * finest, finest)) if plan.two_pass else 0,
        most_fine_rows=CHILDREN * Pruning().max_rotations if plan.two_pass else 0,
    )
