"""Images that are kept in memory after they were read."""

from __future__ import annotations

import logging

import numpy as np

from napari_ini3d._types import BoolArray, Float32, IntArray
from napari_ini3d.kernels import free_memory

logger = logging.getLogger(__name__)

_SHARE = 0.25  # of the free memory


def bytes_to_keep(sharing: int = 1) -> float:
    """Return how many bytes of images may be kept: a quarter of the memory that is free.

    Parameters
    ----------
    sharing : int
        Processes that share the memory.
    """
    return _SHARE * (free_memory() or 0) / sharing


class KeptImages:
    """Keeps the first of N images, as many as may be kept, so that they are read only once.

    Several threads may load and store at the same time: an image is always the same.

    Parameters
    ----------
    n_images : int
    box_size : int
        n, pixels per side.
    most_bytes : float
        That may be kept.
    """

    def __init__(self, n_images: int, box_size: int, most_bytes: float) -> None:
        self._n_images = int(min(n_images, most_bytes // (4 * box_size**2)))
        self._shape = (self._n_images, box_size, box_size)
        self._images: Float32 | None = None  # memory is taken as images are stored
        self._is_kept: BoolArray = np.zeros(n_images, bool)

    def load(self, index: IntArray, out: Float32) -> IntArray:
        """Copy the images that are kept into `out` (B, n, n); return the positions of the others.

        Parameters
        ----------
        index : (B,) int64
        out : (B, n, n) float32
        """
        kept = self._is_kept[index]
        if self._images is not None and kept.any():
            at = np.flatnonzero(kept)
            out[at] = self._images[index[at]]
        return np.flatnonzero(~kept)

    def store(self, index: IntArray, images: Float32) -> None:
        """Keep those of some images (B, n, n) for which there is room."""
        fits = np.flatnonzero(index < self._n_images)
        if not fits.size:
            return
        if self._images is None and not self._allocate():
            return
        assert self._images is not None
        self._images[index[fits]] = images[fits]
        self._is_kept[index[fits]] = True  # last: others may load them from now on

    def _allocate(self) -> bool:
        try:
            self._images = np.empty(self._shape, np.float32)
        except MemoryError:
            logger.info("images are read again in each iteration: memory is short")
            self._n_images = 0
            return False
        return True
