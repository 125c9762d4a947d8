"""Checksums of the images of a run, by which a replaced or damaged stack is recognised."""

from __future__ import annotations

import logging

import numpy as np

from napari_ini3d._types import UInt32
from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import load_arrays, save_arrays

logger = logging.getLogger(__name__)

_NAME = "images.npz"


def write_image_checksums(folder: RunFolder, checksums: UInt32) -> None:
    """Write the checksums (N,) of the particles of a run, `images.npz`."""
    path = folder.path / _NAME
    folder.claim(path)
    save_arrays(path, {"crc32": checksums})


def read_image_checksums(folder: RunFolder, n_particles: int) -> UInt32 | None:
    """Return the checksums (N,) of the particles of a run.

    None if there are none, as in runs of early versions, or they are damaged, which is logged:
    then the images are not compared with those that were checked.

    Raises
    ------
    RunFolderError
        If they are those of another number of particles.
    """
    path = folder.path / _NAME
    if not path.is_file():
        logger.warning("%s is missing; the images are not compared with those checked", path)
        return None
    try:
        found = load_arrays(path)["crc32"]
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s: %s; the images are not compared with those checked", path, error)
        return None
    if found.dtype != np.uint32 or found.shape != (n_particles,):
        raise RunFolderError(
            f"{path} has {found.size} checksums, but the run {n_particles} particles; expected the "
            "file that the run wrote; restore it, or start again in another folder"
        )
    return found
