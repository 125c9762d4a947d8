"""Simulated particles of a phantom: exact projections of its beads, with CTF, shift and noise.

The projection of a Gaussian bead is a Gaussian. The Fourier transform of an image is therefore a
sum of waves over the beads, without interpolation:

    F(k) = CTF(k) G(|k|) Σ_m w_m exp(-2πi (kx x'_m + ky y'_m)),   (x', y') = (A x)_xy - origin
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import BoolArray, Complex64, Float32, Float64, FloatArray, IntArray
from napari_ini3d.errors import SettingsError
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.particles import Assignments, ImageBatch, OpticsGroup, Particles
from napari_ini3d.simulation.faults import (
    Faults,
    Purpose,
    add_hot_pixels,
    add_junk,
    draw_faults,
    normalise_background,
    random_stream,
    structural_noise,
    with_wrong_defocus,
)
from napari_ini3d.simulation.molecule import Molecule
from napari_ini3d.simulation.settings import SimulationSettings

Images = Float32

_CHUNK = 256  # images at a time
_NEIGHBOUR = (0.5, 0.62)  # of the box: distance of a neighbouring particle
_COLOUR_EDGE = 0.025  # 1/Å, at which the coloured part of the noise drops to 1/e


@dataclass(frozen=True, slots=True)
class SimulatedParticles:
    """Simulated images and their true poses.

    Attributes
    ----------
    stacks : tuple of (N_g, n_g, n_g) float32
        Real space, one stack per optics group; the noise has variance 1.
    particles : Particles
        `stack_index` is the position in `stacks`; the defocus is the one given with the particles.
    truth : Assignments
        True poses; the class is that of the state, and -1 for images without a particle.
    faults : Faults
    """

    stacks: tuple[Images, ...]
    particles: Particles
    truth: Assignments
    faults: Faults

    @property
    def is_junk(self) -> BoolArray:
        """Mask of the images without a particle of their own, (N,)."""
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


def simulate_particles(
    phantom: Molecule,
    settings: SimulationSettings,
    other: Molecule | None = None,
    *,
    step: Callable[[], None] = lambda: None,
) -> SimulatedParticles:
    """Simulate images of a molecule.

    Parameters
    ----------
    phantom : Phantom or MapMolecule
    settings : SimulationSettings
    other : Phantom or MapMolecule, optional
        The molecule in its second state, of a share `settings.other_share` of the particles.
    step : callable, optional
        Called before each chunk of images, to report the progress; it may raise to cancel.

    Returns
    -------
    SimulatedParticles
        The same for the same settings.

    Raises
    ------
    SettingsError
        If a share of a second state is requested, and there is none.
    """
    states = (phantom,) if other is None else (phantom, other)
    if settings.other_share and other is None:
        raise SettingsError(
            f"other_share is {settings.other_share:g}, but there is no second molecule; give one"
        )
    rng = np.random.default_rng(settings.seed)
    particles = _draw_particles(settings, rng)
    truth = _draw_poses(settings, rng)
    faults = draw_faults(settings, truth.class_index < 0)
    truth = replace(
        truth, class_index=np.where(truth.class_index < 0, -1, faults.state).astype(np.int32)
    )
    stacks = []
    for group, optics in enumerate(particles.optics):
        index = np.flatnonzero(particles.optics_index == group)
        members = _Group(
            states, settings, optics, particles.take(index), faults.take(index), group, step
        )
        stacks.append(_simulate_group(members, truth.take(index), rng))
    return SimulatedParticles(tuple(stacks), with_wrong_defocus(particles, faults), truth, faults)


@dataclass(frozen=True, slots=True)
class _Group:
    """The particles of one optics group."""

    states: tuple[Molecule, ...]
    settings: SimulationSettings
    optics: OpticsGroup
    particles: Particles
    faults: Faults
    number: int
    step: Callable[[], None]

    def stream(self, purpose: Purpose) -> np.random.Generator:
        return random_stream(self.settings.seed, purpose, self.number)

    def ctf(self, index: IntArray) -> Float32:
        ky, kx = _frequencies(self.optics)
        return compute_ctf(ctf_parameters(self.particles.take(index), self.number), kx, ky)


def _simulate_group(group: _Group, truth: Assignments, rng: np.random.Generator) -> Images:
    """Return the images of one optics group, (N, n, n)."""
    settings = group.settings
    images = _project(group, truth)
    deviation = _signal_deviation(images[truth.class_index >= 0], group)
    if settings.neighbours:
        images += _project(group, _draw_neighbours(group))
        if not deviation:  # all images are junk
            centred = replace(truth, class_index=group.faults.state.astype(np.int32))
            deviation = _signal_deviation(_project(group, centred), group)
    images *= np.float32(np.sqrt(settings.snr) / (deviation or 1.0))
    images += _noise(group, images.shape, rng)
    add_junk(images, group.faults.junk_kind, group.stream("junk"))
    if settings.normalise:
        normalise_background(images)
    if settings.hot_pixels:
        add_hot_pixels(images, settings.hot_pixels, group.stream("hot_pixels"))
    if settings.invert:
        np.negative(images, out=images)
    return images


def project_phantom(
    phantom: Molecule, optics: OpticsGroup, poses: Assignments, resolution: float | None = None
) -> Images:
    """Return noise-free projections of a molecule, without CTF.

    Parameters
    ----------
    phantom : Phantom or MapMolecule
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
    return _to_images(phantom.project_ft(optics, poses, resolution), optics.box_size)


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
    in_first = rng.random(count) < settings.view_share
    near_view = np.abs(np.where(in_first, 0.0, 90.0) + rng.normal(0, settings.view_spread, count))
    junk = rng.random(count) < settings.junk
    rot = rng.uniform(-180, 180, count)
    tilt = np.where(preferred, near_view, tilt)
    if settings.views == "two":
        directions = _draw_directions(settings, in_first)
        rot = np.where(preferred, directions[0], rot)
        tilt = np.where(preferred, directions[1], tilt)
    return Assignments(
        class_index=np.where(junk, -1, 0).astype(np.int32),
        rot=rot.astype(np.float32),
        tilt=tilt.astype(np.float32),
        psi=rng.uniform(-180, 180, count).astype(np.float32),
        origin_x=rng.normal(0, settings.offset_sigma, count).astype(np.float32),
        origin_y=rng.normal(0, settings.offset_sigma, count).astype(np.float32),
        max_probability=np.ones(count, dtype=np.float32),
        n_significant=np.ones(count, dtype=np.int32),
        log_likelihood=np.zeros(count, dtype=np.float32),
        junk_probability=junk.astype(np.float32),
        scale=np.ones(count, dtype=np.float32),
    )


def _draw_directions(settings: SimulationSettings, in_first: BoolArray) -> Float64:
    """Return rot and tilt (2, N), degrees, about two random directions."""
    rng = random_stream(settings.seed, "views")
    views = rng.standard_normal((2, 3))
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    spread = np.deg2rad(settings.view_spread) * rng.standard_normal((len(in_first), 3))
    x, y, z = (views[np.where(in_first, 0, 1)] + spread).T
    return np.rad2deg([np.arctan2(y, x), np.arctan2(np.hypot(x, y), z)])


def _project(group: _Group, poses: Assignments) -> Images:
    """Return the clean images of one optics group, (N, n, n)."""
    settings, optics, scale = group.settings, group.optics, group.faults.scale.astype(np.float32)
    envelope = _envelope(optics, settings.bfactor)
    images = np.empty((len(scale), optics.box_size, optics.box_size), dtype=np.float32)
    for start in range(0, len(scale), _CHUNK):
        group.step()
        part = np.arange(start, min(start + _CHUNK, len(scale)))
        images_ft = _project_states(group, poses.take(part))
        if settings.ctf:
            images_ft *= group.ctf(part)
        if settings.bfactor:
            images_ft *= envelope
        if settings.scale_spread:
            images_ft *= scale[part, None, None]
        images[part] = _to_images(images_ft, optics.box_size)
    return images


def _project_states(group: _Group, poses: Assignments) -> Complex64:
    """Return the transforms of the projections, each of the molecule of its class."""
    images_ft = group.states[0].project_ft(group.optics, _only(poses, 0), group.settings.resolution)
    for state, molecule in enumerate(group.states[1:], 1):
        images_ft += molecule.project_ft(
            group.optics, _only(poses, state), group.settings.resolution
        )
    return images_ft


def _only(poses: Assignments, state: int) -> Assignments:
    shown = np.where(poses.class_index == state, 0, -1)
    return replace(poses, class_index=shown.astype(np.int32))


def _draw_neighbours(group: _Group) -> Assignments:
    """Return the poses of second particles at the edge of the box; the class is -1 where none."""
    settings, rng = group.settings, group.stream("neighbours")
    count = len(group.particles)
    everywhere = settings.with_changes(number=count, junk=0.0, preferred=0.0)
    poses = _draw_poses(everywhere, rng)
    distance = rng.uniform(*_NEIGHBOUR, count) * group.optics.box_size * group.optics.pixel_size
    direction = rng.uniform(0, 2 * np.pi, count)
    shown = rng.random(count) < settings.neighbours
    return replace(
        poses,
        class_index=np.where(shown, group.faults.state, -1).astype(np.int32),
        origin_x=(distance * np.cos(direction)).astype(np.float32),
        origin_y=(distance * np.sin(direction)).astype(np.float32),
    )


def _envelope(optics: OpticsGroup, bfactor: float) -> Float32:
    ky, kx = _frequencies(optics)
    return np.exp(-bfactor / 4 * (kx**2 + ky**2)).astype(np.float32)


def _to_images(images_ft: Complex64, box_size: int) -> Images:
    images = np.fft.irfft2(images_ft, s=(box_size, box_size))
    return np.asarray(np.fft.fftshift(images, axes=(1, 2)), dtype=np.float32)


def _frequencies(optics: OpticsGroup) -> tuple[FloatArray, FloatArray]:
    """Return ky (n, 1) and kx (1, n // 2 + 1) in 1/Å."""
    n, pixel_size = optics.box_size, optics.pixel_size
    return np.fft.fftfreq(n, pixel_size)[:, None], np.fft.rfftfreq(n, pixel_size)[None]


def _signal_deviation(images: Images, group: _Group) -> float:
    """Return the standard deviation of clean images where the SNR counts; 0 without images."""
    line = (np.arange(group.optics.box_size) - group.optics.box_size // 2) * group.optics.pixel_size
    diameter = group.settings.snr_diameter or group.states[0].diameter
    inside = np.hypot(line[:, None], line) < diameter / 2
    signal = images[:, inside]
    return float(signal.std()) if signal.size else 0.0


def _noise(group: _Group, shape: tuple[int, ...], rng: np.random.Generator) -> Images:
    """Return noise of variance 1."""
    settings, optics = group.settings, group.optics
    noise = _coloured_noise(shape, optics, settings.noise_colour, rng)
    if not settings.pink_noise:
        return noise
    structure_rng = group.stream("ice")
    for start in range(0, shape[0], _CHUNK):
        part = np.arange(start, min(start + _CHUNK, shape[0]))
        structure_ft = structural_noise((len(part), *shape[1:]), optics, structure_rng)
        if settings.ctf:
            structure_ft = structure_ft * group.ctf(part)
        structure = np.fft.irfft2(structure_ft, s=shape[1:])
        noise[part] += np.float32(settings.pink_noise) * structure.astype(np.float32)
    noise /= np.float32(np.sqrt(1 + settings.pink_noise**2))
    return noise


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
