"""Local agreement of the half-maps of a run, for the map that a layer shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from napari.layers import Image

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import Ini3dError, InputError
from napari_ini3d.fourier import resize_map
from napari_ini3d.plugin.viewer import get_metadata, shown_iteration, voxel_size_of
from napari_ini3d.runs import RunFolder, ValidationFiles
from napari_ini3d.symmetry import correlate_locally

_SAME_WIDTH = 0.01  # relative difference of the widths of boxes


def half_maps_of(viewer: Any, layer: Image) -> ValidationFiles:
    """Return the half-maps of the map that a layer shows.

    Raises
    ------
    InputError
        If it is not the final map of a run with half-maps, as it was written.
    """
    path = get_metadata(layer, "path")
    origin = get_metadata(layer, "origin")
    moved = origin is not None and (origin.flipped or not origin.motion.is_identity)
    if not path or moved or get_metadata(layer, "source") is not None:
        raise InputError(
            f"{layer.name} is not a map of a run as it was written: it has no half-maps"
        )
    place = Path(str(path))
    folder = RunFolder(place if place.is_dir() else place.parent)
    files = ValidationFiles(folder)
    facts = files.read_facts()
    if facts is None or not all(half.is_file() for half in files.half_map_paths):
        raise InputError(f"{folder.path} has no half-maps; they are made at the end of a run")
    if not place.is_dir() and place.absolute() != folder.map_path.absolute():
        raise InputError(f"{layer.name} is not {folder.map_path.name}, to which the halves belong")
    if place.is_dir():
        _check_iteration(viewer, layer, folder)
    width, own = (
        facts["box_size"] * facts["voxel_size"],
        layer.data.shape[-1] * voxel_size_of(layer),
    )
    if not math.isclose(width, own, rel_tol=_SAME_WIDTH):
        raise InputError(
            f"the box of {layer.name} is {own:.0f} Å wide, that of the half-maps {width:.0f} Å"
        )
    return files


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
        raise InputError(f"the half-maps in {files.folder.path} cannot be read")
    width = facts["box_size"] * facts["voxel_size"]  # Å
    resolution = max(float(facts["resolution_0143"]), 2 * width / box_size)
    first, second = (_low_passed(half, round(2 * width / resolution)) for half in halves)
    return correlate_locally(first, second, resolution * box_size / width)


def _check_iteration(viewer: Any, layer: Image, folder: RunFolder) -> None:
    try:
        classes = folder.read_record().settings.classes
        last = folder.read_progress()[-1]["iteration"]
    except (Ini3dError, IndexError, KeyError) as error:
        raise InputError(f"{folder.path} cannot be read: {error}") from error
    if classes > 1:
        raise InputError(
            f"the halves belong to the largest class; open {folder.map_path} for their agreement"
        )
    listed = get_metadata(layer, "iterations") is not None
    shown = shown_iteration(viewer, layer) if listed else get_metadata(layer, "iteration")
    if shown != last:
        raise InputError(f"the halves belong to iteration {last}, the last one; show that one")


def _low_passed(volume: FloatArray, small: int) -> Float32:
    """Return a map without the waves that a box of fewer voxels cannot hold."""
    n = len(volume)
    small = min(max(small + small % 2, 4), n)
    return resize_map(resize_map(volume, small), n)
