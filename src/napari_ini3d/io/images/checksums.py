"""Checksums of images: whether an image that is read again is the one that was checked."""

from __future__ import annotations

import logging
import zlib
from threading import Lock

import numpy as np

from napari_ini3d._types import BoolArray, Float32, IntArray, UInt32
from napari_ini3d.errors import StackError

logger = logging.getLogger(__name__)


class ChangedImagesError(StackError):
    """Images of a stack are not those that were checked."""


class ImageGuard:
    """Compares images as they are read with their checksums, and excludes damaged ones.

    An image that has become constant or not finite is excluded from then on. Any other change
    means that the stack is another one, which is an error.

    Parameters
    ----------
    n_images : int
    checksums : (N,) uint32, optional
        CRC-32 of each image as read, in float32. Default: learned when an image is first read.
    max_excluded : float
        Largest fraction of the images that may be excluded.
    """

    def __init__(self, n_images: int, checksums: UInt32 | None, max_excluded: float) -> None:
        self.checksums: UInt32 = (
            np.zeros(n_images, np.uint32) if checksums is None else checksums.copy()
        )
        self._known: BoolArray = np.full(n_images, checksums is not None)
        self._excluded: BoolArray = np.zeros(n_images, bool)
        self._max_excluded = max_excluded
        self._lock = Lock()

    def is_usable(self, index: IntArray) -> BoolArray:
        """Return which images are not excluded, (B,)."""
        usable: BoolArray = ~self._excluded[index]
        return usable

    def changed(self, images: Float32, index: IntArray) -> IntArray:
        """Return the positions of images (B, n, n) that have changed, and learn new ones."""
        found = np.array([zlib.crc32(image.data) for image in images], np.uint32)
        known = self._known[index]
        self.checksums[index[~known]] = found[~known]
        self._known[index[~known]] = True
        return np.flatnonzero(known & (found != self.checksums[index]))

    def exclude(self, images: Float32, index: IntArray, names: list[str]) -> None:
        """Exclude images that have changed.

        Parameters
        ----------
        images : (B, n, n) float32
            As they are now.
        index : (B,) int64
        names : list of str
            Of the images, for messages.

        Raises
        ------
        ChangedImagesError
            If one of them is neither constant nor not finite, or too many are.
        """
        for image, i, name in zip(images, index.tolist(), names, strict=True):
            if np.isfinite(image).all() and image.min() < image.max():
                raise ChangedImagesError(
                    f"{name} is not the image that was checked when the run was started; "
                    "restore the stack, then resume the run, or start again in another folder"
                )
            with self._lock:
                is_new = not self._excluded[i]
                self._excluded[i] = True
            if is_new:
                logger.warning(
                    "%s has become constant or not finite since the run was started; it is "
                    "excluded",
                    name,
                )
        share = float(self._excluded.mean())
        if share > self._max_excluded:
            raise ChangedImagesError(
                f"{names[0]} and others have become constant or not finite since the run was "
                f"started, {share:.1%} of all images; at most {self._max_excluded:.1%} may be "
                "excluded; restore the stacks, then resume the run"
            )
