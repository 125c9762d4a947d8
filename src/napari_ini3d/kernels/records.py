"""Records of arrays that several kernels take: rows of the fine pass, priors, the null model.

Shapes as in `kernels.types`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self

Array = Any


class BestColumn(IntEnum):
    """Columns of the record of the best pose of each image, (B, 10) float64.

    The sources of the CUDA kernels have the same list.
    """

    LOG_EVIDENCE = 0
    BEST_PROBABILITY = 1
    N_SIGNIFICANT = 2
    BEST_CLASS = 3
    BEST_ROTATION = 4
    BEST_SHIFT = 5
    BEST_FINE_SHIFT = 6
    JUNK_PROBABILITY = 7
    OVERLAP = 8
    REFERENCE_POWER = 9


@dataclass(frozen=True, slots=True)
class Rows:
    """N pairs of an image and a fine rotation, sorted by image; each stands for T shifts.

    Attributes
    ----------
    image : (N,) int32
        Within the tile.
    class_index : (N,) int32
    rotation : (N,) int32
        In the fine grid of Q rotations.
    shift : (N,) int32
        The coarse shift that the fine shifts surround.
    slice : (N,) int32
        ``class_index * Q + rotation``.
    """

    image: Array
    class_index: Array
    rotation: Array
    shift: Array
    slice: Array

    def take(self, rows: Any) -> Rows:
        """Return some of the rows."""
        return Rows(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def empty(cls, count: int, xp: Any) -> Self:
        """Return rows to be filled."""
        return cls(*(xp.empty(count, "int32") for _ in fields(cls)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PosePrior:
    """Log prior of a pose: Gaussian in the shift, forbidden beyond a limit; and of the class.

    Attributes
    ----------
    start : (B, 2) float32
        Pixels by which each image, as it is compared, is off its expected shift.
    shifts : (S, 2) float32
        Pixels.
    class_share : (K,) float32
        Log.
    class_bias : (B, K) float32
    sigma : float
        Pixels, of the Gaussian.
    limit : float
        Pixels, of the distance from the expected shift.
    """

    start: Array
    shifts: Array
    class_share: Array
    class_bias: Array
    sigma: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NullEvidence:
    """Log evidence of what is no particle, relative to noise alone.

    Attributes
    ----------
    ball : (B,) float64
        Of the map's rotational average.
    excess : (B, n_shells) float32
        Power of each shell over the typical power.
    count : (n_shells,) float64
        Independent components of each shell.
    limit : (n_shells,) float64
        Excess beyond which the power of a shell stands out.
    log_odds : float
        Of junk, a priori.
    """

    ball: Array
    excess: Array
    count: Array
    limit: Array
    log_odds: float
