"""Look at particles before a run: files, values, single bad images, contrast, size."""

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

_BATCH = 256  # images, of which fewer are held where they are large
_BATCH_BYTES = 64 * 2**20
_CONSTANT_RANGE = 1e-5  # relative; float32 rounding of resampled constants stays below
_SAMPLE = 2000
_LOW_PASS = 7.0  # Å, standard deviation of the Gaussian in real space
_CONTRAST_SIGMAS = 5.0
_PROFILE_THRESHOLD = 0.05
_PROFILE_SIGMAS = 4.0
_MASK_MARGIN = 1.1
_FALLBACK_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image that cannot be used: its position in the particles, and why."""

    index: int
    reason: BadReason


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found in a set of particles.

    Attributes
    ----------
    path : Path
    n_particles, n_stacks : int
    optics : tuple of OpticsGroup
    box_size : int
        Pixels, that the engine would get; 0 where the particles cannot be read.
    pixel_size : float
        Å, likewise.
    working_grid : PixelGrid or None
        In which a run works on them; coarser than theirs where that loses nothing it would use.
    problems : tuple of str
        What keeps a run from starting; empty where it can.
    notes : tuple of str
        What should be looked at.
    bad_images : tuple of BadImage
        Single images that a run would set aside.
    n_duplicates : int
        Particles whose image was named before.
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
        """True where a run can start."""
        return not self.problems


def check_particles(path: Path | str, settings: InitialModelSettings | None = None) -> CheckReport:
    """Check everything about a particle STAR file and its stacks that a run depends on.

    Every header is read, and every image once, streamed. Nothing is raised for bad input: it is
    in the report.

    Parameters
    ----------
    path : Path or str
    settings : InitialModelSettings, optional
        Of the run that is meant, for whether the CTF is used and for the memory and disk.
    """
    settings = settings or InitialModelSettings()
    report, particles = check_headers(path, settings)
    if particles is None:
        return report
    with closing(StackReader(particles)) as source:
        bad = tuple(bad_images(source, len(particles)))
        return judge_images(report, source, particles, bad, settings)


def check_headers(
    path: Path | str, settings: InitialModelSettings
) -> tuple[CheckReport, Particles | None]:
    """Check a STAR file and the headers of its stacks: all that can be said without an image.

    Returns
    -------
    CheckReport, Particles or None
        None where there are problems.
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
    logger.info("%s: %d stack header(s) are sound", star_path, len(headers))
    own = particle_grid(particles)
    report = replace(report, box_size=own.box_size, pixel_size=own.pixel_size)
    return _with_needs(report, settings), particles


def _with_needs(report: CheckReport, settings: InitialModelSettings) -> CheckReport:
    """Add the grid of the run, and what it needs; for the mask that is known so far."""
    own = PixelGrid(report.box_size, report.pixel_size)
    known = settings.with_changes(mask_diameter=settings.mask_diameter or report.mask_diameter)
    return replace(
        report,
        working_grid=choose_working_grid(own, known),
        resources=estimate_resources(
            report.n_particles, own.box_size, known, pixel_size=own.pixel_size
        ),
    )


def judge_images(
    report: CheckReport,
    source: ImageSource,
    particles: Particles,
    bad: tuple[BadImage, ...],
    settings: InitialModelSettings,
) -> CheckReport:
    """Add to the report of `check_headers` what the images say, once the bad ones are known."""
    good = np.setdiff1d(np.arange(len(particles)), [image.index for image in bad])
    duplicates = count_duplicates(particles)
    contrast = judge_contrast(source, good) if len(good) else "undecided"
    excess = describe_excess(bad, len(particles), settings.max_excluded)
    judged = replace(
        report,
        problems=(f"{report.path}: {excess}",) if excess else (),
        notes=tuple(_notes(particles, contrast, duplicates)),
        bad_images=bad,
        n_duplicates=duplicates,
        contrast=contrast,
        mask_diameter=estimate_mask_diameter(source, good) if len(good) else None,
    )
    return _with_needs(judged, settings)


def _notes(particles: Particles, contrast: Contrast, duplicates: int) -> Iterator[str]:
    if contrast == "black on white":
        yield INVERTED
    if duplicates:
        yield f"{duplicates} particles name an image that was named before; remove duplicates"
    if any(group.ctf_premultiplied for group in particles.optics):
        yield "some images are CTF-premultiplied (data_optics); a run takes that into account"


def count_duplicates(particles: Particles) -> int:
    """Count the particles whose image was named by a particle before."""
    stack = particles.stack_index.astype(np.int64)
    key = stack * (int(particles.image_index.max(initial=0)) + 1) + particles.image_index
    return len(key) - len(np.unique(key))


def bad_images(
    source: ImageSource, images: int | IntArray, *, batch_size: int = _BATCH
) -> Iterator[BadImage]:
    """Yield the images that cannot be used, in order, reading each once.

    Only the smallest and the largest value of each image are needed: a NaN makes both NaN, an
    infinity one of them infinite, and a constant image has them alike.

    Parameters
    ----------
    source : ImageSource
    images : int or (N,) int array
        How many images to look at from the first, or which.
    batch_size : int
        Most images held at once.
    """
    index = np.arange(images) if isinstance(images, int) else images
    batch_size = min(batch_size, _batch_size(source))
    for batch in source.batches(_split(index, batch_size)):
        flat = batch.images.reshape(len(batch.images), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            tolerance = _CONSTANT_RANGE * np.maximum(np.abs(low), np.abs(high))
            sound = np.isfinite(low) & np.isfinite(high) & (high - low > tolerance)
        for place in np.flatnonzero(~sound):
            yield BadImage(int(batch.index[place]), _reason(low[place], high[place]))


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
    """Yield batches of low-passed images, mean 0 and deviation 1 outside before the filter.

    Outside is wide (beyond 0.6 half boxes, corners included): subtracting the mean of few pixels
    would itself make a step in the variance at their border.
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


def judge_contrast(source: ImageSource, index: IntArray) -> Contrast:
    """Tell whether particles are brighter or darker than what is around them.

    The mean of a disc at the centre (half the box in diameter) less that of the rim is taken for
    each low-passed image; the mean over the images decides if it is five standard errors from 0.

    Parameters
    ----------
    source : ImageSource
    index : (N,) int
        Images to look at; at most 2000 of them are read.
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
    """Estimate the diameter of the particles from where their images differ from each other.

    Orientations differ, so the variance over the images is higher inside the particle. Its radial
    profile (low-passed images, normalised outside) falls from the particle to the background;
    the radius is where it first comes below 5 % of its height, or into its own statistical
    error, outside its maximum. 10 % is added to the diameter; it never exceeds the box. Where
    nothing stands out of the noise, 80 % of the box is returned and a warning logged.

    Parameters
    ----------
    source : ImageSource
    index : (N,) int
        Images to look at; at most 2000 of them are read.

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
        logger.warning("no particle stands out of the noise; mask diameter set to 80% of the box")
        return _FALLBACK_SHARE * box
    threshold = np.maximum(_PROFILE_THRESHOLD * excess[peak], _PROFILE_SIGMAS * error)
    below = np.flatnonzero(excess[peak:] < threshold[peak:]) + peak
    radius = float(below[0]) if below.size else source.box_size / 2
    return min(2 * radius * source.pixel_size * _MASK_MARGIN, box)


def _variance_profile(source: ImageSource, index: IntArray) -> tuple[Float64, Float64]:
    """Return the variance over images for each radius (pixels), and its standard error.

    The error is that of the variance of normal noise, sqrt(2 / (images x independent samples)),
    where low-passed noise has one independent sample in sqrt(2 pi) sigma pixels of a ring.
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
    """Return what is wrong where more images are bad than may be set aside."""
    share = len(bad) / max(1, n_particles)
    if share <= max_excluded:
        return None
    return (
        f"{len(bad)} of {n_particles} images cannot be used ({share:.1%}); at most "
        f"{max_excluded:.1%} may be set aside; remove them or raise --max-excluded"
    )
