"""Local agreement of the half-maps of a run, or of its starts, for the map that a layer shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from scipy.ndimage import affine_transform

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import InputError
from napari_ini3d.fourier import resize_map
from napari_ini3d.plugin.viewer import find_halves, get_metadata, shown_iteration
from napari_ini3d.runs import RunFolder, StartMaps, ValidationFiles, read_start_maps
from napari_ini3d.symmetry import correlate_locally


def half_maps_of(viewer: Any, layer: Image) -> ValidationFiles:
    """Return the half-maps of the map that a layer shows.

    Raises
    ------
    InputError
        If it is not the map of a run with half-maps, as it was written.
    """
    _check_as_written(layer, "half-maps")
    return find_halves(viewer, layer).files


def starts_of(viewer: Any, layer: Image) -> StartMaps:
    """Return the random starts of the run whose map a layer shows.

    Raises
    ------
    InputError
        If it is not the map of a run, as it was written, at the iteration at which they were
        compared.
    """
    path = get_metadata(layer, "path")
    if not path or not Path(str(path)).is_dir():
        raise InputError(
            f"{layer.name} is not an iteration of a run: it has no random starts; open a run folder"
        )
    _check_as_written(layer, "random starts")
    folder = RunFolder(Path(str(path)))
    found = read_start_maps(folder)
    if found is None:
        raise InputError(
            f"{folder.path} has no maps of several random starts; they are kept when the best is "
            "chosen"
        )
    listed = get_metadata(layer, "iterations") is not None
    shown = shown_iteration(viewer, layer) if listed else get_metadata(layer, "iteration")
    if shown != found.iteration:
        raise InputError(
            f"the starts were compared at iteration {found.iteration}; show that one (Show "
            "iterations in the dock Initial model)"
        )
    return found


def _check_as_written(layer: Image, what: str) -> None:
    """Raise `InputError` if a map was moved, mirrored, or computed from others."""
    origin = get_metadata(layer, "origin")
    moved = origin is not None and (origin.flipped or not origin.motion.is_identity)
    if moved or get_metadata(layer, "source") is not None:
        raise InputError(
            f"{layer.name} is not a map of a run as it was written: it has no {what}; "
            "show a map of the run itself"
        )


def start_agreement(starts: StartMaps, box_size: int) -> Float32:
    """Return the mean local correlation (n, n, n) of the other starts with the best one.

    Parameters
    ----------
    starts : StartMaps
    box_size : int
        Voxels per side of the result, which has the width of the maps.
    """
    resolution = starts.resolution / starts.voxel_size  # voxels
    best, others = starts.maps[0], starts.maps[1:]
    found = np.mean([correlate_locally(best, other, resolution) for other in others], axis=0)
    step = len(best) / box_size
    return np.asarray(
        affine_transform(
            found,
            np.full(3, step),
            offset=len(best) // 2 - step * (box_size // 2),
            output_shape=(box_size,) * 3,
            order=1,
            mode="nearest",
        ),
        np.float32,
    )


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
