"""Averages of a 2D classification as if they were particles, for a quick look."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray
from napari_ini3d.errors import StackError
from napari_ini3d.io.mrc.stack import StackHeader, open_stack, read_stack_header
from napari_ini3d.io.star.particles import ParticleTable, make_particles
from napari_ini3d.particles import Particles

logger = logging.getLogger(__name__)

_UNKNOWN_VOLTAGE = 300.0  # the CTF is not used


def read_class_averages(path: Path | str) -> tuple[Particles, ParticleTable]:
    """Read a stack of class averages (``run_it025_classes.mrcs``) as one particle for each.

    Averages without contrast, which are those of empty classes, are left out. Averages have been
    corrected for the CTF: they are to be used without it.

    Parameters
    ----------
    path : Path or str
        Image stack (MRC) with the pixel size in its header.

    Returns
    -------
    particles : Particles
    table : ParticleTable

    Raises
    ------
    StackError
        If the file is not a stack of square images, has no pixel size, or all its images are
        empty.
    """
    stack = Path(path).absolute()
    header = read_stack_header(stack)
    if not header.pixel_size > 0:
        raise StackError(
            f"{stack}: no pixel size in the header; expected that of the class averages; set it "
            "with relion_image_handler --i FILE --force_header_angpix 3.5 --o FILE"
        )
    used = np.flatnonzero(_has_contrast(stack, header))
    if not used.size:
        raise StackError(
            f"{stack}: all {header.n_images} images are empty; expected class averages"
        )
    if len(used) < header.n_images:
        empty = header.n_images - len(used)
        logger.info("%s: %d of %d classes are empty, and left out", stack, empty, header.n_images)
    names = [f"{number + 1:06d}@{_as_stack(stack)}" for number in used.tolist()]
    optics = {
        "rlnOpticsGroup": np.array([1]),
        "rlnOpticsGroupName": np.array(["class_averages"], dtype=object),
        "rlnVoltage": np.array([_UNKNOWN_VOLTAGE]),
        "rlnImagePixelSize": np.array([header.pixel_size]),
        "rlnImageSize": np.array([header.nx]),
        "rlnImageDimensionality": np.array([2]),
    }
    columns = {
        "rlnImageName": np.array(names, dtype=object),
        "rlnOpticsGroup": np.ones(len(used), dtype=np.int64),
    }
    particles, table = make_particles(ParticleTable(stack, optics, columns), ctf=False)
    return particles, replace(table, class_averages=True)


def _as_stack(path: Path) -> str:
    return str(path) if path.suffix == ".mrcs" else f"{path}:mrcs"


def _has_contrast(path: Path, header: StackHeader) -> BoolArray:
    """Return which images (N,) are not constant."""
    found = np.zeros(header.n_images, dtype=np.bool_)
    image = np.empty((1, header.ny, header.nx), dtype=np.float32)
    with closing(open_stack(path, header)) as stack:
        for number in range(header.n_images):
            stack.read(np.array([number]), image)
            found[number] = np.ptp(image) > 0
    return found
