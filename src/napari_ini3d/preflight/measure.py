"""Contrast and mask diameter of particles, measured on a sample of their images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, IntArray
from napari_ini3d.engine import background_planes, normalise
from napari_ini3d.kernels import blas_threads
from napari_ini3d.particles import ImageSource, Particles

logger = logging.getLogger(__name__)

Contrast = Literal["white on black", "black on white", "undecided"]

INVISIBLE = "no particle is visible in the noise; mask diameter set to 80% of the box"

_SAMPLE = 2000  # images
_BATCH = 256  # images; fewer if they are large
_BATCH_BYTES = 64 * 2**20
_BACKGROUND = 0.6  # half boxes, with the corners
_LOW_PASS = 7.0  # Å, standard deviation of the Gaussian in real space
_PIXEL = 4.0  # Å, of the low-passed images
_BOXES = (32, 160)  # pixels, smallest and largest box of the low-passed images
_STRONG = 2.5  # robust standard deviations of the logarithm of the power
_TRIMMED = 0.1  # share of the images at each end
_CONTRAST_SIGMAS = 5.0
_LARGEST_SHIFT = 50.0  # Å
_EXPECTED_SHIFT = 15.0  # Å
_LEAST_SHIFT = 0.5  # pixels
_CENTRINGS = 4  # iterations
_LEAST_POWER = 1e-3  # of the spectrum, of its maximum; rounding beyond the low-pass
_START = 0.3  # of the maximum of the profile
_END = 0.015  # of its maximum so far
_RISE = 0.05  # of its maximum so far: beyond a minimum, a neighbour begins
_RISE_WITHIN = 0.1  # of the radius, beyond its end
_SIGMAS = 4.0
_MARGIN = 1.1
_FALLBACK = 0.8  # of the box


@dataclass(frozen=True, slots=True)
class Measurement:
    """Contrast and size of particles.

    Attributes
    ----------
    contrast : {"white on black", "black on white", "undecided"}
    mask_diameter : float
        Å.
    visible : bool
        Whether a particle is visible in the noise; without one, the mask diameter is 80 % of the
        box.
    """

    contrast: Contrast
    mask_diameter: float
    visible: bool


@dataclass(frozen=True, slots=True)
class _Sample:
    """Low-passed images (N, m, m) of at least one particle, and their pixel size in Å."""

    images: Float32
    pixel_size: float

    @property
    def rings(self) -> IntArray:
        """Return the rounded radius of each pixel, (m²,)."""
        axis = np.arange(self.images.shape[-1]) - self.images.shape[-1] // 2
        rings: IntArray = np.rint(np.hypot(axis[:, None], axis)).astype(np.int64).ravel()
        return rings

    def ring_means(self, image: FloatArray) -> Float64:
        """Return the mean of an image (m, m) for each radius within the box, (m // 2,)."""
        n, rings = self.images.shape[-1] // 2, self.rings
        found: Float64 = np.bincount(rings, image.ravel())[:n] / np.bincount(rings)[:n]
        return found


def measure_particles(source: ImageSource, index: IntArray) -> Measurement:
    """Measure the contrast and the mask diameter of particles.

    The images are low-passed to about 20 Å, where few have a zero of the CTF. Images of far more
    power than most (ice crystals, carbon edges) are left out.

    Parameters
    ----------
    source : ImageSource
    index : (N,) int
        Images to use, at least one; at most 2000 of them are read.
    """
    with blas_threads(1):  # the products are small, and others may use the cores
        sample = _centred(_weaker_images(_read_sample(source, index)))
    power = np.einsum("bij,bij->ij", sample.images, sample.images, dtype=np.float64)
    profile = sample.ring_means(power / len(sample.images))
    error = _profile_error(profile, sample)
    noise = sample.ring_means(_expected_noise(sample.images))
    outside = slice(len(profile) // 2, int(0.95 * len(profile)))
    excess = profile - noise * (profile / noise)[outside].min()
    radius = _particle_radius(excess, error) if len(index) > 1 else None
    box = source.box_size * source.pixel_size
    if radius is None:
        contrast = _contrast(sample, excess, len(profile) / 2)
        return Measurement(contrast, _FALLBACK * box, visible=False)
    diameter = min(2 * radius * sample.pixel_size * _MARGIN, box)
    return Measurement(_contrast(sample, excess, radius), diameter, visible=True)


def estimate_mask_diameter(source: ImageSource, index: IntArray) -> float:
    """Estimate the mask diameter (Å) of particles from the power of their images.

    The mean power of low-passed images at each distance from the centre falls from the particle to
    the background. The particle ends where this profile, above the background, first drops below
    1.5 % of its maximum or below its statistical error, or where it rises again, which is due to
    neighbours. 10 % is added to the diameter, which is limited to the box. If no particle is
    visible in the noise, 80 % of the box is returned and a warning is logged.

    Parameters
    ----------
    source, index
        As for `measure_particles`.
    """
    found = measure_particles(source, index)
    if not found.visible:
        logger.warning("%s", INVISIBLE)
    return found.mask_diameter


def known_contrast(particles: Particles, measured: Contrast) -> Contrast:
    """Return the contrast of particles: as their file says, or else as measured.

    If the file says that some are dark and others are not, the dark ones are inverted when they are
    read (`StackReader`).
    """
    if particles.is_dark is None:
        return measured
    is_inverted = particles.to_invert is not None
    return "black on white" if particles.is_dark.all() and not is_inverted else "white on black"


def must_invert(contrast: Contrast, setting: str) -> bool:
    """Return whether a run inverts images of this contrast.

    Parameters
    ----------
    contrast : {"white on black", "black on white", "undecided"}
        As measured, or as the particle file says.
    setting : {"auto", "yes", "no"}
        The setting `invert_contrast`.
    """
    return setting == "yes" or (setting == "auto" and contrast == "black on white")


def describe_contrast(contrast: Contrast, setting: str) -> str:
    """Return the contrast of the particles, and what a run does about it, as a sentence."""
    if contrast == "undecided":
        found = "the contrast of the particles cannot be measured"
    else:
        found = f"the particles are {contrast}"
    if must_invert(contrast, setting):
        wrong = "; with invert_contrast yes the map will be inverted"
        return found + (wrong if contrast == "white on black" else "; the images are inverted")
    if contrast == "black on white":
        return f"{found}; with invert_contrast no the map will be inverted"
    return f"{found}; the images are not inverted"


def _read_sample(source: ImageSource, index: IntArray) -> _Sample:
    """Return low-passed images whose background was normalised before the filter."""
    if len(index) > _SAMPLE:
        index = index[np.linspace(0, len(index) - 1, _SAMPLE).astype(np.int64)]
    n, width = source.box_size, source.box_size * source.pixel_size
    m = min(n, int(np.clip(2 * np.ceil(width / _PIXEL / 2), *_BOXES)))
    fx, fy = scipy.fft.rfftfreq(m, width / m), scipy.fft.fftfreq(m, width / m)[:, None]
    low_pass = np.exp(-2 * (np.pi * _LOW_PASS) ** 2 * (fx**2 + fy**2)).astype(np.float32)
    rows = np.arange(-(m // 2), m - m // 2) % n  # of the large transform
    rows = np.fft.ifftshift(rows)
    images = np.empty((len(index), m, m), np.float32)
    done = 0
    for batch in source.batches(_split(index, source.box_size)):
        normal = normalise(batch.images, _BACKGROUND * n / 2)
        ft = scipy.fft.rfft2(normal)[:, rows, : m // 2 + 1] * (low_pass * np.float32((m / n) ** 2))
        images[done : done + len(ft)] = scipy.fft.irfft2(ft, s=(m, m))
        done += len(ft)
    return _Sample(images, width / m)


def _split(index: IntArray, box_size: int) -> Iterator[IntArray]:
    size = int(np.clip(_BATCH_BYTES // (4 * box_size**2), 1, _BATCH))
    for start in range(0, len(index), size):
        yield index[start : start + size]


def _weaker_images(sample: _Sample) -> _Sample:
    """Return the images without those of far more power than most."""
    power = np.einsum("bij,bij->b", sample.images, sample.images, dtype=np.float64)
    level = np.log(np.maximum(power, np.finfo(np.float64).tiny))
    middle = np.median(level)
    spread = 1.4826 * np.median(np.abs(level - middle))
    return _Sample(sample.images[level <= middle + _STRONG * spread], sample.pixel_size)


def _centred(sample: _Sample) -> _Sample:
    """Return the images, each shifted to where it agrees best with their rotational average.

    The shift is the mean over its posterior, so that it is small where the noise hides the
    particle. The prior is a Gaussian, whose width is learned.
    """
    m = sample.images.shape[-1]
    rings = np.minimum(sample.rings.reshape(m, m), m // 2)
    spectra = scipy.fft.rfft2(sample.images)  # (N, m, m // 2 + 1)
    noise = np.mean(spectra.real**2 + spectra.imag**2, axis=0)
    noise += _LEAST_POWER * noise.max()
    average: FloatArray = sample.images.mean(0, dtype=np.float64)  # (m, m)
    largest = min(_LARGEST_SHIFT / sample.pixel_size, m / 5)
    sigma = min(_EXPECTED_SHIFT / sample.pixel_size, largest / 2)
    for _ in range(_CENTRINGS):
        radial = np.append(sample.ring_means(average), 0)[rings]
        filtered = (np.conj(scipy.fft.rfft2(radial)) / noise).astype(np.complex64)
        likelihood = scipy.fft.irfft2(spectra * filtered, s=(m, m)) * m**2
        shifts, sigma = _expected_shifts(likelihood, sigma, largest)
        average = scipy.fft.irfft2(_shifted(spectra, shifts).mean(0), s=(m, m))
    images = scipy.fft.irfft2(_shifted(spectra, shifts), s=(m, m))
    return _Sample(images, sample.pixel_size)


def _expected_shifts(likelihood: Float32, sigma: float, largest: float) -> tuple[Float32, float]:
    """Return the mean shift (x, y) of each image, and the standard deviation of all shifts.

    Parameters
    ----------
    likelihood : (N, m, m) float32
        Logarithm, by the shift (y, x) in pixels modulo m.
    sigma : float
        Pixels, standard deviation of the prior in each direction.
    largest : float
        Pixels.
    """
    m = likelihood.shape[-1]
    axis = np.arange(-int(largest), int(largest) + 1)
    x, y = (grid.ravel().astype(np.float32) for grid in np.meshgrid(axis, axis))  # (S,)
    square = x**2 + y**2
    score = likelihood[:, axis[:, None] % m, axis % m].reshape(len(likelihood), -1)  # (N, S)
    score = score - square / np.float32(2 * sigma**2)
    weight = np.exp(score - score.max(1, keepdims=True))
    weight /= weight.sum(1, keepdims=True)
    spread = float(np.sqrt((weight @ square).mean() / 2))
    return weight @ np.stack([x, y], 1), max(spread, _LEAST_SHIFT)


def _shifted(spectra: Complex64, shifts: Float32) -> Complex64:
    """Return the transforms (N, m, m // 2 + 1) of images moved by minus the shifts (x, y)."""
    m = spectra.shape[1]
    x, y = shifts[:, :1], shifts[:, 1:]
    along_x = np.exp(2j * np.pi * scipy.fft.rfftfreq(m) * x).astype(np.complex64)
    along_y = np.exp(2j * np.pi * scipy.fft.fftfreq(m) * y).astype(np.complex64)
    moved: Complex64 = spectra * along_x[:, None, :]
    moved *= along_y[:, :, None]
    return moved


def _expected_noise(images: Float32) -> Float64:
    """Return the variance of noise with the spectrum of the images at each pixel, (m, m).

    A plane fitted to the background, P f = U Wᵀ f, takes some of the variance of the noise, most
    of it at the corners, and adds some in the middle. The rest is the diagonal of
    (1 - P) C (1 - P)ᵀ with the covariance C, a convolution.
    """
    m = images.shape[-1]
    spectra = scipy.fft.rfft2(images)
    spectrum = (spectra.real**2 + spectra.imag**2).mean(0, dtype=np.float64)
    spectrum /= m**2
    weight, planes = background_planes(m, _BACKGROUND * m / 2)
    fit = (planes * weight).reshape(3, m, m)  # W
    smooth = scipy.fft.irfft2(scipy.fft.rfft2(fit) * spectrum, s=(m, m))  # C W
    shared = np.einsum("iyx,jyx->ij", fit, smooth)  # Wᵀ C W
    planes = planes.reshape(3, m, m)
    total = scipy.fft.irfft2(spectrum, s=(m, m))[0, 0]
    found: Float64 = total - 2 * (planes * smooth).sum(0)
    found += np.einsum("iyx,ij,jyx->yx", planes, shared, planes)
    return found


def _profile_error(profile: Float64, sample: _Sample) -> Float64:
    """Return the standard error of a power profile.

    That of the variance of Gaussian noise, sqrt(2 / (images x independent samples)); low-passed
    noise has one independent sample per sqrt(2 pi) sigma pixels of a ring.
    """
    counts = np.bincount(sample.rings)[: len(profile)]
    correlation = max(1.0, np.sqrt(2 * np.pi) * _LOW_PASS / sample.pixel_size)
    independent = len(sample.images) * np.maximum(1.0, counts / correlation)
    error: Float64 = profile.min() * np.sqrt(2 / independent)
    return error


def _particle_radius(excess: Float64, error: Float64) -> float | None:
    """Return the radius (pixels) at which a profile above the background ends; None if it is flat.

    It begins at 30 % of its maximum: a hollow particle has none in its middle.
    """
    peak = int(np.argmax(excess - _SIGMAS * error))
    if excess[peak] <= 2 * _SIGMAS * error[peak]:
        return None
    highest = np.maximum.accumulate(excess)
    threshold = np.maximum(_END * highest, _SIGMAS * error)
    begun = (excess >= _START * excess[peak]) & (excess > threshold)
    start = int(np.flatnonzero(begun)[0])
    rise = np.maximum(_RISE * highest, 2 * _SIGMAS * error)
    end = int(np.argmax((excess < threshold) & (np.arange(len(excess)) > start))) or len(excess)
    lowest = start
    for i in range(start, len(excess)):
        if excess[i] < excess[lowest]:
            lowest = i
        if lowest > end + _RISE_WITHIN * end:
            break
        low = excess[lowest] < _START * highest[lowest]
        if low and excess[i] > excess[lowest] + rise[i]:
            return float(lowest)
    if end == len(excess):
        return float(end)
    above, below = excess[end - 1] - threshold[end - 1], threshold[end] - excess[end]
    return end - float(below / (below + above))


def _contrast(sample: _Sample, excess: Float64, radius: float) -> Contrast:
    """Return whether particles are brighter or darker than the background.

    Each low-passed image is summed with the power of the particles at each distance from the
    centre (m // 2,) as weight; the CTF leaves no density at zero frequency, but the parts of the
    particle that are seen best keep their sign. The mean of these sums over the images, without the
    10 % at each end, is significant at five standard errors.
    """
    inside = np.where(np.arange(len(excess)) < radius, np.maximum(excess, 0), 0)
    weight = np.append(inside, 0)[np.minimum(sample.rings, len(inside))].astype(np.float32)
    sums = np.sort(sample.images.reshape(len(sample.images), -1) @ weight)
    cut = int(_TRIMMED * len(sums))
    central = sums[cut : len(sums) - cut]
    mean, error = central.mean(), sums.std() / np.sqrt(len(sums))
    if not abs(mean) > _CONTRAST_SIGMAS * error:
        return "undecided"
    return "white on black" if mean > 0 else "black on white"
