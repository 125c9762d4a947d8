"""The contrast transfer function, positive at low frequency for particles white on black.

With the wavelength λ (Å), the spatial frequency s (1/Å) at angle α, defocus
Δ(α) = (U + V)/2 + (U - V)/2 cos 2(α - α0) (Å, positive is underfocus), Cs (Å), the amplitude
contrast A and the phase shift φ::

    χ   = π λ Δ(α) s² - ½ π Cs λ³ s⁴ + φ + asin(A)
    CTF = sin χ

This is the sign that RELION's images of positive density carry (-sin of the negated phase).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.errors import SettingsError
from napari_ini3d.kernels import ctf_values
from napari_ini3d.particles import Particles


@dataclass(frozen=True, slots=True)
class CtfParameters:
    """CTF of N particles that share a microscope.

    Attributes
    ----------
    voltage : float
        kV.
    spherical_aberration : float
        mm.
    amplitude_contrast : float
        0 to 1.
    defocus_u, defocus_v : (N,)
        Å, positive is underfocus.
    defocus_angle, phase_shift : (N,)
        Degrees; the angle is that of `defocus_u` against the x axis.
    phase_flipped : bool
        Whether the images have been multiplied by the sign of the CTF.
    """

    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    defocus_u: FloatArray
    defocus_v: FloatArray
    defocus_angle: FloatArray
    phase_shift: FloatArray
    phase_flipped: bool = False


def electron_wavelength(voltage: float) -> float:
    """Return the relativistic wavelength of an electron in Å.

    ``λ = h / sqrt(2 m e V (1 + e V / 2 m c²))``, with CODATA's constants.

    Parameters
    ----------
    voltage : float
        kV.
    """
    if not 1.0 <= voltage <= 5000.0:
        raise SettingsError(
            f"voltage is {voltage:g} kV; microscopes have 60 to 1500 kV "
            "(a value like 300000 is in V: divide it by 1000)"
        )
    volts = voltage * 1e3
    return float(12.2642598 / np.sqrt(volts * (1 + 0.978475598e-6 * volts)))


def ctf_parameters(particles: Particles, group: int) -> CtfParameters:
    """Return the CTF parameters of particles of one optics group.

    Parameters
    ----------
    particles : Particles
    group : int
        Position in `particles.optics`.
    """
    optics = particles.optics[group]
    return CtfParameters(
        voltage=optics.voltage,
        spherical_aberration=optics.spherical_aberration,
        amplitude_contrast=optics.amplitude_contrast,
        defocus_u=particles.defocus_u,
        defocus_v=particles.defocus_v,
        defocus_angle=particles.defocus_angle,
        phase_shift=particles.phase_shift,
        phase_flipped=optics.phase_flipped,
    )


def compute_ctf(
    parameters: CtfParameters,
    frequency_x: FloatArray,
    frequency_y: FloatArray,
    *,
    ignore_first_peak: bool = False,
) -> Float32:
    """Return the CTF of N particles at given spatial frequencies, |CTF| if they are phase-flipped.

    Parameters
    ----------
    parameters : CtfParameters
    frequency_x, frequency_y : arrays that broadcast to one shape (...)
        1/Å.
    ignore_first_peak : bool
        1 from the zero frequency up to the first peak.

    Returns
    -------
    (N, ...) float32
    """
    fx, fy = np.broadcast_arrays(frequency_x, frequency_y)
    terms = phase_terms(parameters)
    out = np.empty((len(terms), fx.size), np.float32)
    ctf_values(
        terms,
        fx.ravel(),
        fy.ravel(),
        1.0,
        electron_wavelength(parameters.voltage),
        spherical_term(parameters),
        ignore_first_peak,
        parameters.phase_flipped,
        out,
    )
    return out.reshape(len(terms), *fx.shape)


def phase_terms(parameters: CtfParameters) -> Float64:
    """Return what the phase of the CTF depends on in each particle, (N, 4).

    a, b and c of Δ(α) s² = a s² + b (x² - y²) + c x y (Å), so that no angle is taken per
    frequency; and the constant phase φ + asin(A).
    """
    u, v, angle, phase_shift = (
        np.atleast_1d(np.asarray(values, np.float64))
        for values in (
            parameters.defocus_u,
            parameters.defocus_v,
            parameters.defocus_angle,
            parameters.phase_shift,
        )
    )
    twice, astigmatism = 2 * np.deg2rad(angle), (u - v) / 2
    constant = np.deg2rad(phase_shift) + np.arcsin(parameters.amplitude_contrast)
    columns = (
        (u + v) / 2,
        astigmatism * np.cos(twice),
        2 * astigmatism * np.sin(twice),
        constant,
    )
    return np.stack(np.broadcast_arrays(*columns), -1)


def spherical_term(parameters: CtfParameters) -> float:
    """Return ½ π Cs λ³ (Å⁴), by which s⁴ is multiplied."""
    wavelength = electron_wavelength(parameters.voltage)
    return float(np.pi / 2 * parameters.spherical_aberration * 1e7 * wavelength**3)
