"""How much is held at once: tiles, rows and tables by the memory that is free."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from napari_ini3d.errors import DeviceError
from napari_ini3d.particles import ImageBatch

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_CPU_SCORE_BYTES = 64e6  # of the scores of one tile; more does not make products faster
_CPU_IMAGES = 4, 64  # in a tile
_CPU_TABLE_BYTES = 600e6  # more takes longer to fill than it saves
_CPU_ROWS, _GPU_ROWS = 1024, 65536
_GPU_IMAGES = 1024  # beyond it a card is busy anyway
_TILE_SHARE, _TABLE_SHARE, _ROW_SHARE = 0.4, 0.25, 0.1  # of the free memory
_REAL_COPIES = 12  # float32 images of a box: slots, normalised, moved, masked, transformed
_DISK_COPIES = 8  # complex images on the disk
_ROW_COPIES = 5  # complex rows of the fine pass


@dataclass(frozen=True, slots=True)
class Workload:
    """What a tile's memory depends on.

    Attributes
    ----------
    box_size : int
    n_components, n_coarse : int
        Of an image, in the fine and the coarse pass.
    n_rows : int
        Rotations times classes of the coarse pass.
    n_shifts, n_fine_shifts : int
    most_fine_rows : int
        Fine rotations of an image, at most; 0 without a fine pass.
    """

    box_size: int
    n_components: int
    n_coarse: int
    n_rows: int
    n_shifts: int
    n_fine_shifts: int
    most_fine_rows: int

    @property
    def bytes_per_image(self) -> int:
        """Bytes that a tile takes for each of its images."""
        scores = 4 * self.n_rows * (self.n_shifts + 4)  # norm, marginals, candidates beside them
        coarse = 8 * self.n_shifts * self.n_coarse
        fine = 12 * self.most_fine_rows * self.n_fine_shifts
        images = 4 * _REAL_COPIES * self.box_size**2 + 8 * _DISK_COPIES * self.n_components
        return scores + coarse + fine + images


def tile_images(free_bytes: int, load: Workload, *, is_gpu: bool, workers: int = 1) -> int:
    """Return how many images a tile may hold.

    On a CPU as many as have their scores in 64 MB, on a GPU as many as fit, rounded down to a
    power of two; neither takes more than its share of the free memory.

    Parameters
    ----------
    free_bytes : int
    load : Workload
    is_gpu : bool
    workers : int
        Tiles computed at the same time in this memory.
    """
    fitting = _TILE_SHARE * free_bytes / workers / load.bytes_per_image
    if is_gpu:
        return _power_of_two(np.clip(fitting, 1, _GPU_IMAGES))
    wanted = np.clip(_CPU_SCORE_BYTES / (4 * load.n_shifts * load.n_rows), *_CPU_IMAGES)
    return max(1, int(min(wanted, fitting)))


def table_bytes(free_bytes: int, *, is_gpu: bool, tables: int = 1) -> float:
    """Return the bytes that each of some tables of all fine slices may take."""
    share = _TABLE_SHARE * free_bytes / tables
    return share if is_gpu else min(share, _CPU_TABLE_BYTES)


def chunk_rows(free_bytes: int, n_components: int, *, is_gpu: bool) -> int:
    """Return how many rows of image-times-slice products the fine pass may hold at once."""
    if not is_gpu:
        return _CPU_ROWS
    fitting = _ROW_SHARE * free_bytes / (8 * _ROW_COPIES * n_components)
    return _power_of_two(np.clip(fitting, _CPU_ROWS, _GPU_ROWS))


def _power_of_two(most: float) -> int:
    """Return the largest power of two that is not above `most`, at least 1.

    So that the free memory of a card, which is never quite the same, seldom changes what is
    computed together, and with it the order in which floats are added.
    """
    return int(2 ** math.floor(math.log2(most)))


class SplitOnMemoryError:
    """Computes tiles in parts where memory does not suffice, and remembers what did.

    Parameters
    ----------
    release : callable
        Gives back memory that is kept for arrays to come.
    where : str
        The device, for messages.
    """

    def __init__(self, release: Callable[[], None], where: str) -> None:
        self._release = release
        self._where = where
        self._most: int | None = None

    def compute(self, work: Callable[[ImageBatch], Result], batch: ImageBatch) -> list[Result]:
        """Return the results of the parts of a batch, in order: one where it fits whole.

        Raises
        ------
        DeviceError
            If not even one image fits.
        """
        size = len(batch.index)
        if self._most is not None and size > self._most:
            return self._halves(work, batch)
        try:
            return [work(batch)]
        except MemoryError as error:
            if size == 1:
                raise DeviceError(
                    f"{self._where} has no memory for a single image ({error}); close what else "
                    "uses it, or take a coarser max_resolution, fewer classes or a smaller box"
                ) from error
            logger.warning(
                "%s: out of memory with %d images at once; going on with %d",
                self._where,
                size,
                size // 2,
            )
        self._release()  # here, where the error no longer holds on to the tile's arrays
        self._most = max(size // 2, 1)
        return self._halves(work, batch)

    def _halves(self, work: Callable[[ImageBatch], Result], batch: ImageBatch) -> list[Result]:
        middle = len(batch.index) // 2
        parts = (slice(None, middle), slice(middle, None))
        return [
            result
            for part in parts
            for result in self.compute(work, ImageBatch(batch.index[part], batch.images[part]))
        ]
