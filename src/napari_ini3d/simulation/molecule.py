"""Molecules to simulate: the protocol of phantoms and maps, molecules of a map, and micelles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_ini3d._types import Complex64, Float32, Float64
from napari_ini3d.fourier import (
    FineMap,
    frequency_disk,
    gridding_profile,
    map_to_cube,
    radius_grid,
)
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.kernels import choose_backend
from napari_ini3d.particles import Assignments, OpticsGroup
from napari_ini3d.simulation.phantom import half_frequency, low_pass

_PADDING = 2
_DENSE = 0.2  # of the highest density: protein, for the size of a micelle
_LEAST = 0.1  # of the highest density: for the diameter
_BELT, _HEIGHT, _CORE = 1.7, 0.8, 0.55  # of a micelle; radii of protein, then of the micelle
_HEADS, _TAILS = 0.4, 0.15  # densities of a micelle, relative to the highest of the protein
_BLUR = 5.0  # Å


class Molecule(Protocol):
    """A density that can be projected."""

    @property
    def diameter(self) -> float:
        """Diameter of a sphere around the origin that encloses the molecule, Å."""

    def density(self, box_size: int, voxel_size: float, resolution: float | None = None) -> Float32:
        """Return its map (n, n, n), with the origin at voxel n // 2."""

    def project_ft(
        self, optics: OpticsGroup, poses: Assignments, resolution: float | None = None
    ) -> Complex64:
        """Return the transforms of projections, (N, n, n // 2 + 1), origin at pixel 0."""


@dataclass(frozen=True, slots=True)
class MapMolecule:
    """A molecule that is given by a map.

    Attributes
    ----------
    data : (n, n, n) float32
        Real space (z, y, x), with the origin at voxel n // 2.
    voxel_size : float
        Å.
    """

    data: Float32
    voxel_size: float

    @property
    def diameter(self) -> float:
        """Diameter of a sphere around the origin that encloses the density, Å."""
        dense = self.data > _LEAST * self.data.max()
        radius = np.percentile(radius_grid(len(self.data), 3)[dense], 99.5)
        return 2 * float(radius) * self.voxel_size

    def density(self, box_size: int, voxel_size: float, resolution: float | None = None) -> Float32:
        """Return the map in another box, with another voxel size; its sum stays the same.

        Parameters
        ----------
        box_size : int
            Voxels per side, even.
        voxel_size : float
            Å.
        resolution : float, optional
            Å, of the low-pass filter. Default: Nyquist of both voxel sizes.

        Returns
        -------
        (n, n, n) float32
        """
        volume = self.data
        if resolution or voxel_size > self.voxel_size:
            volume = _filter(volume, self.voxel_size, max(resolution or 0, 2 * voxel_size))
        if voxel_size == self.voxel_size:
            return _in_box(volume, box_size)
        ratio = voxel_size / self.voxel_size
        padded = _in_box(volume, max(box_size, len(volume)))
        resampled = FineMap.of(padded).mean_of_rotated(np.eye(3) * ratio) * np.float32(ratio**3)
        return _in_box(resampled, box_size)

    def project_ft(
        self, optics: OpticsGroup, poses: Assignments, resolution: float | None = None
    ) -> Complex64:
        """Return the transforms of projections, (N, n, n // 2 + 1), origin at pixel 0.

        They are central sections of the transform of the map, padded to twice its box, with
        trilinear interpolation and its gridding correction.

        Parameters
        ----------
        optics : OpticsGroup
            Box and pixel size of the images.
        poses : Assignments
            Poses of N images; those of a negative class are left empty.
        resolution : float, optional
            Å, of the low-pass filter. Default: Nyquist.
        """
        n, pixel_size = optics.box_size, optics.pixel_size
        volume = self.density(n, pixel_size, resolution)
        disk = frequency_disk(n, n // 2 - 1)
        shown = np.flatnonzero(poses.class_index >= 0)
        axes = euler_to_matrix(poses.rot[shown], poses.tilt[shown], poses.psi[shown])
        slices = np.empty((len(shown), len(disk)), dtype=np.complex64)
        kx, ky = disk.kx * np.float32(_PADDING), disk.ky * np.float32(_PADDING)
        kernels = choose_backend("cpu").kernels
        cube = map_to_cube(volume / gridding_profile(n, _PADDING), n // 2 - 1, _PADDING)
        kernels.project(cube, axes.astype(np.float32), kx, ky, slices)
        x, y = (o[shown, None] / (n * pixel_size) for o in (poses.origin_x, poses.origin_y))
        slices *= np.exp(2j * np.pi * (x * disk.kx + y * disk.ky)) * (n / pixel_size) ** 2
        images_ft = np.zeros((len(poses.class_index), n, n // 2 + 1), dtype=np.complex64)
        row, column = np.divmod(disk.place, n // 2 + 1)
        images_ft[shown[:, None], row, column] = slices
        # Friedel mates of the column kx = 0; the disk has ky > 0 there
        images_ft[:, n // 2 + 1 :, 0] = images_ft[:, n // 2 - 1 : 0 : -1, 0].conj()
        images_ft[shown, 0, 0] = volume.sum(dtype=np.float64) / pixel_size**2
        return images_ft

    @classmethod
    def with_micelle(cls, molecule: Molecule, box_size: int, voxel_size: float) -> Self:
        """Return a molecule in a detergent micelle, an oblate belt around the Z axis.

        Parameters
        ----------
        molecule : Molecule
        box_size : int
            Voxels per side, even.
        voxel_size : float
            Å.
        """
        protein = molecule.density(box_size, voxel_size)
        radius = np.cbrt((protein > _DENSE * protein.max()).sum() * 3 / (4 * np.pi))  # of a ball
        line = np.arange(box_size) - box_size // 2
        around = np.hypot(line[:, None], line) / (_BELT * radius)  # (y, x)
        distance = np.hypot(line[:, None, None] / (_HEIGHT * radius), around)  # 1 at the surface
        blur = _BLUR / voxel_size
        heads = _blurred((distance < 1) & (distance > _CORE), blur)
        micelle = _HEADS * heads + _TAILS * _blurred(distance <= _CORE, blur)
        return cls(np.maximum(protein, np.float32(protein.max()) * micelle), voxel_size)


def _blurred(inside: np.typing.NDArray[np.bool_], sigma: float) -> Float32:
    return np.asarray(gaussian_filter(inside.astype(np.float32), sigma), dtype=np.float32)


def _filter(volume: Float32, voxel_size: float, resolution: float) -> Float32:
    gain: Float64 = low_pass(half_frequency(volume.shape, voxel_size), voxel_size, resolution)
    filtered = np.fft.irfftn(np.fft.rfftn(volume) * gain, s=volume.shape, axes=(0, 1, 2))
    return np.asarray(filtered, dtype=np.float32)


def _in_box(volume: Float32, box_size: int) -> Float32:
    """Crop or zero-pad a map about its origin."""
    n = len(volume)
    if box_size >= n:
        low = box_size // 2 - n // 2
        return np.pad(volume, (low, box_size - n - low))
    inner = slice(n // 2 - box_size // 2, n // 2 - box_size // 2 + box_size)
    return np.ascontiguousarray(volume[inner, inner, inner])
