"""Compare two maps by FSC and correlation, as they are and aligned to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.comparison.register import Registration, check_pair, register_maps
from napari_ini3d.errors import SettingsError
from napari_ini3d.fourier import compute_fsc, fsc_resolution, soft_mask, upright_density

_EDGE = 3.0  # voxels


@dataclass(frozen=True, slots=True)
class MapComparison:
    """Similarity of two maps.

    Attributes
    ----------
    voxel_size : float
        Å.
    fsc_as_is : (n // 2 + 1,) float64
        FSC within the mask before the maps are aligned.
    fsc : (n // 2 + 1,) float64
        FSC within the mask after the second map was aligned to the first.
    correlation : float
        Of the densities within the mask, after alignment.
    resolution_half, resolution_0143 : float
        Å, where `fsc` falls below 0.5 and 0.143.
    registration : Registration or None
        Alignment of the second map to the first; None if not asked for.
    aligned : (n, n, n) float32
        The second map, aligned to the first; its solvent is 0 and its density positive.
    """

    voxel_size: float
    fsc_as_is: Float64
    fsc: Float64
    correlation: float
    resolution_half: float
    resolution_0143: float
    registration: Registration | None
    aligned: Float32

    @property
    def frequency(self) -> Float64:
        """Spatial frequency of each shell, 1/Å."""
        shells = np.arange(len(self.fsc))
        return np.asarray(shells / (self.aligned.shape[0] * self.voxel_size))

    @property
    def mirrored(self) -> bool:
        """True where the second map had the other hand."""
        return self.registration is not None and self.registration.mirrored

    def mean_fsc(self, resolution: float) -> float:
        """Return the mean of `fsc` over the shells from the first up to `resolution` (Å)."""
        last = int(self.aligned.shape[0] * self.voxel_size / resolution)
        return float(self.fsc[1 : max(last, 1) + 1].mean())


def compare_maps(
    first: FloatArray,
    second: FloatArray,
    *,
    voxel_size: float,
    mask_diameter: float | None = None,
    align: bool = True,
    threads: int = 0,
) -> MapComparison:
    """Compare two maps by FSC and correlation, with the second aligned to the first.

    A background that was added to a map is subtracted, and an inverted map is inverted.

    Parameters
    ----------
    first, second : (n, n, n)
        Real space, of one box and voxel size.
    voxel_size : float
        Å.
    mask_diameter : float, optional
        Å; the sphere within which they are compared. Default: 0.9 of the box.
    align : bool
        Find rotation, shift and hand first; otherwise the maps are compared as they are.
    threads : int
        0 means as many as the process may use. The result is the same for any number.

    Returns
    -------
    MapComparison

    Raises
    ------
    MapError
        Where a map is not a finite cube of the size of the other, or is constant.
    SettingsError
        Where the voxel size is not positive, or the mask diameter not within the box.
    """
    check_pair(first, second)
    first, second = upright_density(first), upright_density(second)
    n = first.shape[0]
    radius = _mask_radius(n, voxel_size, mask_diameter)
    mask = soft_mask(n, radius, _EDGE, 3)
    before = compute_fsc(first * mask, second * mask)  # (n // 2 + 1,)
    registration, aligned = None, np.array(second, dtype=np.float32)
    if align:
        registration = register_maps(first, second, mask_radius=radius, threads=threads)
        aligned = registration.apply(second, threads=threads)
    curve = compute_fsc(first * mask, aligned * mask) if registration else before
    inside = mask > 0.5
    return MapComparison(
        voxel_size=voxel_size,
        fsc_as_is=before,
        fsc=curve,
        correlation=float(np.corrcoef(first[inside], aligned[inside])[0, 1]),
        resolution_half=fsc_resolution(curve, n, voxel_size, 0.5),
        resolution_0143=fsc_resolution(curve, n, voxel_size, 0.143),
        registration=registration,
        aligned=aligned,
    )


def _mask_radius(box_size: int, voxel_size: float, mask_diameter: float | None) -> float:
    """Return the radius of the mask in voxels."""
    if not voxel_size > 0:
        raise SettingsError(f"the voxel size is {voxel_size:g} Å; it must be positive")
    if mask_diameter is None:
        return 0.45 * box_size
    if not 0 < mask_diameter <= box_size * voxel_size:
        raise SettingsError(
            f"mask diameter is {mask_diameter:g} Å; it must lie between 0 and the box "
            f"({box_size * voxel_size:g} Å)"
        )
    return mask_diameter / voxel_size / 2
