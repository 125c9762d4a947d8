"""Faults of real particles: junk, background, hot pixels, contrast, scale and defocus.

Each fault is drawn from a random stream of its own, so that it changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from napari_ini3d._types import BoolArray, Complex64, Float32, Float64, IntArray
from napari_ini3d.fourier import radius_grid
from napari_ini3d.particles import OpticsGroup, Particles
from napari_ini3d.simulation.settings import JUNK_KINDS, SimulationSettings

Purpose = Literal[
    "junk_kind", "state", "scale", "defocus", "views", "neighbours", "ice", "junk", "hot_pixels"
]
_FREQUENT = {"empty": 2.0, "bright": 1.0, "edge": 1.0}
_FIRST_JUNK = 1  # code of the first kind; 0 is a particle
_BACKGROUND = 0.47  # of the box: inner radius of the background
_PINK_EDGE = 1 / 60  # 1/Å, below which structural noise is strongest
_HOT = 500.0  # standard deviations of the noise
_EDGE_STEP = 2.5  # of carbon, in standard deviations of the noise
_BLOBS = (1, 4)  # of bright junk, per image
_BLOB_HEIGHT = (2.0, 6.0)  # standard deviations of the noise


def random_stream(seed: int, purpose: Purpose, group: int = 0) -> np.random.Generator:
    """Return the random numbers of one fault in one optics group."""
    return np.random.default_rng([seed, get_args(Purpose).index(purpose) + 1, group])


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults of N particles.

    Attributes
    ----------
    junk_kind : (N,) int
        0 for particles; else 1 + the position in `JUNK_KINDS`.
    state : (N,) int
        0 or 1: the molecule of the image.
    scale : (N,) float64
        Factor of the signal.
    defocus_error : (N,) float64
        Relative: the given defocus is (1 + error) times the true one.
    """

    junk_kind: IntArray
    state: IntArray
    scale: Float64
    defocus_error: Float64

    @property
    def junk_name(self) -> list[str]:
        """Kind of junk of each image; "none" for particles."""
        return [("none", *JUNK_KINDS)[kind] for kind in self.junk_kind]

    def take(self, index: IntArray) -> Faults:
        """Return those of some particles."""
        return Faults(
            self.junk_kind[index],
            self.state[index],
            self.scale[index],
            self.defocus_error[index],
        )


def draw_faults(settings: SimulationSettings, is_junk: BoolArray) -> Faults:
    """Draw the faults of all particles."""
    count = len(is_junk)
    kinds = sorted(set(settings.junk_kinds), key=JUNK_KINDS.index)
    shares = np.array([_FREQUENT[kind] for kind in kinds])
    codes = [JUNK_KINDS.index(kind) + _FIRST_JUNK for kind in kinds]
    kind = random_stream(settings.seed, "junk_kind").choice(codes, count, p=shares / shares.sum())
    other = random_stream(settings.seed, "state").random(count) < settings.other_share
    spread = settings.scale_spread
    return Faults(
        junk_kind=np.where(is_junk, kind, 0),
        state=other.astype(np.int64),
        scale=random_stream(settings.seed, "scale").uniform(1 - spread, 1 + spread, count),
        defocus_error=random_stream(settings.seed, "defocus").normal(
            0, settings.defocus_error, count
        ),
    )


def with_wrong_defocus(particles: Particles, faults: Faults) -> Particles:
    """Return the particles with the error in their defocus."""
    if not faults.defocus_error.any():
        return particles
    factor = 1 + faults.defocus_error
    return replace(
        particles,
        defocus_u=(particles.defocus_u * factor).astype(np.float32),
        defocus_v=(particles.defocus_v * factor).astype(np.float32),
    )


def structural_noise(
    shape: tuple[int, ...], optics: OpticsGroup, rng: np.random.Generator
) -> Complex64:
    """Return transforms (N, n, n // 2 + 1) of noise of variance 1, strongest at low frequency."""
    n = optics.box_size
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n, optics.pixel_size)] * 2))
    gain = 1 / np.sqrt(1 + (frequency / _PINK_EDGE) ** 2)
    gain = (gain / np.sqrt((gain**2).mean()))[:, : n // 2 + 1]
    noise = rng.standard_normal(shape, dtype=np.float32)
    return np.asarray(np.fft.rfft2(noise) * gain, dtype=np.complex64)


def add_junk(images: Float32, junk_kind: IntArray, rng: np.random.Generator) -> None:
    """Add bright blobs and carbon edges to images (N, n, n) of junk, in place."""
    n = images.shape[-1]
    line = np.arange(n) - n // 2
    x, y = line, line[:, None]
    for i in np.flatnonzero(junk_kind == _FIRST_JUNK + JUNK_KINDS.index("bright")):
        for _ in range(rng.integers(*_BLOBS)):
            height, width = rng.uniform(*_BLOB_HEIGHT), rng.uniform(n / 20, n / 6)
            at = rng.uniform(-n / 3, n / 3, 2)
            images[i] += height * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / width**2)
    for i in np.flatnonzero(junk_kind == _FIRST_JUNK + JUNK_KINDS.index("edge")):
        angle, at = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.3) * n
        images[i] += _EDGE_STEP * (x * np.cos(angle) + y * np.sin(angle) > at)


def normalise_background(images: Float32) -> None:
    """Give the background of images (N, n, n) the mean 0 and standard deviation 1, in place."""
    n = images.shape[-1]
    background = images[:, radius_grid(n, 2) > _BACKGROUND * n]  # (N, pixels)
    images -= background.mean(axis=1)[:, None, None]
    images /= background.std(axis=1)[:, None, None]


def add_hot_pixels(images: Float32, share: float, rng: np.random.Generator) -> None:
    """Set one pixel of some images (N, n, n) far above the noise, in place."""
    hot = np.flatnonzero(rng.random(len(images)) < share)
    row, column = rng.integers(0, images.shape[-1], (2, len(hot)))
    images[hot, row, column] = _HOT
