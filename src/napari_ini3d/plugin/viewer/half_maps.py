"""Independent half-maps of the map that a layer shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_ini3d._types import Float32
from napari_ini3d.errors import Ini3dError, InputError
from napari_ini3d.fourier import mirror_map, rotate_map
from napari_ini3d.plugin.viewer.derived_maps import is_map_of_file
from napari_ini3d.plugin.viewer.layer_transform import Origin, voxel_size_of
from napari_ini3d.plugin.viewer.map_layers import shown_iteration
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.runs import RunFolder, ValidationFiles

_SAME_WIDTH = 0.01  # relative difference of the widths of boxes


@dataclass(frozen=True, slots=True)
class RunHalves:
    """The half-maps of a run, for its map and whatever was made from it by motions.

    Attributes
    ----------
    files : ValidationFiles
    """

    files: ValidationFiles

    def read(self, origin: Origin) -> tuple[Float32, Float32] | None:
        """Return the half-maps in the box of a map, mirrored and moved as it was.

        None if they cannot be read, which is logged.
        """
        halves = self.files.read_half_maps(len(origin.volume))
        if halves is None:
            return None
        first, second = (_moved_as(origin, half) for half in halves)
        return first, second


def _moved_as(origin: Origin, half: Float32) -> Float32:
    if origin.flipped:
        half = mirror_map(half)
    if origin.motion.is_identity:
        return half
    return rotate_map(half, origin.motion.rotation, origin.motion.shift)


def find_halves(viewer: Any, layer: Image) -> RunHalves:
    """Return the half-maps of the map that a layer shows, which may have been moved or mirrored.

    Raises
    ------
    InputError
        If it is not the map of a run to which half-maps belong: the final one, or that of the
        largest class at the last iteration.
    """
    path = get_metadata(layer, "path")
    if not path or not is_map_of_file(layer):
        raise InputError(
            f"{layer.name} is not a map of a run, so it has no half-maps; show the final map "
            "of a run"
        )
    place = Path(str(path))
    folder = RunFolder(place if place.is_dir() else place.parent)
    files = ValidationFiles(folder)
    facts = files.read_facts()
    if facts is None or not all(half.is_file() for half in files.half_map_paths):
        raise InputError(f"{folder.path} has no half-maps; they are made at the end of a run")
    if not place.is_dir() and place.absolute() != folder.map_path.absolute():
        name = folder.map_path.name
        raise InputError(f"{layer.name} is not {name}, to which the halves belong; show that one")
    if place.is_dir():
        _check_iteration(viewer, layer, folder)
    width, own = (
        facts["box_size"] * facts["voxel_size"],
        layer.data.shape[-1] * voxel_size_of(layer),
    )
    if not math.isclose(width, own, rel_tol=_SAME_WIDTH):
        raise InputError(
            f"the box of {layer.name} is {own:.0f} Å wide, that of the half-maps {width:.0f} Å; "
            "show the map as the run wrote it"
        )
    return RunHalves(files)


def _check_iteration(viewer: Any, layer: Image, folder: RunFolder) -> None:
    try:
        summary = folder.read_progress()[-1]
        last, largest = summary["iteration"], int(np.argmax(summary["class_shares"]))
    except (Ini3dError, IndexError, KeyError) as error:
        raise InputError(f"{folder.path} cannot be read ({error}); check its files") from error
    if (get_metadata(layer, "class_index") or 0) != largest:
        raise InputError(f"the halves belong to class {largest + 1}, the largest; show that one")
    listed = get_metadata(layer, "iterations") is not None
    shown = shown_iteration(viewer, layer) if listed else get_metadata(layer, "iteration")
    if shown != last:
        raise InputError(f"the halves belong to iteration {last}, the last one; show that one")
