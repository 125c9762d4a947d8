"""Fourier shell correlation (Harauz & van Heel, 1986) and the resolution read from it."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier.shells import shell_sum


def compute_fsc(first: FloatArray, second: FloatArray) -> Float64:
    """Return the correlation of two maps per shell of spatial frequency.

    ``FSC(s) = Σ Re(A B*) / sqrt(Σ|A|² Σ|B|²)`` over the voxels of shell s.

    Parameters
    ----------
    first, second : (n, n, n)
        Real space.

    Returns
    -------
    (n // 2 + 1,) float64
        0 in a shell where a map has no power.

    Raises
    ------
    MapError
        Where the maps are not cubes of one size.
    """
    if first.shape != second.shape or first.ndim != 3 or len(set(first.shape)) != 1:
        raise MapError(
            f"FSC needs two cubes of one size, found {first.shape} and {second.shape}; "
            "resample the maps to one box and voxel size first"
        )
    a, b = np.fft.rfftn(first), np.fft.rfftn(second)  # (n, n, n // 2 + 1)
    cross = shell_sum((a * b.conj()).real)  # (n // 2 + 1,)
    power = shell_sum(np.abs(a) ** 2) * shell_sum(np.abs(b) ** 2)
    return np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)


def fsc_resolution(
    curve: FloatArray, box_size: int, voxel_size: float, threshold: float = 0.143
) -> float:
    """Return the resolution at which an FSC curve first falls below a threshold.

    The crossing is interpolated linearly between shells.

    Parameters
    ----------
    curve : (S,)
        FSC per shell, shell 0 first (it is ignored).
    box_size : int
        Voxels per side of the maps it was computed from.
    voxel_size : float
        Å.
    threshold : float

    Returns
    -------
    float
        Å; 2 * voxel_size (Nyquist) for a curve that never falls below the threshold, and the
        box length where already the first shell is below it.
    """
    below = np.flatnonzero(np.asarray(curve)[1:] < threshold)
    if not len(below):
        return 2 * voxel_size
    shell = int(below[0]) + 1
    if shell == 1:
        return box_size * voxel_size
    before, after = float(curve[shell - 1]), float(curve[shell])
    crossing = shell - 1 + (before - threshold) / (before - after)
    return box_size * voxel_size / crossing
