"""Frozen records of particles and of what is found for them; arrays only, no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol, Self

from napari_ini3d._types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class OpticsGroup:
    """What the particles of one optics group share.

    Attributes
    ----------
    name : str
    number : int
        The number the STAR file uses (RELION counts from 1).
    voltage : float
        Acceleration voltage, kV.
    spherical_aberration : float
        mm.
    amplitude_contrast : float
        Fraction, 0 to 1.
    pixel_size : float
        Å per pixel of the images in the stack.
    box_size : int
        Pixels per side of the images in the stack.
    ctf_premultiplied : bool
        True where the images have been multiplied by their CTF.
    """

    name: str
    number: int
    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    pixel_size: float
    box_size: int
    ctf_premultiplied: bool = False


@dataclass(frozen=True, slots=True)
class Particles:
    """N particles as parallel arrays; `take` gives a subset, order kept.

    Attributes
    ----------
    stack_paths : tuple of Path
        Every stack, once; `stack_index` points into it.
    stack_index, image_index : (N,) int32
        Which stack, and which image in it (counted from 0).
    optics : tuple of OpticsGroup
    optics_index : (N,) int32
        Position in `optics` (from 0), not the group's number.
    defocus_u, defocus_v : (N,) float32
        Å, positive is underfocus.
    defocus_angle, phase_shift : (N,) float32
        Degrees.
    origin_x, origin_y : (N,) float32
        Å; the shift that brings the particle onto the box centre, as found by 2D
        classification (RELION's rlnOriginXAngst); zero where the file has none.
    row : (N,) int64
        Row in the table of the STAR file, so that a subset can be traced back.
    """

    stack_paths: tuple[Path, ...]
    stack_index: IntArray
    image_index: IntArray
    optics: tuple[OpticsGroup, ...]
    optics_index: IntArray
    defocus_u: FloatArray
    defocus_v: FloatArray
    defocus_angle: FloatArray
    phase_shift: FloatArray
    origin_x: FloatArray
    origin_y: FloatArray
    row: IntArray

    def __len__(self) -> int:
        return len(self.stack_index)

    def take(self, index: IntArray | BoolArray) -> Self:
        """Return the particles at `index` (integers or a mask)."""
        arrays = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name not in ("stack_paths", "optics")
        }
        return replace(self, **arrays)


@dataclass(frozen=True, slots=True)
class Assignments:
    """What the last visit to each of N particles found.

    Attributes
    ----------
    class_index : (N,) int32
        From 0; -1 for a particle that was never visited.
    rot, tilt, psi : (N,) float32
        Degrees, RELION's ZYZ convention.
    origin_x, origin_y : (N,) float32
        Å, RELION's sign: shifting the image by (origin_x, origin_y) centres it.
    max_probability : (N,) float32
        Weight of the best pose (rlnMaxValueProbDistribution).
    n_significant : (N,) int32
        Poses that hold the posterior's mass (rlnNrOfSignificantSamples).
    log_likelihood : (N,) float32
    """

    class_index: IntArray
    rot: FloatArray
    tilt: FloatArray
    psi: FloatArray
    origin_x: FloatArray
    origin_y: FloatArray
    max_probability: FloatArray
    n_significant: IntArray
    log_likelihood: FloatArray


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """Images brought to one box and pixel size, with the indices they came from.

    Attributes
    ----------
    index : (B,) int64
        Position in `Particles`.
    images : (B, n, n) float32
        Real space, as read: not normalised, not masked.
    """

    index: IntArray
    images: FloatArray


class ImageSource(Protocol):
    """Where the engine gets images from: a stack reader, or a simulation in memory."""

    @property
    def box_size(self) -> int:
        """Pixels per side of every image it gives."""

    @property
    def pixel_size(self) -> float:
        """Å per pixel of every image it gives."""

    def batches(self, indices: Iterable[IntArray]) -> Iterator[ImageBatch]:
        """Yield one batch per array of particle indices, in order, reading ahead."""
