"""Images that cannot be used: constant ones, and ones with values that are not finite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.particles import ImageSource
from napari_ini3d.preflight.background import BackgroundShapes

BadReason = Literal["not finite", "constant", "all zero", "out of range", "no underfocus"]

_BATCH = 256  # images; fewer if they are large
_BATCH_BYTES = 64 * 2**20
_SPREADS = 1e-15, 1e15  # of values, least and largest: their squares must fit into float32
_CONSTANT_RANGE = 1e-5  # relative; larger than float32 rounding in resampled constants


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image that cannot be used: its position in the particles, and the reason."""

    index: int
    reason: BadReason


def bad_images(
    source: ImageSource,
    images: int | IntArray,
    *,
    batch_size: int = _BATCH,
    shapes: BackgroundShapes | None = None,
) -> Iterator[BadImage]:
    """Yield the images that cannot be used, in order; each image is read once.

    The minimum and maximum of an image suffice: with a NaN both are NaN, with an infinity one of
    them is infinite, and in a constant image they are equal.

    Parameters
    ----------
    source : ImageSource
    images : int or (N,) int array
        Number of images to check, from the first, or their indices.
    batch_size : int
        Maximum number of images in memory.
    shapes : BackgroundShapes, optional
        Receives the backgrounds of the images.
    """
    index = np.arange(images) if isinstance(images, int) else images
    batch_size = min(batch_size, _batch_size(source))
    for batch in source.batches(_split(index, batch_size)):
        if shapes is not None:
            shapes.measure(batch.index, batch.images)
        flat = batch.images.reshape(len(batch.images), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            tolerance = _CONSTANT_RANGE * np.maximum(np.abs(low), np.abs(high))
            spread = high - low
            varies = spread > tolerance
            good = np.isfinite(low) & np.isfinite(high) & varies
            good &= (spread >= _SPREADS[0]) & (spread <= _SPREADS[1])
        for i in np.flatnonzero(~good):
            reason = _reason(low[i], high[i], varies=bool(varies[i]))
            yield BadImage(int(batch.index[i]), reason)


def _reason(low: np.float32, high: np.float32, *, varies: bool) -> BadReason:
    if not (np.isfinite(low) and np.isfinite(high)):
        return "not finite"
    if low == high == 0:
        return "all zero"
    return "out of range" if varies else "constant"


def _batch_size(source: ImageSource) -> int:
    return int(np.clip(_BATCH_BYTES // (4 * source.box_size**2), 1, _BATCH))


def _split(index: IntArray, batch_size: int) -> Iterator[IntArray]:
    for start in range(0, len(index), batch_size):
        yield index[start : start + batch_size]
