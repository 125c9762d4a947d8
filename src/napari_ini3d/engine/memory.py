"""Memory: sizes of tiles, rows and tables that fit into what is free."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_ini3d.errors import DeviceError
from napari_ini3d.particles import ImageBatch

logger = logging.getLogger(__name__)

_CPU_SCORE_BYTES = 64e6  # of the scores of one tile; more does not make products faster
_CPU_IMAGES = 4, 64  # in a tile
_CPU_TABLE_BYTES = 600e6  # more takes longer to fill than it saves
_CPU_ROWS, _GPU_ROWS = 1024, 65536
_GPU_IMAGES = 1024  # a GPU is busy with fewer
_GPU_TILE_BYTES, _GPU_ROW_BYTES = 8e9, 4e9  # at most, on GPUs of any memory: the same bits
_TILE_SHARE, _TABLE_SHARE, _ROW_SHARE = 0.4, 0.25, 0.1  # of the free memory
_REAL_COPIES = (
    12  # float32 images of a box: upload buffers, normalised, shifted, masked, transformed
)
_DISK_COPIES = 8  # complex images on the disk
_ROW_COPIES = 5  # complex rows of the fine pass


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes that the memory of a tile depends on.

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
        """Bytes of a tile per image."""
        scores = 4 * self.n_rows * (self.n_shifts + 4)  # with norm, marginals, candidates
        coarse = 8 * self.n_shifts * self.n_coarse
        fine = 12 * self.most_fine_rows * self.n_fine_shifts
        images = 4 * _REAL_COPIES * self.box_size**2 + 8 * _DISK_COPIES * self.n_components
        return scores + coarse + fine + images


def tile_images(load: Workload, *, is_gpu: bool) -> int:
    """Return how many images a tile has: whatever memory is free, and whoever else computes.

    On a CPU as many as have their scores in 64 MB, on a GPU as many as fit in 8 GB, rounded down to
    a power of two. The bits of the sums depend on it.

    Parameters
    ----------
    load : Workload
    is_gpu : bool
    """
    if is_gpu:
        return _power_of_two(np.clip(_GPU_TILE_BYTES / load.bytes_per_image, 1, _GPU_IMAGES))
    return int(np.clip(_CPU_SCORE_BYTES / (4 * load.n_shifts * load.n_rows), *_CPU_IMAGES))


@dataclass(frozen=True, slots=True)
class TileLimit:
    """What the free memory of a device allows.

    Attributes
    ----------
    at_once : int
        Tiles that are computed at the same time.
    images : int or None
        Of a tile; None where a whole tile fits.
    """

    at_once: int
    images: int | None = None


def tile_limit(
    free_bytes: float, load: Workload, images: int, *, is_gpu: bool, at_once: int
) -> TileLimit:
    """Return how many tiles fit; where memory is short, fewer at once, which changes no bits.

    Parameters
    ----------
    free_bytes : float
    load : Workload
    images : int
        Of a tile.
    is_gpu : bool
    at_once : int
        Tiles that are wanted at the same time.
    """
    fitting = _TILE_SHARE * free_bytes / load.bytes_per_image  # images
    if fitting >= images:
        return TileLimit(int(min(at_once, fitting // images)))
    return TileLimit(1, _power_of_two(max(fitting, 1)) if is_gpu else max(1, int(fitting)))


def table_bytes(free_bytes: int, *, is_gpu: bool, tables: int = 1) -> float:
    """Return the bytes that each of some tables of all fine slices may take."""
    share = _TABLE_SHARE * free_bytes / tables
    return share if is_gpu else min(share, _CPU_TABLE_BYTES)


def chunk_rows(free_bytes: int, n_components: int, *, is_gpu: bool) -> int:
    """Return how many rows of image-times-slice products the fine pass may hold at once."""
    if not is_gpu:
        return _CPU_ROWS
    fitting = min(_ROW_SHARE * free_bytes, _GPU_ROW_BYTES) / (8 * _ROW_COPIES * n_components)
    return _power_of_two(np.clip(fitting, _CPU_ROWS, _GPU_ROWS))


def _power_of_two(most: float) -> int:
    """Return the largest power of two that is not above `most`, at least 1.

    The free memory of a GPU is never quite the same; rounded like this it seldom changes the
    tiles, and with them the order in which floats are added.
    """
    return int(2 ** math.floor(math.log2(most)))


class SplitOnMemoryError:
    """Splits batches that do not fit into the memory, and remembers the size that did.

    ::

        for attempt in split.attempts(batch):
            with attempt as part:
                results.append(work(part))

    Parameters
    ----------
    release : callable
        Releases memory that the device keeps for later arrays.
    where : str
        The device, for messages.
    most : int, optional
        Images that may fit. Default: any number.
    """

    def __init__(self, release: Callable[[], None], where: str, most: int | None = None) -> None:
        self._release = release
        self._where = where
        self._most = most

    def attempts(self, batch: ImageBatch) -> Iterator[_Attempt]:
        """Yield the parts of a batch, in order: one where it fits whole.

        A part that ran out of memory is yielded again in halves.

        Raises
        ------
        DeviceError
            If not even one image fits.
        """
        pending = [batch]
        while pending:
            part = pending.pop()
            if self._most is not None and len(part.index) > self._most:
                pending += _halves(part)
                continue
            attempt = _Attempt(part)
            yield attempt
            if attempt.error:
                self._shrink(len(part.index), attempt.error)
                pending += _halves(part)

    def _shrink(self, size: int, error: str) -> None:
        if size == 1:
            raise DeviceError(
                f"{self._where} has not enough memory for a single image ({error}); close other "
                "programs that use it, or take a coarser max_resolution, fewer classes or a "
                "smaller box"
            )
        logger.warning(
            "%s: out of memory with %d images at once; continuing with %d, which may change the "
            "last bits of the result",
            self._where,
            size,
            size // 2,
        )
        self._release()
        self._most = min(size // 2, self._most or size)  # another thread may have found less


class _Attempt:
    """A part of a batch; notes that there was not enough memory for it.

    Only the text of the error is kept: the error itself would hold the arrays of the tile.
    """

    def __init__(self, part: ImageBatch) -> None:
        self.error = ""
        self._part = part

    def __enter__(self) -> ImageBatch:
        return self._part

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        if not isinstance(error, MemoryError):
            return False
        self.error = str(error) or "MemoryError"
        return True


def _halves(batch: ImageBatch) -> tuple[ImageBatch, ImageBatch]:
    """Return the second and the first half: a list of pending parts is taken from its end."""
    middle = len(batch.index) // 2
    second, first = (
        ImageBatch(batch.index[part], batch.images[part])
        for part in (slice(middle, None), slice(None, middle))
    )
    return second, first
