"""Selection of the images of a run, its mask diameter, and whether images are inverted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Int32, IntArray, UInt32
from napari_ini3d.io import ParticleTable, StackReader, inspect_stacks, reading_threads
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.background import BackgroundShapes
from napari_ini3d.preflight.bad_images import BadImage, bad_images
from napari_ini3d.preflight.check import check_images, check_mask
from napari_ini3d.preflight.findings import raise_errors, with_strict
from napari_ini3d.preflight.measure import Contrast
from napari_ini3d.preflight.values import inspect_values
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_IMAGES_AT_ONCE = 1024  # images that are checked between two calls of `between`


@dataclass(frozen=True, slots=True)
class Selection:
    """Images and mask diameter of a run.

    Attributes
    ----------
    good : (N,) int
        Positions of the particles that are used.
    bad : tuple of BadImage
        Images that are excluded.
    mask_diameter : float
        Å, from the settings or estimated.
    contrast : {"white on black", "black on white", "undecided"}
        Of the particles, as measured, or as their file says.
    inverted : bool
        Whether the images are to be inverted.
    replaced_pixels : (N,) int32
        Number of outlier pixels that were replaced in each image.
    checksums : (N,) uint32
        CRC-32 of each image, to recognise it when it is read again.
    n_uneven : int
        Images with a step or a steep gradient of the background.
    """

    good: IntArray
    bad: tuple[BadImage, ...]
    mask_diameter: float
    contrast: Contrast
    inverted: bool
    replaced_pixels: Int32
    checksums: UInt32
    n_uneven: int


def select_images(
    particles: Particles,
    table: ParticleTable,
    settings: InitialModelSettings,
    between: Callable[[], object],
    *,
    strict: bool = False,
) -> Selection:
    """Check every image, exclude the bad ones, and measure contrast and mask diameter.

    A mask diameter that is given is kept. Warnings and notes are logged.

    Parameters
    ----------
    particles : Particles
    table : ParticleTable
        From which they were read.
    settings : InitialModelSettings
    between : callable
        Called every 1024 images and between the checks; it may raise to cancel them.
    strict : bool
        Treat warnings as errors.

    Raises
    ------
    SettingsError
        If the mask does not fit into the box.
    InputError
        If a stack cannot be used, too many images are bad, or the values of the particles are
        impossible.
    """
    threads = reading_threads(settings.threads, shared=False)
    headers, errors = inspect_stacks(particles)
    if errors:
        raise errors[0]
    values = with_strict(inspect_values(particles, table, headers, settings), strict=strict)
    raise_errors(values)
    with closing(StackReader(particles, threads=threads)) as reader:
        check_mask(settings, reader.box_size, reader.pixel_size)
        unreadable: list[BadImage] = []
        shapes = BackgroundShapes(len(particles))
        for start in range(0, len(particles), _IMAGES_AT_ONCE):
            between()
            some = np.arange(len(particles))[start : start + _IMAGES_AT_ONCE]
            unreadable += bad_images(reader, some, shapes=shapes)
        between()
        found = check_images(reader, particles, unreadable, settings, shapes)
    images = with_strict(found.findings, strict=strict)
    raise_errors(images)
    assert found.mask_diameter is not None  # without good images there is an error
    for finding in (*values, *images):
        level = logging.WARNING if finding.level == "warning" else logging.INFO
        logger.log(level, "%s", finding)
    return Selection(
        good=found.good,
        bad=found.bad,
        mask_diameter=float(settings.mask_diameter or round(found.mask_diameter)),
        contrast=found.contrast,
        inverted=found.inverted,
        replaced_pixels=found.replaced,
        checksums=reader.checksums,
        n_uneven=found.n_uneven,
    )
