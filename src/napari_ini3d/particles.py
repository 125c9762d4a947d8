"""Particles, their optics groups and their poses, as frozen records of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from napari_ini3d._types import BoolArray, Float64, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class OpticsGroup:
    """Optical parameters of a group of particles.

    Attributes
    ----------
    name : str
    number : int
        Number in the STAR file (RELION counts from 1).
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
        True if the images have been multiplied by their CTF.
    phase_flipped : bool
        True if the images have been multiplied by the sign of their CTF.
    """

    name: str
    number: int
    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    pixel_size: float
    box_size: int
    ctf_premultiplied: bool = False
    phase_flipped: bool = False


@dataclass(frozen=True, slots=True)
class Particles:
    """N particles as parallel arrays.

    Attributes
    ----------
    stack_paths : tuple of Path
        Every stack once.
    stack_index, image_index : (N,) int32
        Position in `stack_paths`, and of the image in its stack (from 0).
    optics : tuple of OpticsGroup
    optics_index : (N,) int32
        Position in `optics` (from 0), not the number of the group.
    defocus_u, defocus_v : (N,) float32
        Å, positive is underfocus.
    defocus_angle, phase_shift : (N,) float32
        Degrees.
    origin_x, origin_y : (N,) float32
        Å; the shift that centres the particle in the box, as found by 2D classification
        (RELION's rlnOriginXAngst); zero if the file has none.
    row : (N,) int64
        Row in the table of the particle file, kept in subsets; of the chosen particles only, where
        2D classes are chosen.
    file_row : (N,) int64 or None
        Row of the file, from 0, for messages; None where it is `row`.
    is_dark : (N,) bool or None
        Whether the protein is dark in an image, as the particle file says (cryoSPARC's
        `blob/sign`); None if it says nothing, as STAR files.
    mixed_contrast : bool or None
        Whether some particles of the file are dark and others are not, kept in subsets: their
        images are read in the same contrast as with the others. None to go by `is_dark`.
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
    is_dark: BoolArray | None = None
    mixed_contrast: bool | None = None
    file_row: IntArray | None = None

    def __len__(self) -> int:
        return len(self.stack_index)

    @property
    def to_invert(self) -> BoolArray | None:
        """Images (N,) to invert for all to have one contrast, by `is_dark`; None if they have."""
        dark, mixed = self.is_dark, self.mixed_contrast
        if dark is None:
            return None
        is_mixed = bool(dark.any() and not dark.all()) if mixed is None else mixed
        return dark if is_mixed else None

    def file_rows(self, index: IntArray | BoolArray) -> IntArray:
        """Return the rows of the file, from 1, of the particles at `index`, for messages."""
        rows = self.row if self.file_row is None else self.file_row
        return np.asarray(rows[index] + 1)

    def take(self, index: IntArray | BoolArray) -> Self:
        """Return the particles at `index` (integers or a mask), in that order."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        shared = ("stack_paths", "optics", "mixed_contrast")
        arrays = {
            name: column[index]
            for name, column in columns.items()
            if name not in shared and column is not None
        }
        mixed = None if self.is_dark is None else self.to_invert is not None
        return replace(self, **arrays, mixed_contrast=mixed)


@dataclass(frozen=True, slots=True)
class Assignments:
    """Class, pose and likelihood of N particles, each from the last iteration that used it.

    Attributes
    ----------
    class_index : (N,) int32
        From 0; -1 for a particle that was never used.
    rot, tilt, psi : (N,) float32
        Degrees, RELION's ZYZ convention.
    origin_x, origin_y : (N,) float32
        Å, RELION's sign: shifting the image by (origin_x, origin_y) centres it.
    max_probability : (N,) float32
        Posterior probability of the best pose (rlnMaxValueProbDistribution).
    n_significant : (N,) int32
        Number of poses with most of the posterior probability (rlnNrOfSignificantSamples).
    log_likelihood : (N,) float32
    junk_probability : (N,) float32
        That the image shows no particle like the map's.
    scale : (N,) float32
        Amplitude of the particle in its image, relative to that of the map; 1 until it is learned.
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
    junk_probability: FloatArray
    scale: FloatArray

    def take(self, index: IntArray | BoolArray) -> Self:
        """Return those of the particles at `index` (integers or a mask), in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True, slots=True)
class ParticlePoses:
    """Names and poses of N particles of a STAR file, without their CTF.

    Attributes
    ----------
    source : str
        Name of the file, for messages.
    stack_names : tuple of str
        Every stack once, as written in the file; the stacks need not exist.
    stack_index, image_index : (N,) int32
        Position in `stack_names`, and of the image in its stack (from 0).
    angles : (N, 3) float64
        rot, tilt, psi in degrees, RELION's ZYZ convention.
    origins : (N, 2) float64
        x, y in Å, RELION's sign; zero if the file has none.
    n_unassigned : int
        Particles of the file without a class (class 0), which are not among the N.
    """

    source: str
    stack_names: tuple[str, ...]
    stack_index: IntArray
    image_index: IntArray
    angles: Float64
    origins: Float64
    n_unassigned: int = 0

    def __len__(self) -> int:
        return len(self.stack_index)


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """Images of one box and pixel size, with their indices.

    Attributes
    ----------
    index : (B,) int64
        Position in `Particles`.
    images : (B, n, n) float32
        Real space, not normalised and not masked.
    """

    index: IntArray
    images: FloatArray


class ImageSource(Protocol):
    """Source of images for the engine: a stack reader, or simulated images in memory."""

    @property
    def box_size(self) -> int:
        """Pixels per side of every image."""

    @property
    def pixel_size(self) -> float:
        """Å per pixel of every image."""

    def batches(self, indices: Iterable[IntArray]) -> Iterator[ImageBatch]:
        """Yield one batch per array of particle indices, in order; batches are prefetched."""
