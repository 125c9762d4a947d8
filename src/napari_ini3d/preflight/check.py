"""Checks of particles before a run: files, values, bad images, contrast, mask diameter."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.fft

from napari_ini3d._types import Float32, Float64, IntArray
from napari_ini3d.errors import InputError
from napari_ini3d.io import StackReader, inspect_stacks, read_particles
from napari_ini3d.particles import ImageSource, OpticsGroup, Particles
from napari_ini3d.preflight.resources import ResourceEstimate, estimate_resources
from napari_ini3d.preflight.working_box import PixelGrid, choose_working_grid, particle_grid
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

BadReason = Literal["not finite", "constant", "all zero"]
Contrast = Literal["white on black", "black on white", "undecided"]

INVERTED = "the particles are black on white; invert the contrast, or the map will be inverted"

_BATCH = 256  # images; fewer if they are large
_BATCH_BYTES = 64 * 2**20
_CONSTANT_RANGE = 1e-5  # relative; larger than float32 rounding in resampled constants
_SAMPLE = 2000
_LOW_PASS = 7.0  # Å, standard deviation of the Gaussian in real space
_CONTRAST_SIGMAS = 5.0
_PROFILE_THRESHOLD = 0.05
_PROFILE_SIGMAS = 4.0
_MASK_MARGIN = 1.1
_FALLBACK_SHARE = 0.8


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
    contrast : {"white on black", "black on white", "undecided"}
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
    contrast: Contrast = "undecided"
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
    source: ImageSource,
    particles: Particles,
    bad: tuple[BadImage, ...],
    settings: InitialModelSettings,
) -> CheckReport:
    """Add the checks of the images to the report of `check_headers`."""
    good = np.setdiff1d(np.arange(len(particles)), [image.index for image in bad])
    duplicates = count_duplicates(particles)
    contrast = detect_contrast(source, good) if len(good) else "undecided"
    excess = describe_excess(bad, len(particles), settings.max_excluded)
    checked = replace(
        report,
        problems=(f"{report.path}: {excess}",) if excess else (),
        notes=tuple(_notes(particles, contrast, duplicates)),
        bad_images=bad,
        n_duplicates=duplicates,
        contrast=contrast,
        mask_diameter=estimate_mask_diameter(source, good) if len(good) else None,
    )
    return _with_estimates(checked, settings)


def _notes(particles: Particles, contrast: Contrast, duplicates: int) -> Iterator[str]:
    if contrast == "black on white":
        yield INVERTED
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


def _sample(index: IntArray) -> IntArray:
    """Return at most `_SAMPLE` of the indices, evenly spread."""
    if len(index) <= _SAMPLE:
        return index
    sample: IntArray = index[np.linspace(0, len(index) - 1, _SAMPLE).astype(np.int64)]
    return sample


def _radii(box_size: int) -> Float64:
    """Return the distance of each pixel from the centre, in half boxes; (n, n)."""
    axis = (np.arange(box_size) - box_size // 2) / (box_size / 2)
    return np.hypot(axis[:, None], axis)


def _low_passed(source: ImageSource, index: IntArray) -> Iterator[Float32]:
    """Yield batches of low-passed images, normalised before the filter.

    Mean 0 and standard deviation 1 refer to a wide background (beyond 0.6 half boxes, with the
    corners): the mean of few pixels would cause a step in the variance at their border.
    """
    n = source.box_size
    outside = _radii(n) > 0.6
    sigma = _LOW_PASS / source.pixel_size  # pixels
    frequency = np.hypot(scipy.fft.fftfreq(n)[:, None], scipy.fft.rfftfreq(n))
    gaussian = np.exp(-2 * (np.pi * sigma * frequency) ** 2).astype(np.float32)
    for batch in source.batches(_split(index, _batch_size(source))):
        values = batch.images[:, outside]
        mean, deviation = values.mean(axis=1), values.std(axis=1)
        deviation[deviation == 0] = 1
        images = (batch.images - mean[:, None, None]) / deviation[:, None, None]
        yield scipy.fft.irfft2(scipy.fft.rfft2(images) * gaussian, s=(n, n))


def detect_contrast(source: ImageSource, index: IntArray) -> Contrast:
    """Detect whether particles are brighter or darker than the background.

    For each low-passed image, the mean of the rim is subtracted from that of a central disc (half
    the box in diameter). The mean difference over the images is significant at five standard
    errors.

    Parameters
    ----------
    source : ImageSource
    index : (N,) int
        Images to use; at most 2000 of them are read.
    """
    radii = _radii(source.box_size)
    centre, rim = radii < 0.5, (radii > 0.85) & (radii <= 1)
    difference = np.concatenate(
        [
            images[:, centre].mean(axis=1) - images[:, rim].mean(axis=1)
            for images in _low_passed(source, _sample(index))
        ]
    )
    error = difference.std() / np.sqrt(len(difference))
    if not abs(difference.mean()) > _CONTRAST_SIGMAS * error:
        return "undecided"
    return "white on black" if difference.mean() > 0 else "black on white"


def estimate_mask_diameter(source: ImageSource, index: IntArray) -> float:
    """Estimate the diameter of the particles from the variance over their images.

    Because orientations differ, the variance is higher inside the particle. Its radial profile
    (low-passed images, normalised background) falls from the particle to the background. The
    particle ends where the profile first drops below 5 % of its height, or below its statistical
    error, outside its maximum. 10 % is added to the diameter, which is limited to the box. If no
    particle is visible in the noise, 80 % of the box is returned and a warning is logged.

    Parameters
    ----------
    source : ImageSource
    index : (N,) int
        Images to use; at most 2000 of them are read.

    Returns
    -------
    float
        Å.
    """
    sample = _sample(index)
    box = source.box_size * source.pixel_size
    profile, error = _variance_profile(source, sample)
    outside = slice(len(profile) // 2, int(0.95 * len(profile)))
    background = float(profile[outside].min())
    excess = profile - background
    peak = int(np.argmax(excess - _PROFILE_SIGMAS * error))
    if len(sample) < 2 or excess[peak] <= 2 * _PROFILE_SIGMAS * error[peak]:
        logger.warning("no particle is visible in the noise; mask diameter set to 80% of the box")
        return _FALLBACK_SHARE * box
    threshold = np.maximum(_PROFILE_THRESHOLD * excess[peak], _PROFILE_SIGMAS * error)
    below = np.flatnonzero(excess[peak:] < threshold[peak:]) + peak
    radius = float(below[0]) if below.size else source.box_size / 2
    return min(2 * radius * source.pixel_size * _MASK_MARGIN, box)


def _variance_profile(source: ImageSource, index: IntArray) -> tuple[Float64, Float64]:
    """Return the variance over images for each radius (pixels), and its standard error.

    The error is that of the variance of Gaussian noise, sqrt(2 / (images x independent samples));
    low-passed noise has one independent sample per sqrt(2 pi) sigma pixels of a ring.
    """
    n = source.box_size
    total = np.zeros((n, n))
    squares = np.zeros((n, n))
    for images in _low_passed(source, index):
        total += images.sum(axis=0, dtype=np.float64)
        squares += np.einsum("bij,bij->ij", images, images, dtype=np.float64)
    variance = squares / len(index) - (total / len(index)) ** 2
    shell = np.rint(_radii(n) * n / 2).astype(np.int64).ravel()
    counts = np.bincount(shell)[: n // 2].astype(np.float64)
    profile = np.bincount(shell, variance.ravel())[: n // 2] / counts
    correlation = max(1.0, np.sqrt(2 * np.pi) * _LOW_PASS / source.pixel_size)
    independent = len(index) * np.maximum(1.0, counts / correlation)
    return profile, profile.min() * np.sqrt(2 / independent)


def describe_excess(bad: Sequence[BadImage], n_particles: int, max_excluded: float) -> str | None:
    """Return the problem if more images are bad than may be excluded."""
    share = len(bad) / max(1, n_particles)
    if share <= max_excluded:
        return None
    return (
        f"{len(bad)} of {n_particles} images cannot be used ({share:.1%}); at most "
        f"{max_excluded:.1%} may be excluded; remove them or increase --max-excluded"
    )
