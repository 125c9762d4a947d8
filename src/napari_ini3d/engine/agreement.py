"""Agreement of two maps in unknown orientation and of unknown hand."""

from __future__ import annotations

from napari_ini3d._types import Float32
from napari_ini3d.comparison import register_maps
from napari_ini3d.fourier import compute_fsc, resize_map

_LEAST_BOX = 16  # voxels, of the maps that are compared


def mean_agreement(first: Float32, second: Float32, radius: int, *, threads: int = 0) -> float:
    """Return the mean FSC of two maps after alignment, of the better of both hands.

    Parameters
    ----------
    first, second : (n, n, n) float32
    radius : int
        Fourier radius up to which the maps are compared.
    threads : int
        0 for all cores.
    """
    n = first.shape[0]
    size = min(n, max(_LEAST_BOX, 2 * -(-3 * radius // 2)))
    a, b = (resize_map(volume, size) for volume in (first, second))
    aligned = register_maps(a, b, threads=threads).apply(b, threads=threads)
    return float(compute_fsc(a, aligned)[1 : radius + 1].mean())
