"""What napari shows of maps, as layer data: (array, keywords, layer type), without napari."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ini3d.particles import FloatArray

LayerData = tuple[FloatArray, dict[str, Any], str]


def map_layer(volume: FloatArray, voxel_size: float, name: str) -> LayerData:
    """Return a map as an image layer in ångström, centred on the origin.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x), rotation centre at voxel n // 2.
    voxel_size : float
        Å.
    name : str
        Of the layer.
    """
    high = float(np.percentile(volume, 99.9)) if volume.size else 1.0
    low = min(0.0, float(volume.min())) if volume.size else 0.0
    keywords = {
        "name": name,
        "scale": (voxel_size,) * 3,
        "translate": tuple(-(size // 2) * voxel_size for size in volume.shape),
        "units": ("angstrom",) * 3,
        "axis_labels": ("z", "y", "x"),
        "colormap": "gray",
        "contrast_limits": (low, high if high > low else low + 1.0),
        "metadata": {"voxel_size": voxel_size},
    }
    return volume, keywords, "image"
