"""Maps of the random starts when the best was chosen: small, aligned, and only for display."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32
from napari_ini3d.engine import IterationReport
from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import load_arrays, save_arrays

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartMaps:
    """Maps of the random starts of a run.

    Attributes
    ----------
    iteration : int
        The last one of the starts.
    maps : (S, m, m, m) float32
        The best start, whose map goes on, and the others, aligned to it.
    voxel_size : float
        Å.
    resolution : float
        Å, up to which they were compared.
    """

    iteration: int
    maps: Float32
    voxel_size: float
    resolution: float


def write_start_maps(folder: RunFolder, report: IterationReport) -> None:
    """Write the maps of the starts with their last iteration; a failure is logged.

    If starts are tried again, the newer ones replace them.
    """
    maps = report.aligned_starts
    if maps is None or len(maps) < 2:
        return
    path = _path(folder)
    width = report.volumes.shape[-1] * report.voxel_size  # Å
    arrays = {
        "maps": np.asarray(maps, np.float32),
        "iteration": np.array(report.iteration),
        "voxel_size": np.array(width / maps.shape[-1]),
        "resolution": np.array(2 * width / report.current_size),
    }
    try:
        folder.claim(path)
        save_arrays(path, arrays, compressed=True, durable=False)
    except RunFolderError as error:
        logger.warning("the random starts cannot be compared later (%s); the run goes on", error)


def read_start_maps(folder: RunFolder) -> StartMaps | None:
    """Return the maps of the starts; None if there are none, or the file is damaged (logged)."""
    path = _path(folder)
    if not path.is_file():
        return None
    try:
        arrays = load_arrays(path)
        maps, voxel_size = arrays["maps"], float(arrays["voxel_size"])
        is_stack = maps.ndim == 4 and len(maps) > 1 and len(set(maps.shape[1:])) == 1
        if not is_stack or maps.dtype != np.float32 or not np.isfinite(maps).all():
            raise ValueError(f"maps of the shape {maps.shape}")
        found = StartMaps(int(arrays["iteration"]), maps, voxel_size, float(arrays["resolution"]))
        if not (0 < found.voxel_size < np.inf and 0 < found.resolution < np.inf):
            raise ValueError("voxel size or resolution are out of range")
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s is damaged (%s); it is ignored", path, error)
        return None
    return found


def _path(folder: RunFolder) -> Path:
    return folder.path / "start_maps.npz"
