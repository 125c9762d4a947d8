"""Checks of the values of a map: finite, not constant, not too small."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import MapError

MIN_BOX_SIZE = 16
"""Voxels per side."""


def check_map_values(data: FloatArray, name: str, *, allow_empty: bool = False) -> None:
    """Refuse a map that is not finite or is the same everywhere.

    Parameters
    ----------
    data : array
    name : str
        Of the map, for messages.
    allow_empty : bool
        Accept a map in which every voxel is 0.

    Raises
    ------
    MapError
    """
    low, high = float(data.min()), float(data.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int((~np.isfinite(data)).sum())
        raise MapError(
            f"{name}: {count} voxels are NaN or infinite; expected finite values; repair the map"
        )
    if low == high and not (allow_empty and low == 0):
        raise MapError(f"{name}: every voxel is {low:g}; expected a map with density in it")
