"""Common grid of the images of particles, and whether a scratch folder can hold them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from napari_ini3d.errors import StackError
from napari_ini3d.io.images.resample import common_grid
from napari_ini3d.io.images.scratch import check_scratch, check_scratch_images
from napari_ini3d.particles import Particles

logger = logging.getLogger(__name__)


def check_scratch_for(particles: Particles, pixel_size: float | None, folder: Path) -> None:
    """Check that a `StackReader` of this pixel size could use a scratch folder.

    Parameters
    ----------
    particles : Particles
    pixel_size : float or None
        Å, as for `StackReader`.
    folder : Path

    Raises
    ------
    RunFolderError
        If the folder cannot be written, or its disk has too little free space.
    StackError
        If a stack is missing.
    """
    grid = choose_grid(particles, None, pixel_size)
    if are_on_grid(particles, *grid):
        paths = particles.stack_paths
        check_scratch([paths[i] for i in np.unique(particles.stack_index)], folder)
    else:
        check_scratch_images(particles, *grid, folder)


def _grids(particles: Particles) -> list[tuple[int, float]]:
    """Return the box and pixel size of each optics group with particles."""
    used = (particles.optics[i] for i in np.unique(particles.optics_index))
    return [(group.box_size, group.pixel_size) for group in used]


def are_on_grid(particles: Particles, box_size: int, pixel_size: float) -> bool:
    """Return whether the images of all particles are on a grid without resampling."""
    return set(_grids(particles)) == {(box_size, pixel_size)}


def choose_grid(
    particles: Particles, box_size: int | None, pixel_size: float | None
) -> tuple[int, float]:
    grids = _grids(particles)
    if not grids:
        raise StackError("no particles were given; expected at least one")
    if pixel_size is not None:
        _check_pixel_size(pixel_size)
    common_box, common_pixel = common_grid(grids, pixel_size)
    if box_size is not None and (box_size <= 0 or box_size % 2):
        raise StackError(f"box size {box_size}; expected an even number of pixels")
    chosen = box_size or common_box, common_pixel
    if len(set(grids)) > 1:
        logger.info("optics groups differ: images resampled to %d pixels of %g Å", *chosen)
    return chosen


def _check_pixel_size(pixel_size: float) -> None:
    if not (np.isfinite(pixel_size) and pixel_size > 0):
        raise StackError(f"pixel size {pixel_size:g} Å; expected more than 0")
