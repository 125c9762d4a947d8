"""Newest maps of a run, in full size, for programs that follow it; removed when it ends.

The maps of the history (`runs.history`) are smaller and in half precision.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import Ini3dError, RunFolderError
from napari_ini3d.io import read_map
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import read_history
from napari_ini3d.runs.storage import load_arrays, save_arrays
from napari_ini3d.runs.summary import IterationSummary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IterationMaps:
    """Maps of all classes after an iteration.

    Attributes
    ----------
    iteration : int
    volumes : (K, n, n, n) float32
        Real space (z, y, x).
    voxel_size : float
        Å.
    """

    iteration: int
    volumes: Float32
    voxel_size: float


def write_newest_maps(folder: RunFolder, iteration: int, volumes: FloatArray, voxel: float) -> None:
    """Write the newest maps; a failure is logged, since they are only displayed.

    Parameters
    ----------
    folder : RunFolder
    iteration : int
    volumes : (K, n, n, n)
        Real space (z, y, x).
    voxel : float
        Å.
    """
    path = _path(folder)
    arrays = {
        "maps": np.asarray(volumes, dtype=np.float32),
        "voxel_size": np.array(voxel),
        "iteration": np.array(iteration),
    }
    try:
        folder.claim(path)
        save_arrays(path, arrays, durable=False)  # flushing would take most of the time
    except RunFolderError as error:
        logger.warning(
            "the maps of iteration %d cannot be followed (%s); the run goes on", iteration, error
        )


def read_newest_maps(folder: RunFolder) -> IterationMaps | None:
    """Return the newest maps; None if there are none, or they cannot be read at the moment."""
    try:
        arrays = load_arrays(_path(folder))
        volumes = arrays["maps"]
        if volumes.ndim != 4 or volumes.dtype != np.float32 or len(set(volumes.shape[1:])) != 1:
            raise ValueError(f"maps of the shape {volumes.shape}")
        return IterationMaps(int(arrays["iteration"]), volumes, float(arrays["voxel_size"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:  # replaced on another machine
        logger.debug("%s cannot be read: %s", _path(folder), error)
        return None


def remove_newest_maps(folder: RunFolder) -> None:
    """Delete the newest maps of a run that ends; a failure is logged."""
    try:
        folder.remove_outputs(_path(folder))
    except RunFolderError as error:
        logger.warning("the newest maps are not deleted (%s); delete them by hand", error)


def read_maps_of(folder: RunFolder, summary: IterationSummary) -> IterationMaps | None:
    """Return the maps of an iteration from the written ones, or else from the history.

    None if neither has them.

    Parameters
    ----------
    folder : RunFolder
    summary : IterationSummary
        Of the iteration.
    """
    iteration, classes = summary.iteration, range(len(summary.resolution))
    paths = [folder.class_map_path(iteration, k) for k in classes]
    try:
        if all(path.is_file() for path in paths):
            maps = [read_map(path, allow_odd=True, allow_empty=True) for path in paths]
            found = [(each.data, each.voxel_size) for each in maps]
        else:
            found = [read_history(folder, iteration, k) for k in classes]
        volumes = np.stack([volume for volume, _ in found]).astype(np.float32, copy=False)
        return IterationMaps(iteration, volumes, found[0][1])
    except (OSError, ValueError, Ini3dError) as error:
        logger.debug("%s: no maps of iteration %d: %s", folder.path, iteration, error)
        return None


def _path(folder: RunFolder) -> Path:
    return folder.path / "newest_maps.npz"
