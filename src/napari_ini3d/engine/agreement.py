"""Agreement of maps in unknown orientation and of unknown hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.comparison import register_maps
from napari_ini3d.fourier import compute_fsc, resize_map

_LEAST_BOX = 16  # voxels, of the maps that are compared


@dataclass(frozen=True, slots=True)
class AlignedMaps:
    """A map, and others that were aligned to it, in a small box.

    Attributes
    ----------
    maps : (1 + N, m, m, m) float32
        The reference first; the others rotated and shifted, in the hand that agrees better.
    radius : int
        Fourier radius up to which they are compared.
    """

    maps: Float32
    radius: int

    @classmethod
    def of(
        cls, reference: Float32, others: Sequence[Float32], radius: int, *, threads: int = 0
    ) -> Self:
        """Align maps to a reference.

        Parameters
        ----------
        reference : (n, n, n) float32
        others : sequence of (n, n, n) float32
        radius : int
            Fourier radius up to which the maps are compared.
        threads : int
            0 for all cores.
        """
        size = min(len(reference), max(_LEAST_BOX, 2 * -(-3 * radius // 2)))
        target = resize_map(reference, size)
        maps = [target]
        for volume in others:
            small = resize_map(volume, size)
            found = register_maps(target, small, threads=threads)
            maps.append(found.apply(small, threads=threads))
        return cls(np.stack(maps), radius)

    @property
    def agreement(self) -> list[float]:
        """Mean FSC of each of the other maps with the reference."""
        shells = slice(1, self.radius + 1)
        return [float(compute_fsc(self.maps[0], other)[shells].mean()) for other in self.maps[1:]]
