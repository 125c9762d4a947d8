"""Chunks of an iteration, and the protocol of what sums over them: this process, or a cluster.

A chunk is a run of tiles of one half-set. The tiles of a chunk are added in their order, then the
chunks in theirs, whoever computes them: threads, GPUs or the workers of a cluster. Neither tiles
nor chunks depend on their number, and so neither do the bits of the sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from napari_ini3d._types import IntArray
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import split_into_tiles
from napari_ini3d.engine.schedule import Plan
from napari_ini3d.engine.state import EngineState
from napari_ini3d.engine.sums import ChunkSums

MOST_CHUNKS = 128
"""About how many chunks an iteration has at most: their sums travel, and are added one by one."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Particles of one half-set, in tiles.

    Attributes
    ----------
    number : int
        From 0, in the order of addition.
    tiles : tuple of (B,) int64
        Particles, in the order of addition.
    """

    number: int
    tiles: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The sums of a chunk on the host or the first device, for each model; and seconds by part."""

    per_model: list[ChunkSums]
    seconds: Mapping[str, float]


class PreparedReferences(Protocol):
    """The references of an iteration, where they are compared with images."""

    @property
    def tile_images(self) -> int:
        """Images of a tile; of the references and the kind of device, not of their number."""

    def sum_over_chunks(self, chunks: Sequence[Chunk]) -> Iterator[ChunkResult]:
        """Yield the sums of each chunk, in order; none of a chunk without usable images."""


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
    for half in (0, 1):
        mine = [tile for tile in tiles if tile[0] % 2 == half]
        for low in range(0, len(mine), at_most):
            chunks.append(Chunk(len(chunks), tuple(mine[low : low + at_most])))
    return chunks
