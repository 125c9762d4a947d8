"""Sample data for napari's File menu, made on the spot."""

from __future__ import annotations

from napari_ini3d.layers import LayerData, map_layer
from napari_ini3d.simulation import make_phantom

_BOX_SIZE = 64
_VOXEL_SIZE = 3.0  # Å


def make_phantom_map() -> list[LayerData]:
    """Return the map of a phantom protein without symmetry."""
    phantom = make_phantom("C1", seed=1)
    volume = phantom.density(_BOX_SIZE, _VOXEL_SIZE)
    return [map_layer(volume, _VOXEL_SIZE, "phantom")]
