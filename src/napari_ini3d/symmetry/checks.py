"""Checks of a map before a search for its symmetry."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import MapError, SettingsError
from napari_ini3d.fourier import MIN_BOX_SIZE, check_map_values, upright_density


def check_volume(volume: FloatArray, voxel_size: float, resolution: float | None = None) -> None:
    """Refuse a map that cannot be searched.

    Raises
    ------
    MapError
        Where the map is not a finite cube of an even number of at least 16 voxels, or constant.
    SettingsError
        Where the voxel size or the resolution is not positive.
    """
    shape = " x ".join(str(side) for side in volume.shape)
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise MapError(f"the map has {shape} voxels; expected a cube; crop or pad it")
    if volume.shape[0] < MIN_BOX_SIZE:
        raise MapError(f"the map has {shape} voxels; expected at least {MIN_BOX_SIZE} per side")
    if volume.shape[0] % 2:
        raise MapError(f"the map has an odd box, {shape}; expected an even one; pad it by one")
    if not np.isrealobj(volume):
        raise MapError(
            "the map holds complex values; expected real ones; give the map, not its transform"
        )
    check_map_values(volume, "the map")
    if not (np.isfinite(voxel_size) and voxel_size > 0):
        raise SettingsError(f"the voxel size is {voxel_size:g} Å; it must be positive")
    if resolution is not None and not (np.isfinite(resolution) and resolution > 0):
        raise SettingsError(f"the resolution is {resolution:g} Å; it must be positive")


def unit_density(volume: FloatArray) -> Float32:
    """Return a map without its background, of positive density, its highest from 1 to 2.

    Squares of very large or small densities would not be finite, or 0, in single precision. The
    factor is a power of two, so that no digit is lost.
    """
    upright = upright_density(volume)
    return np.asarray(upright * unit_factor(upright), dtype=np.float32)


def unit_factor(density: FloatArray) -> np.float32:
    """Return the power of two that brings the largest value of a density from 1 to 2."""
    largest = float(np.abs(density).max())
    exponent = float(np.clip(np.floor(np.log2(max(largest, 1e-38))), -120, 120))
    return np.float32(2.0**-exponent)
