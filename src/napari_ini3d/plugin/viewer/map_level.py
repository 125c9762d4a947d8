"""Level of the surface of a map, in standard deviations above the mean of the map."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_ini3d.plugin import contour_level, map_statistics, surface_contrast
from napari_ini3d.plugin.viewer.metadata import layer_metadata

_SHADED_WELL = (0.15, 0.6)  # level as a fraction of the contrast range


def level_in_sigma(layer: Image) -> float:
    """Return the level of the isosurface in standard deviations above the mean of the map.

    Also valid after the user has moved napari's own slider.
    """
    statistics = statistics_of(layer)
    return (float(layer.iso_threshold) - statistics["mean"]) / statistics["std"]


def standard_deviation(layer: Image) -> float:
    """Return the standard deviation of the displayed values of a map."""
    return float(statistics_of(layer)["std"])


def set_level_in_sigma(layer: Image, sigma: float) -> None:
    """Set the isosurface to `sigma` standard deviations above the mean of the map."""
    level = contour_level(statistics_of(layer), sigma)
    layer.iso_threshold = level
    low, high = layer.contrast_limits
    share = (level - low) / (high - low)
    if not _SHADED_WELL[0] <= share <= _SHADED_WELL[1]:
        layer.contrast_limits_range = surface_contrast(level)
        layer.contrast_limits = surface_contrast(level)


def statistics_of(layer: Image) -> dict[str, float]:
    """Return mean and standard deviation of the displayed map."""
    entries = layer_metadata(layer)
    if "mean" in entries and "std" in entries:
        return {"mean": entries["mean"], "std": entries["std"]}
    return map_statistics(np.asarray(layer.data))
