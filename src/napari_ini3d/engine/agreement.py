"""Agreement of maps in unknown orientation and of unknown hand."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ini3d._types import Float32
from napari_ini3d.comparison import register_maps
from napari_ini3d.fourier import compute_fsc, resize_map

_LEAST_BOX = 16  # voxels, of the maps that are compared


def mean_agreement(
    reference: Float32, others: Sequence[Float32], radius: int, *, threads: int = 0
) -> list[float]:
    """Return the mean FSC of each map with a reference, after alignment of the better hand.

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
    found = []
    for volume in others:
        small = resize_map(volume, size)
        aligned = register_maps(target, small, threads=threads).apply(small, threads=threads)
        found.append(float(compute_fsc(target, aligned)[1 : radius + 1].mean()))
    return found
