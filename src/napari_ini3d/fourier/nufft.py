"""Read a map between its voxels by a non-uniform FFT, to float precision.

A map of n voxels per side is a sum of waves (its discrete Fourier transform), and that sum is
the density between the voxels. It is read by a non-uniform fast Fourier transform: the waves are
summed on a grid at least twice as fine, each divided by the transform of a short bell, the
Kaiser-Bessel function; samples of that grid weighted by the bell about a point then give the sum
at the point (Fessler & Sutton, IEEE Trans. Signal Process. 51 (2003) 560). Over 8 samples along
each axis the error is that of single precision: 2e-7 of the map's norm.

This is the one module below `kernels` with compiled loops: resampling is part of this layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import scipy
from numpy.polynomial import chebyshev

from napari_ini3d._types import ComplexArray, Float32, Float64, FloatArray
from napari_ini3d.errors import MapError
from napari_ini3d.fourier.threads import map_in_threads
from napari_ini3d.kernels import available_threads, jit, jit_inline

_FINER = 2  # the least ratio of the grids
_WIDTH = 8  # samples under the bell; the compiled loop is written out for 8
_SHARPNESS = np.pi * np.sqrt((_WIDTH / _FINER * (_FINER - 0.5)) ** 2 - 0.8)  # Beatty et al. 2005
_DEGREE = 9  # of the polynomials that approximate the bell; 7 is enough for 2e-7
_MARGIN = _WIDTH // 2 + 1  # samples repeated on each side, so that the bell never leaves the grid
_TILE = 8  # voxels; tiles are read one after another to stay in the cache
_TOLERANCE = 1e-6  # voxels; a point this little outside the box is on its border


@dataclass(frozen=True, slots=True)
class FineMap:
    """A map prepared for reading at any point of its box.

    The box is periodic: the density at -n / 2 is that at n / 2 too.

    Attributes
    ----------
    samples : (m, m, m) float32
        Weights of the bells, (z, y, x), with a margin on each side.
    box_size : int
        n, voxels per side of the map.
    """

    samples: Float32
    box_size: int

    @classmethod
    def of(cls, volume: FloatArray, *, threads: int = 0) -> Self:
        """Transform a map.

        Parameters
        ----------
        volume : (n, n, n)
            Real space (z, y, x).
        threads : int
            0 means as many as the process may use.

        Raises
        ------
        MapError
            Where the map is not a cube.
        """
        if volume.ndim != 3 or len(set(volume.shape)) != 1 or not volume.size:
            raise MapError(f"the map has the shape {volume.shape}; expected a cube (n, n, n)")
        samples = _fine_samples(np.asarray(volume, dtype=np.float32), threads)
        return cls(samples, volume.shape[0])

    def mean_of_rotated(
        self,
        rotations: FloatArray,
        shift: FloatArray | tuple[float, ...] = (0, 0, 0),
        radius: float | None = None,
        *,
        threads: int = 0,
    ) -> Float32:
        """Return the mean of the map shifted and rotated: at x, that of V(rotationᵀ x + shift).

        Parameters
        ----------
        rotations : (R, 3, 3)
            Matrices for vectors (x, y, z) from voxel n // 2.
        shift : (3,)
            Voxels, (x, y, z).
        radius : float, optional
            Voxels from voxel n // 2; nothing is read further out.
        threads : int
            0 means as many as the process may use. The result is the same for any number.

        Returns
        -------
        (n, n, n) float32
            A copy counts as 0 where it does not reach.

        Raises
        ------
        MapError
            Where a rotation or the shift is not finite.
        """
        matrices = np.asarray(rotations, dtype=np.float64).reshape(-1, 3, 3)
        offset = np.asarray(shift, dtype=np.float64).reshape(3)
        if not (np.isfinite(matrices).all() and np.isfinite(offset).all()):
            raise MapError(
                "a rotation or shift is not finite; expected numbers; check the transform"
            )
        n = self.box_size
        out = np.zeros((n, n, n), dtype=np.float32)
        reach = 3.0 * n * n if radius is None else float(radius) ** 2
        fine_size = self.samples.shape[0] - 2 * _MARGIN

        def read_layer(layer: int) -> None:
            _read_layer(
                self.samples.reshape(-1, copy=False),
                self.samples.shape[0],
                _bell_polynomials(),
                matrices,
                offset,
                fine_size / n,
                reach,
                layer * _TILE,
                out,
            )

        map_in_threads(read_layer, range(-(-n // _TILE)), threads)
        return out


def _fine_samples(volume: Float32, threads: int) -> Float32:
    """Return the bells' weights on the finer grid, periodic margins included."""
    n = volume.shape[0]
    size = scipy.fft.next_fast_len(_FINER * n, real=True)
    workers = available_threads(threads)
    volume_ft: ComplexArray = scipy.fft.rfftn(volume, workers=workers)  # (n, n, n // 2 + 1)
    whole = _bell_transform(np.fft.fftfreq(n, 1 / n) / size)  # (n,)
    half = _bell_transform(np.arange(n // 2 + 1) / size)  # (n // 2 + 1,)
    gain = np.float32(size / n)
    volume_ft *= (gain / whole)[:, None, None] * (gain / whole)[:, None] * (gain / half)
    if n % 2 == 0:
        volume_ft[:, :, -1] /= 2  # irfft counts it for both signs
    wrapped = np.arange(-_MARGIN, size + _MARGIN) % size
    for axis in (0, 1):
        padded = _pad_axis(volume_ft, size, axis)
        fine = scipy.fft.ifft(padded, axis=axis, overwrite_x=True, workers=workers)
        volume_ft = np.take(fine, wrapped, axis=axis)
    samples = np.empty((len(wrapped),) * 3, dtype=np.float32)
    samples[:, :, _MARGIN:-_MARGIN] = scipy.fft.irfft(volume_ft, n=size, axis=2, workers=workers)
    samples[:, :, :_MARGIN] = samples[:, :, size : size + _MARGIN]
    samples[:, :, -_MARGIN:] = samples[:, :, _MARGIN : 2 * _MARGIN]
    return samples


def _pad_axis(volume_ft: ComplexArray, size: int, axis: int) -> ComplexArray:
    """Add the frequencies a finer grid has, along one axis; Nyquist is shared by both signs."""
    values = np.moveaxis(volume_ft, axis, 0)
    n, half = len(values), len(values) // 2
    padded = np.zeros((size, *values.shape[1:]), dtype=values.dtype)
    padded[: n - half] = values[: n - half]
    padded[size - half :] = values[n - half :]
    if n % 2 == 0:
        padded[size - half] /= 2
        padded[half] = padded[size - half]
    return np.moveaxis(padded, 0, axis)


def _bell(distance: Float64) -> Float64:
    """Return the Kaiser-Bessel function at a distance in samples."""
    inside = np.maximum(0, 1 - (2 * distance / _WIDTH) ** 2)
    return np.asarray(scipy.special.i0(_SHARPNESS * np.sqrt(inside)) / scipy.special.i0(_SHARPNESS))


def _bell_transform(frequency: Float64) -> Float32:
    """Return the Fourier transform of the bell, at frequencies in cycles per sample."""
    root = np.sqrt(_SHARPNESS**2 - (np.pi * _WIDTH * frequency) ** 2)
    return np.asarray(
        _WIDTH * np.sinh(root) / root / scipy.special.i0(_SHARPNESS), dtype=np.float32
    )


@lru_cache(maxsize=1)
def _bell_polynomials() -> Float32:
    """Return the bell over each of the samples under it, as polynomials, (degree + 1, width).

    Column j is the weight of sample j for a point that lies f = (t + 1) / 2 beyond the last
    sample before the bell's middle, lowest power of t first.
    """
    nodes = chebyshev.chebpts1(4 * _DEGREE)
    middle = _WIDTH // 2 - 1
    columns = [
        chebyshev.cheb2poly(
            chebyshev.chebfit(nodes, _bell((nodes + 1) / 2 + (middle - j)), _DEGREE)
        )
        for j in range(_WIDTH)
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32)


# Eight sums in variables of their own become one vector register, and unsigned indices into one
# flat row need no check for negative ones: half the time of a loop over the samples of a row.


@jit
def _read_layer(
    samples: Float32,
    side: int,
    bell: Float32,
    matrices: Float64,
    shift: Float64,
    finer: float,
    reach: float,
    first: int,
    out: Float32,
) -> None:
    n = out.shape[0]
    tiles = (n + _TILE - 1) // _TILE
    for tile in range(tiles * tiles):
        y0, x0 = (tile // tiles) * _TILE, (tile % tiles) * _TILE
        for z in range(first, min(first + _TILE, n)):
            for y in range(y0, min(y0 + _TILE, n)):
                for x in range(x0, min(x0 + _TILE, n)):
                    dz, dy, dx = z - n // 2, y - n // 2, x - n // 2
                    if dz * dz + dy * dy + dx * dx <= reach:
                        out[z, y, x] = _read_point(
                            samples, side, bell, matrices, shift, finer, n, (dx, dy, dz)
                        )


@jit_inline
def _read_point(
    samples: Float32,
    side: int,
    bell: Float32,
    matrices: Float64,
    shift: Float64,
    finer: float,
    n: int,
    point: tuple[int, int, int],
) -> np.float32:
    row, plane = np.uint64(side), np.uint64(side * side)
    border = n / 2 + _TOLERANCE
    corner = (n // 2) * finer + (_MARGIN - (_WIDTH // 2 - 1))
    wx = np.empty(_WIDTH, np.float32)
    wy = np.empty(_WIDTH, np.float32)
    wz = np.empty(_WIDTH, np.float32)
    dx, dy, dz = point
    total = np.float32(0)
    for m in range(matrices.shape[0]):
        a = matrices[m]
        x = a[0, 0] * dx + a[1, 0] * dy + a[2, 0] * dz + shift[0]
        y = a[0, 1] * dx + a[1, 1] * dy + a[2, 1] * dz + shift[1]
        z = a[0, 2] * dx + a[1, 2] * dy + a[2, 2] * dz + shift[2]
        if abs(x) > border or abs(y) > border or abs(z) > border:
            continue
        x, y, z = x * finer + corner, y * finer + corner, z * finer + corner
        ix, iy, iz = np.int64(x), np.int64(y), np.int64(z)
        _weigh(bell, np.float32(2 * (x - ix) - 1), wx)
        _weigh(bell, np.float32(2 * (y - iy) - 1), wy)
        _weigh(bell, np.float32(2 * (z - iz) - 1), wz)
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
        start = np.uint64(iz) * plane + np.uint64(iy) * row + np.uint64(ix)
        for j in range(_WIDTH):
            i = start + np.uint64(j) * plane
            for k in range(_WIDTH):
                w = wz[j] * wy[k]
                s0 += w * samples[i]
                s1 += w * samples[i + np.uint64(1)]
                s2 += w * samples[i + np.uint64(2)]
                s3 += w * samples[i + np.uint64(3)]
                s4 += w * samples[i + np.uint64(4)]
                s5 += w * samples[i + np.uint64(5)]
                s6 += w * samples[i + np.uint64(6)]
                s7 += w * samples[i + np.uint64(7)]
                i += row
        near = s0 * wx[0] + s1 * wx[1] + s2 * wx[2] + s3 * wx[3]
        total += near + (s4 * wx[4] + s5 * wx[5] + s6 * wx[6] + s7 * wx[7])
    return total / np.float32(matrices.shape[0])


@jit_inline
def _weigh(bell: Float32, t: np.float32, out: Float32) -> None:
    for j in range(_WIDTH):
        out[j] = bell[-1, j]
    for d in range(bell.shape[0] - 2, -1, -1):
        for j in range(_WIDTH):
            out[j] = out[j] * t + bell[d, j]
