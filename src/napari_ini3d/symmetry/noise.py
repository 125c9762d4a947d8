"""Share of signal in each shell of a map, from its solvent or its half-maps."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.comparison import check_pair
from napari_ini3d.errors import MapError
from napari_ini3d.fourier import Point, compute_fsc, shell_sum, soft_mask

HalfMaps = tuple[FloatArray, FloatArray]
"""Two independent halves (n, n, n) of a map."""

_EDGE = 3.0  # voxels
_GAP = 0.2  # of the radius: the particle fades out there
_LEAST_ROOM = 0.02  # of the box, to measure noise in
_NEGLIGIBLE = 1e-6  # of the strongest shell's power density


def signal_share(
    volume: FloatArray, radius: float, centre: Point = (0, 0, 0), *, edge: float = _EDGE
) -> Float64:
    """Return the FSC expected between a map and an exact copy of it with other noise.

    ``share(s) = 1 - N(s) / T(s)``, with T the power of the map inside a soft sphere and N that
    of the solvent around it, per volume. N, which changes slowly, is the mean of three shells.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x), its noise alike everywhere.
    radius : float
        Voxels, of a sphere that holds the particle.
    centre : (3,)
        Of the sphere, voxels (x, y, z) from voxel n // 2.
    edge : float
        Voxels, over which the sphere fades out. Where the map ends at a shell, a sharp edge
        spreads its power over the shells beyond.

    Returns
    -------
    (n // 2 + 1,) float64
        From 0 to 1; 0 where the map has next to no power. Where the solvent is flat, or too
        little of it is in the box to measure it, 1.
    """
    n = len(volume)
    inside = soft_mask(n, radius, edge, 3, centre)
    outside = 1 - soft_mask(n, radius * (1 + _GAP), _EDGE, 3, centre)
    power = _power_density(volume * inside, inside, 1)
    present = power > _NEGLIGIBLE * power[1:].max()
    if (outside**2).mean() < _LEAST_ROOM:
        return np.asarray(present, dtype=np.float64)
    level = (volume * outside).sum() / outside.sum()
    noise = _power_density((volume - level) * outside, outside, 3)
    ratio = np.divide(noise, power, out=np.ones_like(power), where=present)
    return np.asarray(np.where(present, np.clip(1 - ratio, 0, 1), 0.0))


def share_from_halves(half_fsc: FloatArray) -> Float64:
    """Return the share of signal in the mean of two half-maps, from their FSC.

    ``2 FSC / (1 + FSC)`` (Rosenthal & Henderson, J. Mol. Biol. 333 (2003) 721), 0 below 0.
    """
    positive = np.clip(np.asarray(half_fsc, dtype=np.float64), 0, 1)
    return np.asarray(2 * positive / (1 + positive))


def share_of_halves(
    half_maps: HalfMaps, radius: float, centre: Point = (0, 0, 0), *, edge: float = _EDGE
) -> Float64:
    """Return the share of signal in the mean of two half-maps, within a soft sphere.

    Parameters
    ----------
    half_maps : two (n, n, n)
    radius, centre, edge
        As of `signal_share`.

    Returns
    -------
    (n // 2 + 1,) float64
        From 0 to 1.
    """
    mask = soft_mask(len(half_maps[0]), radius, edge, 3, centre)
    return share_from_halves(compute_fsc(half_maps[0] * mask, half_maps[1] * mask))


def check_halves(volume: FloatArray, half_maps: HalfMaps | None) -> None:
    """Raise `MapError` where half-maps are not a pair of finite maps in the box of a map."""
    if half_maps is None:
        return
    check_pair(*half_maps)
    if half_maps[0].shape != volume.shape:
        raise MapError(
            f"the half-maps have the shape {half_maps[0].shape} and the map {volume.shape}; "
            "expected the same: resample them to one box"
        )


def _power_density(masked: FloatArray, mask: FloatArray, shells: int) -> Float64:
    """Return the mean power of some shells about each, per volume of the mask."""
    power = np.abs(np.fft.rfftn(masked)) ** 2
    neighbours = np.ones(shells)
    sums = np.convolve(shell_sum(power), neighbours, mode="same")
    counts = np.convolve(shell_sum(np.ones_like(power)), neighbours, mode="same")
    return np.asarray(sums / counts / (mask**2).sum())
