"""Checks of particles before a run: files, values, bad images, contrast, mask diameter."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.errors import InputError
from napari_ini3d.io import StackReader, inspect_stacks, read_particles
from napari_ini3d.particles import ImageSource, OpticsGroup, Particles
from napari_ini3d.preflight.measure import (
    INVISIBLE,
    Contrast,
    Measurement,
    describe_contrast,
    measure_particles,
    must_invert,
)
from napari_ini3d.preflight.resources import ResourceEstimate, estimate_resources
from napari_ini3d.preflight.working_box import PixelGrid, choose_working_grid, particle_grid
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

BadReason = Literal["not finite", "constant", "all zero"]

_BATCH = 256  # images; fewer if they are large
_BATCH_BYTES = 64 * 2**20
_CONSTANT_RANGE = 1e-5  # relative; larger than float32 rounding in resampled constants


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image that cannot be used: its position in the particles, and the reason."""

    index: int
    reason: BadReason


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Results of the checks of particles.

    Attributes
    ----------
    path : Path
    n_particles, n_stacks : int
    optics : tuple of OpticsGroup
    box_size : int
        Pixels, of the particles; 0 if they cannot be read.
    pixel_size : float
        Å, of the particles.
    working_grid : PixelGrid or None
        Grid on which a run processes the particles; coarser than theirs if they are oversampled.
    problems : tuple of str
        Problems that prevent a run.
    notes : tuple of str
        Warnings.
    bad_images : tuple of BadImage
        Images that a run would exclude.
    n_duplicates : int
        Particles with the same image as an earlier particle.
    n_mended : int
        Images in which outlier pixels are replaced.
    n_replaced_pixels : int
        Outlier pixels of all images.
    contrast : {"white on black", "black on white", "undecided"}
    inverted : bool
        Whether a run inverts the images.
    mask_diameter : float or None
        Å, estimated.
    resources : ResourceEstimate or None
    """

    path: Path
    n_particles: int = 0
    n_stacks: int = 0
    optics: tuple[OpticsGroup, ...] = ()
    box_size: int = 0
    pixel_size: float = 0.0
    working_grid: PixelGrid | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bad_images: tuple[BadImage, ...] = ()
    n_duplicates: int = 0
    n_mended: int = 0
    n_replaced_pixels: int = 0
    contrast: Contrast = "undecided"
    inverted: bool = False
    mask_diameter: float | None = None
    resources: ResourceEstimate | None = None

    @property
    def ok(self) -> bool:
        """True if a run can start."""
        return not self.problems


def check_particles(path: Path | str, settings: InitialModelSettings | None = None) -> CheckReport:
    """Check a particle STAR file and its stacks before a run.

    Every header and every image is read once. Bad input raises no error, but is reported.

    Parameters
    ----------
    path : Path or str
    settings : InitialModelSettings, optional
        Settings of the planned run. They decide whether the CTF is checked, and the estimates of
        memory and disk space.
    """
    settings = settings or InitialModelSettings()
    report, particles = check_headers(path, settings)
    if particles is None:
        return report
    with closing(StackReader(particles)) as source:
        bad = tuple(bad_images(source, len(particles)))
        return add_image_checks(report, source, particles, bad, settings)


def check_headers(
    path: Path | str, settings: InitialModelSettings
) -> tuple[CheckReport, Particles | None]:
    """Check a STAR file and the headers of its stacks, without reading images.

    Returns
    -------
    CheckReport, Particles or None
        None if there are problems.
    """
    star_path = Path(path)
    try:
        particles, _ = read_particles(star_path, ctf=settings.ctf)
    except InputError as error:
        return CheckReport(path=star_path, problems=(str(error),)), None
    headers, errors = inspect_stacks(particles)
    report = CheckReport(
        path=star_path,
        n_particles=len(particles),
        n_stacks=len(particles.stack_paths),
        optics=particles.optics,
        problems=tuple(str(error) for error in errors),
    )
    if errors:
        return report, None
    logger.info("%s: %d stack header(s) checked", star_path, len(headers))
    own = particle_grid(particles)
    report = replace(report, box_size=own.box_size, pixel_size=own.pixel_size)
    return _with_estimates(report, settings), particles


def _with_estimates(report: CheckReport, settings: InitialModelSettings) -> CheckReport:
    """Add the grid and the resources of the run, for the mask diameter that is known so far."""
    own = PixelGrid(report.box_size, report.pixel_size)
    known = settings.with_changes(mask_diameter=settings.mask_diameter or report.mask_diameter)
    return replace(
        report,
        working_grid=choose_working_grid(own, known),
        resources=estimate_resources(
            report.n_particles, own.box_size, known, pixel_size=own.pixel_size
        ),
    )


def add_image_checks(
    report: CheckReport,
    source: StackReader,
    particles: Particles,
    bad: tuple[BadImage, ...],
    settings: InitialModelSettings,
) -> CheckReport:
    """Add the checks of the images to the report of `check_headers`."""
    good = np.setdiff1d(np.arange(len(particles)), [image.index for image in bad])
    duplicates = count_duplicates(particles)
    found = measure_particles(source, good) if len(good) else None
    contrast: Contrast = found.contrast if found else "undecided"
    replaced = source.replaced_pixels
    excess = describe_excess(bad, len(particles), settings.max_excluded)
    checked = replace(
        report,
        problems=(f"{report.path}: {excess}",) if excess else (),
        notes=tuple(_notes(particles, found, duplicates, settings)),
        bad_images=bad,
        n_duplicates=duplicates,
        n_mended=int(np.count_nonzero(replaced)),
        n_replaced_pixels=int(replaced.sum()),
        contrast=contrast,
        inverted=must_invert(contrast, settings.invert_contrast),
        mask_diameter=found.mask_diameter if found else None,
    )
    return _with_estimates(checked, settings)


def _notes(
    particles: Particles,
    found: Measurement | None,
    duplicates: int,
    settings: InitialModelSettings,
) -> Iterator[str]:
    if found:
        invert = must_invert(found.contrast, settings.invert_contrast)
        if invert or found.contrast == "black on white":
            yield describe_contrast(found.contrast, settings.invert_contrast)
        if not (found.visible or settings.mask_diameter):
            yield INVISIBLE
    if duplicates:
        yield f"{duplicates} particles have the same image as another one; remove duplicates"
    if any(group.ctf_premultiplied for group in particles.optics):
        yield "some images are CTF-premultiplied (data_optics); a run accounts for that"


def count_duplicates(particles: Particles) -> int:
    """Count the particles with the same image as an earlier particle."""
    stack = particles.stack_index.astype(np.int64)
    key = stack * (int(particles.image_index.max(initial=0)) + 1) + particles.image_index
    return len(key) - len(np.unique(key))


def bad_images(
    source: ImageSource, images: int | IntArray, *, batch_size: int = _BATCH
) -> Iterator[BadImage]:
    """Yield the images that cannot be used, in order; each image is read once.

    The minimum and maximum of an image suffice: with a NaN both are NaN, with an infinity one of
    them is infinite, and in a constant image they are equal.

    Parameters
    ----------
    source : ImageSource
    images : int or (N,) int array
        Number of images to check, from the first, or their indices.
    batch_size : int
        Maximum number of images in memory.
    """
    index = np.arange(images) if isinstance(images, int) else images
    batch_size = min(batch_size, _batch_size(source))
    for batch in source.batches(_split(index, batch_size)):
        flat = batch.images.reshape(len(batch.images), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            tolerance = _CONSTANT_RANGE * np.maximum(np.abs(low), np.abs(high))
            good = np.isfinite(low) & np.isfinite(high) & (high - low > tolerance)
        for i in np.flatnonzero(~good):
            yield BadImage(int(batch.index[i]), _reason(low[i], high[i]))


def _reason(low: np.float32, high: np.float32) -> BadReason:
    if not (np.isfinite(low) and np.isfinite(high)):
        return "not finite"
    return "all zero" if low == high == 0 else "constant"


def _batch_size(source: ImageSource) -> int:
    return int(np.clip(_BATCH_BYTES // (4 * source.box_size**2), 1, _BATCH))


def _split(index: IntArray, batch_size: int) -> Iterator[IntArray]:
    for start in range(0, len(index), batch_size):
        yield index[start : start + batch_size]


def describe_excess(bad: Sequence[BadImage], n_particles: int, max_excluded: float) -> str | None:
    """Return the problem if more images are bad than may be excluded."""
    share = len(bad) / max(1, n_particles)
    if share <= max_excluded:
        return None
    return (
        f"{len(bad)} of {n_particles} images cannot be used ({share:.1%}); at most "
        f"{max_excluded:.1%} may be excluded; remove them or increase --max-excluded"
    )
