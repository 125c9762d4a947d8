"""Soft circular and spherical masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def soft_mask(box_size: int, radius: float, edge: float, ndim: int) -> npt.NDArray[np.float32]:
    """Return a mask that is 1 within `radius` and falls to 0 over a raised cosine edge.

    Parameters
    ----------
    box_size : int
        Samples per side; the centre is sample ``box_size // 2``.
    radius, edge : float
        Samples; the edge lies outside the radius.
    ndim : int
        2 for a disk, 3 for a ball.

    Returns
    -------
    (box_size,) * ndim float32
    """
    r = radius_grid(box_size, ndim)
    t = np.clip((r - radius) / max(edge, 1e-6), 0.0, 1.0)
    mask: npt.NDArray[np.float32] = (0.5 + 0.5 * np.cos(np.pi * t)).astype(np.float32)
    return mask


def radius_grid(box_size: int, ndim: int) -> npt.NDArray[np.float32]:
    """Return the distance of every sample from the centre, in samples."""
    line = (np.arange(box_size, dtype=np.float32) - box_size // 2) ** 2
    total = line
    for _ in range(ndim - 1):
        total = total[..., None] + line
    return np.sqrt(total)
