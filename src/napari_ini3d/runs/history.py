"""History of a run: small maps of every iteration, for replay in the viewer.

``history/it012.npz`` in the run folder contains the maps of all classes after iteration 12, in
half precision and with at most `HISTORY_SIZE` voxels per side. They are only displayed. For
iterations without such a file, the written MRC files are read.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32, FloatArray
from napari_ini3d.errors import RunFolderError
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import read_map
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import explain_os_errors, load_arrays, save_arrays

logger = logging.getLogger(__name__)

HISTORY_SIZE = 128
"""Maximum number of voxels per side of a map in the history."""

_SMALL_NAME = re.compile(r"it(\d+)\.npz")
_MAP_NAME = re.compile(r"run_it(\d+)_class(\d+)\.mrc")


def write_history(folder: RunFolder, iteration: int, volumes: FloatArray, voxel: float) -> None:
    """Write the small maps of an iteration; a failure is logged, since they are only displayed.

    Parameters
    ----------
    folder : RunFolder
    iteration : int
    volumes : (K, n, n, n)
        Real space (z, y, x).
    voxel : float
        Å.
    """
    n = volumes.shape[-1]
    size = min(n, HISTORY_SIZE)
    small = np.stack([resize_map(volume, size) for volume in volumes])
    peak = float(np.abs(small).max()) or 1.0
    arrays = {"maps": (small / peak).astype(np.float16), "peak": np.array(peak)}
    path = _small_path(folder, iteration)
    try:
        with explain_os_errors(path):
            path.parent.mkdir(exist_ok=True)
        folder.claim(path)
        arrays["voxel_size"] = np.array(voxel * n / size)
        save_arrays(path, arrays, durable=False)  # flushing would take most of the time
    except RunFolderError as error:
        logger.warning("iteration %d cannot be replayed (%s); the run goes on", iteration, error)


def read_history(folder: RunFolder, iteration: int, class_index: int) -> tuple[Float32, float]:
    """Return the map (m, m, m) of a class (from 0) after an iteration, and its voxel size in Å.

    Annealed classes share one map at first; a single map is returned for every class.

    Raises
    ------
    RunFolderError
        If there is no map of the iteration and class.
    MapError
        If the MRC file cannot be read.
    """
    small = _read_small(_small_path(folder, iteration), class_index)
    if small is not None:
        return small
    path = folder.class_map_path(iteration, class_index)
    if not path.is_file():
        raise RunFolderError(
            f"{folder.path} has no map of class {class_index + 1} at iteration {iteration}; "
            "choose another iteration"
        )
    found = read_map(path, allow_odd=True, allow_empty=True)
    size = min(found.data.shape[0], HISTORY_SIZE)
    voxel = found.voxel_size * found.data.shape[0] / size
    return resize_map(found.data, size), voxel


def _read_small(path: Path, class_index: int) -> tuple[Float32, float] | None:
    """Return a small map and its voxel size; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        arrays = load_arrays(path)
        maps, voxel_size = arrays["maps"], float(arrays["voxel_size"])
        chosen = maps[0 if len(maps) == 1 else class_index]
        volume = chosen.astype(np.float32) * np.float32(arrays["peak"])
        is_cube = volume.ndim == 3 and len(set(volume.shape)) == 1
        if not (is_cube and np.isfinite(volume).all() and 0 < voxel_size < np.inf):
            raise ValueError("it holds no map")
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        logger.warning("%s is damaged (%s); it is ignored", path, error)
        return None
    return volume, voxel_size


def history_iterations(folder: RunFolder, class_index: int = 0) -> list[int]:
    """Return the iterations with a map of a class, ascending."""
    small = (_SMALL_NAME.fullmatch(p.name) for p in _history_path(folder).glob("it*.npz"))
    maps = (_MAP_NAME.fullmatch(p.name) for p in folder.path.glob("run_it*_class*.mrc"))
    found = {int(m[1]) for m in small if m}
    found |= {int(m[1]) for m in maps if m and int(m[2]) == class_index + 1}
    return sorted(found)


def forget_history_after(folder: RunFolder, iteration: int) -> None:
    """Delete the small maps of later iterations; a failure is logged."""
    later = (
        path
        for path in _history_path(folder).glob("it*.npz")
        if (match := _SMALL_NAME.fullmatch(path.name)) and int(match[1]) > iteration
    )
    try:
        folder.remove_outputs(*later)
    except RunFolderError as error:
        logger.warning(
            "an outdated map of the history is not deleted (%s); delete it by hand", error
        )


def _history_path(folder: RunFolder) -> Path:
    return folder.path / "history"


def _small_path(folder: RunFolder, iteration: int) -> Path:
    return _history_path(folder) / f"it{iteration:03d}.npz"
