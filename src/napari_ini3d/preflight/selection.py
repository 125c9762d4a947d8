"""Selection of the images of a run, its mask diameter, and whether images are inverted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Int32, IntArray, UInt32
from napari_ini3d.errors import InputError, SettingsError
from napari_ini3d.io import StackReader, reading_threads
from napari_ini3d.particles import Particles
from napari_ini3d.preflight.check import BadImage, bad_images
from napari_ini3d.preflight.measure import (
    INVISIBLE,
    Contrast,
    describe_contrast,
    measure_particles,
    must_invert,
)
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
        Of the particles, as measured.
    inverted : bool
        Whether the images are to be inverted.
    replaced_pixels : (N,) int32
        Number of outlier pixels that were replaced in each image.
    checksums : (N,) uint32
        CRC-32 of each image, to recognise it when it is read again.
    """

    good: IntArray
    bad: tuple[BadImage, ...]
    mask_diameter: float
    contrast: Contrast
    inverted: bool
    replaced_pixels: Int32
    checksums: UInt32


def select_images(
    particles: Particles, settings: InitialModelSettings, between: Callable[[], object]
) -> Selection:
    """Check every image, exclude the bad ones, and measure contrast and mask diameter.

    A mask diameter that is given is kept.

    Parameters
    ----------
    particles : Particles
    settings : InitialModelSettings
    between : callable
        Called every 1024 images and between the checks; it may raise to cancel them.

    Raises
    ------
    SettingsError
        If the mask does not fit into the box.
    InputError
        If a stack cannot be used, or too many images are bad.
    """
    threads = reading_threads(settings.threads, shared=False)
    with closing(StackReader(particles, threads=threads)) as reader:
        check_mask(settings, reader.box_size, reader.pixel_size)
        bad: list[BadImage] = []
        for start in range(0, len(particles), _IMAGES_AT_ONCE):
            between()
            bad += bad_images(reader, np.arange(len(particles))[start : start + _IMAGES_AT_ONCE])
        good = exclude_bad_images(particles, bad, settings.max_excluded)
        between()
        found = measure_particles(reader, good)
    inverted = must_invert(found.contrast, settings.invert_contrast)
    if inverted or found.contrast == "black on white":
        logger.warning("%s", describe_contrast(found.contrast, settings.invert_contrast))
    if not (found.visible or settings.mask_diameter):
        logger.warning("%s", INVISIBLE)
    return Selection(
        good=good,
        bad=tuple(bad),
        mask_diameter=float(settings.mask_diameter or round(found.mask_diameter)),
        contrast=found.contrast,
        inverted=inverted,
        replaced_pixels=reader.replaced_pixels,
        checksums=reader.checksums,
    )


def check_mask(settings: InitialModelSettings, box_size: int, pixel_size: float) -> None:
    """Raise `SettingsError` for a mask that does not fit into the box of the particles."""
    width = box_size * pixel_size
    if settings.mask_diameter is not None and settings.mask_diameter > width:
        raise SettingsError(
            f"mask_diameter is {settings.mask_diameter:g} Å; the box is {box_size} pixels "
            f"of {pixel_size:g} Å, {width:.0f} Å wide; give a smaller diameter, or "
            "re-extract the particles in a larger box"
        )


def exclude_bad_images(
    particles: Particles, bad: Sequence[BadImage], max_excluded: float
) -> IntArray:
    """Return the positions of the particles without the bad ones.

    Raises
    ------
    InputError
        If the fraction of bad images exceeds `max_excluded`, or all are bad.
    """
    n, n_bad = len(particles), len(bad)
    if n_bad > max_excluded * n or n_bad == n:
        first = ", ".join(f"{_image_name(particles, b.index)} ({b.reason})" for b in bad[:3])
        raise InputError(
            f"{n_bad} of {n} images cannot be used (such as {first}); at most {max_excluded:.1%} "
            "may be excluded; repair the stacks, remove the rows, or increase --max-excluded"
        )
    return np.setdiff1d(np.arange(n), [image.index for image in bad])


def _image_name(particles: Particles, index: int) -> str:
    stack = particles.stack_paths[int(particles.stack_index[index])]
    return f"{int(particles.image_index[index]) + 1}@{stack}"
