"""Local agreement of the half-maps of a run, for the map that a layer shows."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import InputError
from napari_ini3d.fourier import resize_map
from napari_ini3d.plugin.viewer import find_halves, get_metadata
from napari_ini3d.runs import ValidationFiles
from napari_ini3d.symmetry import correlate_locally


def half_maps_of(viewer: Any, layer: Image) -> ValidationFiles:
    """Return the half-maps of the map that a layer shows.

    Raises
    ------
    InputError
        If it is not the map of a run with half-maps, as it was written.
    """
    origin = get_metadata(layer, "origin")
    moved = origin is not None and (origin.flipped or not origin.motion.is_identity)
    if moved or get_metadata(layer, "source") is not None:
        raise InputError(
            f"{layer.name} is not a map of a run as it was written, so it has no half-maps; show "
            "the final map of a run"
        )
    return find_halves(viewer, layer).files


def read_agreement(files: ValidationFiles, box_size: int) -> Float32:
    """Return the local correlation (n, n, n) of half-maps, up to the resolution of their FSC.

    Parameters
    ----------
    files : ValidationFiles
    box_size : int
        Voxels per side of the result.

    Raises
    ------
    InputError
        If the half-maps cannot be read.
    """
    halves, facts = files.read_half_maps(box_size), files.read_facts()
    if halves is None or facts is None:
        raise InputError(
            f"the half-maps in {files.folder.path} cannot be read; resume the run to make "
            "them again"
        )
    width = facts["box_size"] * facts["voxel_size"]  # Å
    resolution = max(float(facts["resolution_0143"]), 2 * width / box_size)
    first, second = (_low_passed(half, round(2 * width / resolution)) for half in halves)
    return correlate_locally(first, second, resolution * box_size / width)


def _low_passed(volume: FloatArray, small: int) -> Float32:
    """Return a map without the waves that a box of fewer voxels cannot hold."""
    n = len(volume)
    small = min(max(small + small % 2, 4), n)
    return resize_map(resize_map(volume, small), n)
