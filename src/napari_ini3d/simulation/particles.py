"""Simulated particles of a phantom: exact projections of its beads, with CTF, shift and noise.

The projection of a Gaussian bead is a Gaussian. The Fourier transform of an image is therefore a
sum of waves over the beads, without interpolation:

    F(k) = CTF(k) G(|k|) Σ_m w_m exp(-2πi (kx x'_m + ky y'_m)),   (x', y') = (A x)_xy - origin
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray, Complex64, Float32, FloatArray, IntArray
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.particles import Assignments, ImageBatch, OpticsGroup, Particles
from napari_ini3d.simulation.phantom import Phantom, fourier_waves, half_frequency
from napari_ini3d.simulation.settings import SimulationSettings

Images = Float32

_CHUNK = 256  # images at a time
_COLOUR_EDGE = 0.025  # 1/Å, at which the coloured part of the noise drops to 1/e


@dataclass(frozen=True, slots=True)
class SimulatedParticles:
    """Simulated images and their true poses.

    Attributes
    ----------
    stacks : tuple of (N_g, n_g, n_g) float32
        Real space, one stack per optics group; the noise has variance 1.
    particles : Particles
        `stack_index` is the position in `stacks`.
    truth : Assignments
        True poses; the class is -1 for images without a particle.
    """

    stacks: tuple[Images, ...]
    particles: Particles
    truth: Assignments

    @property
    def is_junk(self) -> BoolArray:
        """Mask of the images with noise only, (N,)."""
        return np.asarray(self.truth.class_index < 0)

    @property
    def images(self) -> Images:
        """Images of all particles in their order, (N, n, n); needs stacks of one box size."""
        order = np.argsort(self.particles.stack_index, kind="stable")
        images = np.concatenate(self.stacks)
        return images[np.argsort(order, kind="stable")]


class InMemorySource:
    """Source of images in memory for the engine.

    Parameters
    ----------
    images : (N, n, n) float32
        Real space, in the order of the particles.
    pixel_size : float
        Å.
    """

    def __init__(self, images: Images, pixel_size: float) -> None:
        self._images = np.asarray(images, dtype=np.float32)
        self._pixel_size = pixel_size

    @classmethod
    def of(cls, simulated: SimulatedParticles) -> InMemorySource:
        """Return a source of simulated particles that have one box and pixel size."""
        return cls(simulated.images, simulated.particles.optics[0].pixel_size)

    @property
    def box_size(self) -> int:
        """Pixels per side of every image."""
        return int(self._images.shape[-1])

    @property
    def pixel_size(self) -> float:
        """Å per pixel of every image."""
        return self._pixel_size

    def batches(self, indices: Iterable[IntArray]) -> Iterator[ImageBatch]:
        """Yield one batch per array of particle indices, in order."""
        for index in indices:
            yield ImageBatch(index=index, images=self._images[index])


def simulate_particles(phantom: Phantom, settings: SimulationSettings) -> SimulatedParticles:
    """Simulate images of a phantom.

    Parameters
    ----------
    phantom : Phantom
    settings : SimulationSettings

    Returns
    -------
    SimulatedParticles
        The same for the same settings.
    """
    rng = np.random.default_rng(settings.seed)
    particles = _draw_particles(settings, rng)
    truth = _draw_poses(settings, rng)
    stacks = []
    for group in range(len(particles.optics)):
        index = np.flatnonzero(particles.optics_index == group)
        clean = _project(phantom, settings, particles.take(index), _take(truth, index))
        if settings.neighbours:
            clean += _project_neighbours(phantom, settings, particles.take(index), rng)
        stacks.append(_add_noise(clean, phantom, settings, particles.optics[group], rng))
    return SimulatedParticles(tuple(stacks), particles, truth)


def project_phantom(
    phantom: Phantom, optics: OpticsGroup, poses: Assignments, resolution: float | None = None
) -> Images:
    """Return noise-free projections of a phantom, without CTF.

    Parameters
    ----------
    phantom : Phantom
    optics : OpticsGroup
        Box and pixel size of the images.
    poses : Assignments
        Poses of N images.
    resolution : float, optional
        Å, of the low-pass filter. Default: Nyquist.

    Returns
    -------
    (N, n, n) float32
        Real space; the particle is at -(origin_x, origin_y) from pixel n // 2.
    """
    return _to_images(_project_ft(phantom, optics, poses, resolution), optics.box_size)


def _draw_particles(settings: SimulationSettings, rng: np.random.Generator) -> Particles:
    count, groups = settings.number, settings.optics_groups
    group = (np.arange(count) * len(groups) // count).astype(np.int32)
    first = np.searchsorted(group, np.arange(len(groups)))
    defocus = rng.uniform(*settings.defocus_range, count)
    half = rng.uniform(0, settings.astigmatism, count) / 2
    names = [f"particles_group{g.number}.mrcs" for g in groups]
    names = names if len(groups) > 1 else ["particles.mrcs"]
    return Particles(
        stack_paths=tuple(Path(name) for name in names),
        stack_index=group,
        image_index=(np.arange(count) - first[group]).astype(np.int32),
        optics=groups,
        optics_index=group.copy(),
        defocus_u=(defocus + half).astype(np.float32),
        defocus_v=(defocus - half).astype(np.float32),
        defocus_angle=rng.uniform(0, 180, count).astype(np.float32),
        phase_shift=np.full(count, settings.phase_shift, dtype=np.float32),
        origin_x=np.zeros(count, dtype=np.float32),
        origin_y=np.zeros(count, dtype=np.float32),
        row=np.arange(count, dtype=np.int64),
    )


def _draw_poses(settings: SimulationSettings, rng: np.random.Generator) -> Assignments:
    count = settings.number
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1, count)))
    preferred = rng.random(count) < settings.preferred
    view = np.where(rng.random(count) < 0.5, 0.0, 90.0)
    near_view = np.abs(view + rng.normal(0, settings.view_spread, count))
    junk = rng.random(count) < settings.junk
    return Assignments(
        class_index=np.where(junk, -1, 0).astype(np.int32),
        rot=rng.uniform(-180, 180, count).astype(np.float32),
        tilt=np.where(preferred, near_view, tilt).astype(np.float32),
        psi=rng.uniform(-180, 180, count).astype(np.float32),
        origin_x=rng.normal(0, settings.offset_sigma, count).astype(np.float32),
        origin_y=rng.normal(0, settings.offset_sigma, count).astype(np.float32),
        max_probability=np.ones(count, dtype=np.float32),
        n_significant=np.ones(count, dtype=np.int32),
        log_likelihood=np.zeros(count, dtype=np.float32),
    )


def _take(poses: Assignments, index: IntArray) -> Assignments:
    return Assignments(*(getattr(poses, field.name)[index] for field in fields(poses)))


def _project(
    phantom: Phantom, settings: SimulationSettings, particles: Particles, poses: Assignments
) -> Images:
    """Return the clean images of one optics group, (N, n, n)."""
    group = int(particles.optics_index[0])
    optics = particles.optics[group]
    ky, kx = _frequencies(optics)
    images = np.empty((len(particles), optics.box_size, optics.box_size), dtype=np.float32)
    for start in range(0, len(particles), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(particles)))
        images_ft = _project_ft(phantom, optics, _take(poses, part), settings.resolution)
        if settings.ctf:
            images_ft *= compute_ctf(ctf_parameters(particles.take(part), group), kx, ky)
        images[part] = _to_images(images_ft, optics.box_size)
    return images


def _project_neighbours(
    phantom: Phantom,
    settings: SimulationSettings,
    particles: Particles,
    rng: np.random.Generator,
) -> Images:
    """Return projections of neighbouring particles for the images of one group, (N, n, n)."""
    count = len(particles)
    distance = phantom.diameter * rng.uniform(0.8, 1.1, count)
    direction = rng.uniform(0, 2 * np.pi, count)
    poses = _draw_poses(settings.with_changes(number=count, junk=0.0, preferred=0.0), rng)
    poses.origin_x[:] = distance * np.cos(direction)
    poses.origin_y[:] = distance * np.sin(direction)
    poses.class_index[rng.random(count) >= settings.neighbours] = -1
    return _project(phantom, settings, particles, poses)


def _project_ft(
    phantom: Phantom, optics: OpticsGroup, poses: Assignments, resolution: float | None
) -> Complex64:
    n, pixel_size = optics.box_size, optics.pixel_size
    scale = 1 / pixel_size**2  # so that brightness does not depend on the pixel size
    envelope = phantom.envelope(half_frequency((n, n), pixel_size), pixel_size, resolution) * scale
    axes = euler_to_matrix(poses.rot, poses.tilt, poses.psi)
    weights = phantom.weights.astype(np.float32)
    images_ft = np.zeros((len(axes), n, n // 2 + 1), dtype=np.complex64)
    for i in np.flatnonzero(poses.class_index >= 0):
        x, y = axes[i, :2] @ phantom.positions.T
        waves_x = fourier_waves(x - poses.origin_x[i], n, pixel_size)[: n // 2 + 1]
        waves_y = fourier_waves(y - poses.origin_y[i], n, pixel_size)
        images_ft[i] = envelope * (waves_y @ (waves_x * weights).T)
    return images_ft


def _to_images(images_ft: Complex64, box_size: int) -> Images:
    images = np.fft.irfft2(images_ft, s=(box_size, box_size))
    return np.asarray(np.fft.fftshift(images, axes=(1, 2)), dtype=np.float32)


def _frequencies(optics: OpticsGroup) -> tuple[FloatArray, FloatArray]:
    """Return ky (n, 1) and kx (1, n // 2 + 1) in 1/Å."""
    n, pixel_size = optics.box_size, optics.pixel_size
    return np.fft.fftfreq(n, pixel_size)[:, None], np.fft.rfftfreq(n, pixel_size)[None]


def _add_noise(
    clean: Images,
    phantom: Phantom,
    settings: SimulationSettings,
    optics: OpticsGroup,
    rng: np.random.Generator,
) -> Images:
    """Scale clean images to the SNR of the settings, and add noise of variance 1."""
    line = (np.arange(optics.box_size) - optics.box_size // 2) * optics.pixel_size
    inside = np.hypot(line[:, None], line) < phantom.diameter / 2
    signal = clean[clean.any(axis=(1, 2))][:, inside]
    deviation = float(signal.std()) if signal.size else 1.0
    clean *= np.float32(np.sqrt(settings.snr) / deviation)
    clean += _coloured_noise(clean.shape, optics, settings.noise_colour, rng)
    return clean


def _coloured_noise(
    shape: tuple[int, ...], optics: OpticsGroup, colour: float, rng: np.random.Generator
) -> Images:
    noise = rng.standard_normal(shape, dtype=np.float32)
    if not colour:
        return noise
    n = optics.box_size
    whole = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n, optics.pixel_size)] * 2))
    power = 1 + colour * np.exp(-((whole / _COLOUR_EDGE) ** 2))
    gain = np.sqrt(power / power.mean())[:, : n // 2 + 1]
    noise_ft = np.fft.rfft2(noise) * gain
    return np.asarray(np.fft.irfft2(noise_ft, s=(n, n)), dtype=np.float32)
