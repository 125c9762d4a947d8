"""Chunks of an iteration, and the protocol of what sums over them: this process, or a cluster.

A chunk is a run of tiles of one half-set, a group a run of chunks. The tiles of a chunk are added
in their order, then the chunks of a group in theirs, then the groups, whoever computes them:
threads, GPUs or the workers of a cluster. Neither tiles nor chunks nor groups depend on their
number, and so neither do the bits of the sums. A worker that computes a whole group sends one sum
instead of many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from napari_ini3d._types import IntArray
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import split_into_tiles
from napari_ini3d.engine.schedule import Plan
from napari_ini3d.engine.state import EngineState
from napari_ini3d.engine.sums import ChunkSums
from napari_ini3d.kernels import Backend

MOST_CHUNKS = 128
"""About how many chunks an iteration has at most: their sums travel, and are added one by one."""

CHUNKS_OF_GROUP = 8
"""At most: so an iteration has about 16 groups or fewer."""

_LEAST_GROUPS = 4  # for each worker that adds groups, so that none waits long for the last one


@dataclass(frozen=True, slots=True)
class Chunk:
    """Particles of one half-set, in tiles.

    Attributes
    ----------
    number : int
        From 0, in the order of addition.
    group : int
        From 0, in the order of addition; its chunks are of one half-set.
    tiles : tuple of (B,) int64
        Particles, in the order of addition.
    """

    number: int
    group: int
    tiles: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The sums of a chunk on the host or the first device, for each model; and seconds by part.

    Those of several chunks, once they have been added; all are of one group.
    """

    group: int
    per_model: list[ChunkSums]
    seconds: Mapping[str, float]


class PreparedReferences(Protocol):
    """The references of an iteration, where they are compared with images."""

    @property
    def tile_images(self) -> int:
        """Images of a tile; of the references and the kind of device, not of their number."""

    def sum_over_chunks(self, chunks: Sequence[Chunk]) -> Iterator[ChunkResult]:
        """Yield the sums of each chunk, in order; none of a chunk without usable images.

        Instead of those of its chunks, the sums of a whole group may come.
        """


class ChunkExecutor(Protocol):
    """Sums over chunks: by threads, by GPUs, or by the workers of a cluster."""

    @property
    def device(self) -> str | None:
        """Device of all other work; None for that of the settings, which has the sums too."""

    def prepare_references(
        self, run: RunContext, state: EngineState, plan: Plan
    ) -> PreparedReferences:
        """Return the references of an iteration."""


def split_into_chunks(subset: IntArray, optics_index: IntArray, tile_size: int) -> list[Chunk]:
    """Return the subset in chunks of about equally many tiles.

    Parameters
    ----------
    subset : (B,) int64
        Particles.
    optics_index : (N,) int32
        Optics group of all particles.
    tile_size : int
        Images of a tile, at most.
    """
    tiles = split_into_tiles(subset, optics_index, tile_size)
    at_most = -(-len(tiles) // MOST_CHUNKS)  # tiles of a chunk
    chunks: list[Chunk] = []
    group = -1
    for half in (0, 1):
        mine = [tile for tile in tiles if tile[0] % 2 == half]
        for place, low in enumerate(range(0, len(mine), at_most)):
            group += place % CHUNKS_OF_GROUP == 0
            chunks.append(Chunk(len(chunks), group, tuple(mine[low : low + at_most])))
    return chunks


def split_into_groups(chunks: Sequence[Chunk]) -> list[tuple[Chunk, ...]]:
    """Return chunks as tuples of those of one group, in order."""
    return [tuple(of_group) for _, of_group in groupby(chunks, key=lambda chunk: chunk.group)]


def enough_groups(n_groups: int, n_workers: int) -> bool:
    """Return whether an iteration has enough groups for workers to compute, and add, whole ones."""
    return n_groups >= _LEAST_GROUPS * n_workers


class GroupSums:
    """Adds the sums of chunks, which come in order, to those of their groups.

    Parameters
    ----------
    backend : Backend
        Whose device has the sums.

    Attributes
    ----------
    current : ChunkResult or None
        Of the group of the last chunk. Its arrays are those of the first chunk of the group.
    """

    def __init__(self, backend: Backend) -> None:
        self.current: ChunkResult | None = None
        self._backend = backend

    def add(self, found: ChunkResult) -> ChunkResult | None:
        """Add the sums of a chunk, or of a whole group; return a group that has ended."""
        before = self.current
        if before is None or before.group != found.group:
            self.current = found
            return before
        with self._backend.device.enter():
            for total, sums in zip(before.per_model, found.per_model, strict=True):
                total.add_chunk(sums)
        seconds = defaultdict(float, before.seconds)
        for name, value in found.seconds.items():
            seconds[name] += value
        self.current = ChunkResult(before.group, before.per_model, seconds)
        return None
