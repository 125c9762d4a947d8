"""The transform of a masked, centred map, read at any frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

from napari_ini3d._types import (
    Complex64,
    Complex128,
    ComplexArray,
    Float32,
    Float64,
    FloatArray,
    Int64,
)
from napari_ini3d.fourier.masks import soft_mask
from napari_ini3d.fourier.resample import resize_map

TABLE_SHELL = 9  # the highest shell of the table

_PADDING, _TABLE_PADDING = 2, 4
_MARGIN = 4  # samples around the largest frequency, for the splines
_EDGE = 3.0  # voxels
_SOLID = 2 * np.sqrt(5 / 3)  # diameter of a ball over its radius of gyration


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Fourier components of a map about its centre of mass, up to a largest shell.

    Attributes
    ----------
    coefficients : (2, m, m, m) float32
        Real and imaginary part as coefficients of cubic splines, on a grid twice as fine as the
        map's shells, the zero frequency in the middle.
    table : (q, q, q) complex64
        Components on a grid four times as fine, for the lowest shells only.
    max_shell : int
    centre : (3,) float64
        Centre of mass, voxels (x, y, z) from voxel n // 2.
    extent : float
        Diameter of a ball with the map's radius of gyration, voxels.
    """

    coefficients: Float32
    table: Complex64
    max_shell: int
    centre: Float64
    extent: float

    @classmethod
    def of(cls, volume: FloatArray, mask_radius: float, max_shell: int) -> Self:
        """Transform a map within a soft sphere.

        Parameters
        ----------
        volume : (n, n, n)
            Real space.
        mask_radius : float
            Voxels.
        max_shell : int
            Largest frequency that will be read, at most n // 2 - 2.
        """
        n = volume.shape[0]
        masked = np.asarray(volume, dtype=np.float32) * soft_mask(n, mask_radius, _EDGE, 3)
        centre, extent = _mass(masked)
        samples = _sample(masked, centre, max_shell, _PADDING)
        parts = (samples.real.astype(np.float32), samples.imag.astype(np.float32))
        splines = np.stack([spline_filter(part, order=3, output=np.float32) for part in parts])
        table = _sample(masked, centre, min(max_shell, TABLE_SHELL), _TABLE_PADDING)
        return cls(splines, table, max_shell, centre, min(extent, 2 * mask_radius))

    def read(self, frequencies: Float64) -> Complex128:
        """Return the components at K frequencies, interpolated by cubic splines.

        Parameters
        ----------
        frequencies : (K, 3)
            (x, y, z), in shells.

        Returns
        -------
        (K,) complex128
        """
        places = frequencies.T[::-1] * _PADDING + self.coefficients.shape[1] // 2
        real, imaginary = (
            map_coordinates(part, places, order=3, prefilter=False, output=np.float64)
            for part in self.coefficients
        )
        return np.asarray(real + 1j * imaginary)

    def look_up(self, frequencies: Float64) -> Complex64:
        """Return the nearest components in the table: roughly right, and fast.

        Parameters
        ----------
        frequencies : (..., 3)
            (x, y, z), in shells, none longer than `TABLE_SHELL`.

        Returns
        -------
        (...) complex64
        """
        side = self.table.shape[0]
        place = np.rint(frequencies.astype(np.float32) * _TABLE_PADDING).astype(np.int32)
        index = (place[..., 2] * side + place[..., 1]) * side + place[..., 0]
        return np.asarray(self.table.ravel()[index + (side**3) // 2])


def half_ball(max_shell: int) -> tuple[Float64, Int64]:
    """Return the independent frequencies of a real map and the shell of each.

    Returns
    -------
    frequencies : (K, 3) float64
        (x, y, z), integers; of k and -k only one.
    shell : (K,) int64
        1 to `max_shell`.
    """
    line = np.arange(-max_shell, max_shell + 1)
    z, y, x = (grid.ravel() for grid in np.meshgrid(line, line, line, indexing="ij"))
    shell = np.rint(np.sqrt(x**2 + y**2 + z**2)).astype(np.int64)
    upper = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))
    kept = upper & (shell <= max_shell)
    return np.stack([x, y, z], axis=1)[kept].astype(np.float64), shell[kept]


def _mass(masked: Float32) -> tuple[Float64, float]:
    """Return centre of mass (x, y, z) and extent of what stands out of a map, voxels."""
    n = masked.shape[0]
    smooth = gaussian_filter(masked, n / 40)
    weight = np.maximum(smooth - (smooth.mean() + smooth.std()), 0).astype(np.float64)
    total = weight.sum()
    line = np.arange(n) - n // 2
    sums = [weight.sum(axis=axes) / total for axes in ((0, 1), (0, 2), (1, 2))]
    centre = np.array([(part * line).sum() for part in sums])
    spread = sum((part * (line - c) ** 2).sum() for part, c in zip(sums, centre, strict=True))
    return centre, float(_SOLID * np.sqrt(spread))


def _sample(masked: Float32, centre: Float64, max_shell: int, padding: int) -> Complex64:
    """Return the transform about `centre` on a grid `padding` times finer than the shells."""
    small = min(masked.shape[0], 2 * (max_shell + 2))
    n, scale = small, small / masked.shape[0]
    size = padding * n
    low = size // 2 - n // 2
    volume = np.pad(resize_map(masked, small) / scale**3, (low, size - n - low))
    reach = min(padding * max_shell + _MARGIN, (size - 1) // 2)
    keep = np.arange(-reach, reach + 1)
    volume_ft: ComplexArray = scipy.fft.ifftshift(volume).astype(np.complex64)
    for axis in (2, 1, 0):
        volume_ft = np.take(scipy.fft.fft(volume_ft, axis=axis), keep % size, axis=axis)
    ramps = [np.exp(2j * np.pi * keep * c * scale / size) for c in centre]
    ramp = ramps[2][:, None, None] * ramps[1][:, None] * ramps[0]
    return np.asarray(volume_ft * ramp, dtype=np.complex64)
