"""Regularisation of the map: Wiener filter by the half-set FSC, solvent, non-negativity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, Int64
from napari_ini3d.engine.images import MASK_EDGE
from napari_ini3d.engine.resolved_settings import ResolvedSettings
from napari_ini3d.fourier import (
    cube_radius,
    cube_to_map,
    gridding_profile,
    map_to_cube,
    shell_of_voxels,
    soft_mask,
    solvent_mask,
)

_LEAST_WEIGHT = 1e-3  # of a shell's mean: voxels with almost no data are not amplified
_FSC_RANGE = 0.01, 0.999


@dataclass(frozen=True, slots=True)
class HalfSetFSC:
    """Agreement of the two half-sets of particles, per shell.

    Attributes
    ----------
    fsc, ssnr : (n_shells,) float64
        The SSNR is that of both half-sets together, 2 FSC / (1 - FSC), of an FSC that is clipped
        to 0.01 to 0.999.
    """

    fsc: Float64
    ssnr: Float64

    def first_shell_below(self, threshold: float, radius: int) -> int:
        """Return the first shell whose FSC is below, or radius + 1."""
        below = np.flatnonzero(self.fsc[1 : radius + 1] < threshold)
        return int(below[0]) + 1 if len(below) else radius + 1


def half_set_fsc(first: Complex64, second: Complex64, padding: int, n_shells: int) -> HalfSetFSC:
    """Return the FSC of two half cubes, one per half-set, up to n_shells."""
    shell = cube_shells(first.shape[0] // 2, padding)
    twice = np.where(np.arange(first.shape[2]) > 0, 2.0, 1.0)  # (m + 2,), Friedel mates

    def total(values: FloatArray) -> Float64:
        weighted = (values * twice).ravel()
        sums = np.bincount(shell.ravel(), weighted, minlength=n_shells)
        return sums[:n_shells].astype(np.float64)

    cross = total((first * second.conj()).real)  # (n_shells,)
    power = total(np.abs(first) ** 2) * total(np.abs(second) ** 2)
    fsc = np.divide(cross, np.sqrt(power), out=np.zeros(n_shells), where=power > 0)
    clipped = np.clip(fsc, *_FSC_RANGE)
    return HalfSetFSC(fsc, 2 * clipped / (1 - clipped))


def cube_shells(m: int, padding: int) -> Int64:
    """Return the image shell of every component of a half cube."""
    return np.rint(cube_radius(m) / padding).astype(np.int64)


def divide_by_weight(numerator: Complex64, denominator: Float32, padding: int) -> Complex64:
    """Return numerator / denominator, with a floor under the weights of each shell."""
    floor = _LEAST_WEIGHT * _shell_mean(denominator, padding) + 1e-20
    quotient = numerator / np.maximum(denominator, floor.astype(np.float32))
    return quotient.astype(np.complex64, copy=False)


def wiener_divide(
    numerator: Complex64, denominator: Float32, ssnr: Float64, padding: int
) -> Complex64:
    """Return N / (W + W̄ / SSNR), W̄ the mean weight of the shell: the Wiener filter.

    Parameters
    ----------
    numerator, denominator : cube
        Of both half-sets together.
    ssnr : (n_shells,) float64
    """
    shell = np.minimum(cube_shells(numerator.shape[0] // 2, padding), len(ssnr) - 1)  # (cube)
    prior = _shell_mean(denominator, padding) / np.maximum(ssnr, 1e-3)[shell] + 1e-20
    return numerator / (denominator + prior.astype(np.float32))


def _shell_mean(values: Float32, padding: int) -> Float64:
    shell = cube_shells(values.shape[0] // 2, padding)
    count = np.maximum(np.bincount(shell.ravel()), 1)
    return (np.bincount(shell.ravel(), values.ravel().astype(np.float64)) / count)[shell]


@dataclass(frozen=True)
class RealSpaceConstraints:
    """Constraints of the settings on a map, applied on its way from Fourier to real space.

    Attributes
    ----------
    settings : ResolvedSettings
    box_size : int
    pixel_size : float
        Å.
    """

    settings: ResolvedSettings
    box_size: int
    pixel_size: float

    @property
    def _radius(self) -> float:
        return min(self.settings.mask_diameter / self.pixel_size / 2, self.box_size / 2 - 3)

    def to_map(self, cube: Complex64, *, grow_mask: bool = False) -> Float32:
        """Return the constrained map (n, n, n) of a half cube.

        Parameters
        ----------
        cube : (cube) complex64
        grow_mask : bool
            Flatten the solvent outside a mask that is grown from the map, not only outside the
            spherical one.
        """
        n, padding = self.box_size, self.settings.padding_factor
        volume = cube_to_map(cube, n, padding)
        if self.settings.gridding_correction:
            volume /= gridding_profile(n, padding)
        # the mean of the solvent becomes zero before the mask and non-negativity refer to it
        solvent = shell_of_voxels(n, self._radius, n / 2 - 1)
        if len(solvent):
            volume -= volume.ravel()[solvent].mean(dtype=np.float64).astype(np.float32)
        if self.settings.flatten_solvent:
            volume *= soft_mask(n, self._radius, MASK_EDGE / self.pixel_size, 3)
            if grow_mask:
                diameter = 2 * self._radius * self.pixel_size
                volume *= solvent_mask(volume, self.pixel_size, diameter=diameter)
        if self.settings.non_negative:
            np.maximum(volume, 0, out=volume)
        return volume

    def to_cube(self, volume: Float32, radius: int) -> Complex64:
        """Return the half cube of a map, ready to be sliced by trilinear interpolation."""
        padding = self.settings.padding_factor
        if self.settings.gridding_correction:
            volume = volume / gridding_profile(self.box_size, padding)
        return map_to_cube(volume, radius, padding)
