"""Preparation of images: normalised, on the disk, weighted; in NumPy."""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, FloatArray, Int32, IntArray
from napari_ini3d.kernels.cpu.images import shift_images

LEAST_SPREAD = 1e-5
"""Of the mean: a smaller spread of a background is rounding; it is constant."""

_POWER = 4  # of limit over excess, in the weight of a shell


def normalise_images(
    images: Float32,
    weight: Float32,
    planes: Float32,
    mask: Float32,
    shift: Int32,
    sign: float,
    whole: Float32,
    masked: Float32,
) -> None:
    """Normalise and shift images, without and with a mask.

    Parameters
    ----------
    images : (B, n, n) float32
    weight : (n²,) float32
        Of a mean over the background; the sum is 1.
    planes : (3, n²) float32
        Constant and two slopes, orthonormal under the weight.
    mask : (n, n) float32
    shift : (B, 2) int32
        (x, y), pixels, cyclic.
    sign : float
        1, or -1 to invert the contrast.
    whole, masked : (B, n, n) float32
        Output.
    """
    out = subtract_background(images, weight, planes, sign)
    if shift.any():
        shift_images(out, shift, whole)
    else:
        whole[:] = out
    np.multiply(whole, mask, out=masked)


def subtract_background(
    images: Float32, weight: Float32, planes: Float32, sign: float = 1.0
) -> Float32:
    """Return images whose background has no slope, mean 0 and variance 1; see `normalise_images`.

    A constant background becomes 0, without a change of scale.
    """
    flat = images.reshape(len(images), -1)  # (B, n²)
    mean = flat @ weight  # (B,)
    out: Float32 = flat - mean[:, None]
    # with the slopes the rest of a mean that is far larger than the spread
    out -= (out @ (planes * weight).T) @ planes
    variance = (out * out) @ weight  # (B,)
    constant = variance <= np.float32(LEAST_SPREAD) ** 2 * mean**2
    out *= (np.float32(sign) / np.sqrt(np.where(constant, np.float32(1), variance)))[:, None]
    return out.reshape(images.shape)


def disk_components(
    whole: Complex64,
    masked: Complex64,
    place: Int32,
    factor: Float32,
    first: Int32,
    typical: Float32,
    limits: Float32,
    components: Complex64,
    excess: Float32,
    weight: Float32,
    image_power: Float32,
) -> None:
    """Take components from transforms, with the power and the weight of each shell.

    Parameters
    ----------
    whole, masked : (B, n, n // 2 + 1) complex64
        Transforms of the images, without and with the mask.
    place : (P,) int32
        Of each component in a transform; components are sorted by shell.
    factor : (P,) float32
        Of each component.
    first : (n_shells + 1,) int32
        The first component of each shell, then P.
    typical : (n_shells,) float32
        Typical power of each shell of a masked image; infinite where it is not known.
    limits : (3 + n_shells, n_shells) float32
        See `shell_weights`.
    components : (B, P) complex64
        Output: of the masked images.
    excess : (B, n_shells) float32
        Output: power of each shell of a masked image, over the typical power.
    weight : (B, n_shells) float32
        Output: weight of each shell.
    image_power : (B, n_shells) float32
        Output: power of each shell, without the mask.
    """
    # an index on one axis by `take`: brackets would give the components of an image far apart
    values = whole.reshape(len(whole), -1).take(place, axis=1)
    values *= factor
    _sum_shells(values, first, image_power)
    np.multiply(masked.reshape(len(masked), -1).take(place, axis=1), factor, out=components)
    _sum_shells(components, first, excess)
    excess /= typical
    weight[:] = shell_weights(excess, limits)


def _sum_shells(components: Complex64, first: Int32, power: Float32) -> None:
    """Sum |X|² of the components (B, P) of each shell into `power` (B, n_shells)."""
    occupied = np.flatnonzero(np.diff(first))
    squares = components.real**2 + components.imag**2
    power[:] = 0
    power[:, occupied] = np.add.reduceat(squares, first[occupied], axis=1)


def shell_weights(excess: FloatArray, limits: Float32) -> Float32:
    """Return the weight of each shell of each image, (B, n_shells): min(1, limit / excess)⁴.

    Of the shell alone, or together with all shells within it, whichever is lower.

    Parameters
    ----------
    excess : (B, n_shells)
        Power over the typical power.
    limits : (3 + n_shells, n_shells) float32
        Unused here, limit of a shell alone, limit of all shells within, and a matrix from the
        excess to its mean over all shells within.
    """
    together = excess @ limits[3:]  # (B, n_shells)
    least = np.minimum(
        limits[1] / np.maximum(excess, 1e-30), limits[2] / np.maximum(together, 1e-30)
    )
    weight: Float32 = (np.minimum(1, least) ** _POWER).astype(np.float32)
    return weight


def ctf_values(
    terms: Float64,
    kx: Float32,
    ky: Float32,
    unit: float,
    wavelength: float,
    spherical: float,
    ignore_first_peak: bool,
    phase_flipped: bool,
    out: Float32,
) -> None:
    """Compute the CTF, the sine of its phase, in double precision.

    Parameters
    ----------
    terms : (B, 4) float64
        a, b, c (Å) of the defocus times the squared frequency, a s² + b (x² - y²) + c x y, and the
        constant phase.
    kx, ky : (P,) float32
        Frequencies.
    unit : float
        1/Å, of the frequencies.
    wavelength : float
        Å.
    spherical : float
        Å⁴, half π Cs λ³.
    ignore_first_peak : bool
        1 from the zero frequency up to the first peak.
    phase_flipped : bool
        The absolute value.
    out : (B, P) float32
        Output.
    """
    x, y = (np.asarray(k, np.float64) * unit for k in (kx, ky))
    s2 = x**2 + y**2
    waves = np.pi * wavelength * np.stack([s2, x**2 - y**2, x * y])  # (3, P)
    phase = terms[:, :3] @ waves - spherical * s2**2 + terms[:, 3:]
    ctf = np.sin(phase)
    if ignore_first_peak:
        ctf[abs(phase) < np.pi / 2] = 1
    np.copyto(out, abs(ctf) if phase_flipped else ctf, casting="same_kind")


def weigh_images(
    components: Complex64,
    ctf: Float32,
    shell: IntArray,
    shell_weight: Float32,
    sigma2: Float32,
    scale: Float32,
    premultiplied: bool,
    weighted: Complex64,
    ctf2: Float32,
) -> None:
    """Weight images by CTF, noise, shell and scale.

    Parameters
    ----------
    components : (B, P) complex64
    ctf : (B, P) float32
    shell : (P,) int32
        Shell of each component.
    shell_weight : (B, n_shells) float32
        w.
    sigma2 : (n_shells,) float32
        Noise variance of a real or imaginary part.
    scale : (B,) float32
        s, of the image.
    premultiplied : bool
        Whether the images have been multiplied by their CTF already.
    weighted : (B, P) complex64
        Output: w s CTF · X / σ².
    ctf2 : (B, P) float32
        Output: w s² CTF² / σ².
    """
    factor = (shell_weight / sigma2 * scale[:, None]).take(shell, axis=1)  # (B, P)
    np.multiply(ctf**2, factor * scale[:, None], out=ctf2)
    np.multiply(components, factor if premultiplied else ctf * factor, out=weighted)
