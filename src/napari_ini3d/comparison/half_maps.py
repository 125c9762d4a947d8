"""FSC of two half-maps, corrected for the mask by phase randomisation (Chen et al., 2013).

A mask ties neighbouring Fourier components to each other, so that strong low shells leak into
high ones and the FSC within the mask is too high there. Beyond a shell both maps are given random
phases, the same mask is applied, and what FSC is left is the mask's:
``FSC = (FSC_masked - FSC_randomised) / (1 - FSC_randomised)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.errors import MapError, SettingsError
from napari_ini3d.fourier import compute_fsc, fsc_resolution, shell_index

_RANDOMISED_BELOW = 0.8  # of the FSC without a mask
_KEPT_SHELLS = 2  # beyond the first randomised one, that are not corrected: phases leak into them
_REPEATS = 4  # randomisations, averaged
_TINY = 1e-6  # of 1 - FSC: the mask alone explains an FSC of 1


@dataclass(frozen=True, slots=True)
class HalfMapFSC:
    """FSC of two half-maps per shell, with and without mask, and its correction for the mask.

    Attributes
    ----------
    voxel_size : float
        Å.
    box_size : int
        Voxels per side.
    unmasked, masked : (n // 2 + 1,) float64
        FSC of the maps as they are and within the mask.
    randomised : (n // 2 + 1,) float64
        FSC within the mask after phases were randomised; `masked` where none were.
    corrected : (n // 2 + 1,) float64
        `masked`, corrected by `randomised` from two shells beyond `randomised_from`.
    randomised_from : int or None
        First shell with random phases, where `unmasked` falls below 0.8; None if it never does.
    radius : int or None
        Shell up to which the maps have detail, if they were cut: no resolution is finer than that.
    """

    voxel_size: float
    box_size: int
    unmasked: Float64
    masked: Float64
    randomised: Float64
    corrected: Float64
    randomised_from: int | None
    radius: int | None = None

    @property
    def resolution_0143(self) -> float:
        """Å, where `corrected` falls below 0.143; see `fsc_resolution` for the limits."""
        return self._resolution(0.143)

    @property
    def resolution_half(self) -> float:
        """Å, where `corrected` falls below 0.5; see `fsc_resolution` for the limits."""
        return self._resolution(0.5)

    def _resolution(self, threshold: float) -> float:
        found = fsc_resolution(self.corrected, self.box_size, self.voxel_size, threshold)
        if self.radius is None:
            return found
        return max(found, self.box_size * self.voxel_size / self.radius)

    def cut_at(self, radius: int) -> HalfMapFSC:
        """Return a copy whose FSC is 0 beyond the shell up to which the maps have detail."""
        inside = np.arange(len(self.corrected)) <= radius
        return replace(
            self,
            unmasked=np.where(inside, self.unmasked, 0.0),
            masked=np.where(inside, self.masked, 0.0),
            corrected=np.where(inside, self.corrected, 0.0),
            radius=radius,
        )


def half_map_fsc(
    first: FloatArray,
    second: FloatArray,
    voxel_size: float,
    mask: FloatArray,
    *,
    seed: int = 0,
) -> HalfMapFSC:
    """Return the FSC of two half-maps within a mask, corrected for the mask.

    Parameters
    ----------
    first, second : (n, n, n)
        Real space, refined from separate halves of the particles.
    voxel_size : float
        Å.
    mask : (n, n, n)
        From 0 to 1, with a soft edge.
    seed : int
        Of the random phases.

    Returns
    -------
    HalfMapFSC
        Where the mask is 0 everywhere, the masked and the corrected FSC are 0.

    Raises
    ------
    MapError
        Where maps and mask are not cubes of one size.
    SettingsError
        Where the voxel size is not positive.
    """
    if not voxel_size > 0:
        raise SettingsError(f"the voxel size is {voxel_size:g} Å; it must be positive")
    if mask.shape != first.shape:
        raise MapError(
            f"the mask has {mask.shape} voxels and the maps {first.shape}; expected one box; "
            "make the mask from one of the maps"
        )
    unmasked = compute_fsc(first, second)  # (n // 2 + 1,)
    masked = compute_fsc(first * mask, second * mask)
    start = _first_below(unmasked, _RANDOMISED_BELOW)
    randomised, corrected = masked.copy(), masked.copy()
    if start is not None:
        randomised = _randomised_fsc((first, second), mask, start, np.random.default_rng(seed))
        beyond = slice(start + _KEPT_SHELLS, None)
        corrected[beyond] = _corrected(masked[beyond], randomised[beyond])
    return HalfMapFSC(voxel_size, first.shape[0], unmasked, masked, randomised, corrected, start)


def _first_below(curve: Float64, threshold: float) -> int | None:
    below = np.flatnonzero(curve[1:] < threshold)
    return int(below[0]) + 1 if len(below) else None


def _corrected(masked: Float64, randomised: Float64) -> Float64:
    """Return the FSC without the mask's share; 0 where the mask alone explains it."""
    rest = 1 - randomised
    corrected = np.divide(masked - randomised, rest, out=np.zeros_like(rest), where=rest > _TINY)
    return np.clip(corrected, -1.0, 1.0)


def _randomised_fsc(
    maps: tuple[FloatArray, FloatArray], mask: FloatArray, start: int, rng: np.random.Generator
) -> Float64:
    """Return the mean FSC within a mask of maps with random phases from a shell on."""
    n = mask.shape[0]
    kept = shell_index(n) < start  # (n, n, n // 2 + 1)
    transforms = [np.fft.rfftn(volume) for volume in maps]
    total = np.zeros(n // 2 + 1)
    for _ in range(_REPEATS):
        pair = []
        for volume_ft in transforms:
            noise_ft = np.fft.rfftn(rng.standard_normal(mask.shape))  # phases of a real map
            random_ft = np.abs(volume_ft) * np.exp(1j * np.angle(noise_ft))
            mixed_ft = np.where(kept, volume_ft, random_ft)
            pair.append(np.fft.irfftn(mixed_ft, s=mask.shape, axes=(0, 1, 2)) * mask)
        total += compute_fsc(*pair)
    return total / _REPEATS
