"""Project, backproject and symmetrise maps in Fourier space, compiled by Numba.

A map's Fourier transform is a centred half cube: ``map_ft[z + m, y + m, x]`` for |z|, |y| <= m
and 0 <= x <= m + 1, complex64. One frequency sample of the images is `padding` samples of the
cube. Components with x < 0 follow from Friedel's law. Slices are rows over the P frequencies of a
`FrequencyDisk`.
"""

from __future__ import annotations

import math

import numpy as np

from napari_ini3d._types import Complex64, Float32
from napari_ini3d.kernels.axpy import choose_axpy
from napari_ini3d.kernels.numba_jit import jit

_axpy = choose_axpy()


def project(map_ft: Complex64, matrices: Float32, kx: Float32, ky: Float32, out: Complex64) -> None:
    """Project a map: R central sections by trilinear interpolation.

    Parameters
    ----------
    map_ft : (2m + 1, 2m + 1, m + 2) complex64
    matrices : (R, 3, 3) float32
        See `geometry.euler`.
    kx, ky : (P,) float32
        Frequencies in samples of `map_ft` (image frequency times padding factor).
    out : (R, P) complex64
        Output; contiguous.
    """
    _project(_floats(map_ft), map_ft.shape[0] // 2, matrices, kx, ky, out.view(np.float32))


def backproject(
    numerator: Complex64,
    denominator: Float32,
    matrices: Float32,
    kx: Float32,
    ky: Float32,
    map_numerator: Complex64,
    map_denominator: Float32,
) -> None:
    """Backproject R slices: add them to a half cube, the transpose of `project`.

    Parameters
    ----------
    numerator : (R, P) complex64
    denominator : (R, P) float32
    matrices, kx, ky
        As in `project`.
    map_numerator : (2m + 1, 2m + 1, m + 2) complex64
        Added to; contiguous.
    map_denominator : (2m + 1, 2m + 1, m + 2) float32
        Added to; contiguous.
    """
    _backproject(
        np.ascontiguousarray(numerator).view(np.float32),
        denominator,
        matrices,
        kx,
        ky,
        _floats(map_numerator),
        map_denominator.reshape(-1, copy=False),
        map_numerator.shape[0] // 2,
    )


def _floats(cube: Complex64) -> Float32:
    """Return a view of a contiguous complex array as a row of real and imaginary parts."""
    return cube.reshape(-1, copy=False).view(np.float32)


# Real arithmetic, one flat row and unsigned indices let the compiler vectorise the loop over the
# components with gathers: complex products and signed indices take three times as long.


@jit
def _project(
    parts: Float32, m: int, matrices: Float32, kx: Float32, ky: Float32, out: Float32
) -> None:
    row = np.uint32(2 * (m + 2))  # floats from y to y + 1: real and imaginary parts
    plane = np.uint32(row * np.uint32(2 * m + 1))  # floats from z to z + 1
    one, two, three = np.uint32(1), np.uint32(2), np.uint32(3)
    origin = np.float32(m)
    for r in range(matrices.shape[0]):
        a00, a01, a02 = matrices[r, 0, 0], matrices[r, 0, 1], matrices[r, 0, 2]
        a10, a11, a12 = matrices[r, 1, 0], matrices[r, 1, 1], matrices[r, 1, 2]
        section = out[r]
        for p in range(kx.shape[0]):
            # (kx, ky, 0) @ matrix: the rows of the matrix are the axes of the image in the map
            x = kx[p] * a00 + ky[p] * a10
            sign = math.copysign(np.float32(1), x)  # x < 0: use the Friedel mate
            x = x * sign
            y = (kx[p] * a01 + ky[p] * a11) * sign + origin
            z = (kx[p] * a02 + ky[p] * a12) * sign + origin
            x0, y0, z0 = np.int32(x), np.int32(y), np.int32(z)
            fx, fy, fz = x - np.float32(x0), y - np.float32(y0), z - np.float32(z0)
            gx, gy, gz = np.float32(1) - fx, np.float32(1) - fy, np.float32(1) - fz
            w00, w01, w10, w11 = gz * gy, gz * fy, fz * gy, fz * fy  # of (z, y)
            c00 = np.uint32(z0) * plane + np.uint32(y0) * row + two * np.uint32(x0)
            c01, c10 = c00 + row, c00 + plane
            c11 = c10 + row
            # real part at x0 (near) and x0 + 1 (far), then the imaginary part
            near = w00 * parts[c00] + w01 * parts[c01] + w10 * parts[c10] + w11 * parts[c11]
            far = (
                w00 * parts[c00 + two]
                + w01 * parts[c01 + two]
                + w10 * parts[c10 + two]
                + w11 * parts[c11 + two]
            )
            section[2 * p] = gx * near + fx * far
            near = (
                w00 * parts[c00 + one]
                + w01 * parts[c01 + one]
                + w10 * parts[c10 + one]
                + w11 * parts[c11 + one]
            )
            far = (
                w00 * parts[c00 + three]
                + w01 * parts[c01 + three]
                + w10 * parts[c10 + three]
                + w11 * parts[c11 + three]
            )
            section[2 * p + 1] = (gx * near + fx * far) * sign  # the mate is conjugate


@jit
def _backproject(
    numerator: Float32,
    denominator: Float32,
    matrices: Float32,
    kx: Float32,
    ky: Float32,
    map_numerator: Float32,
    map_denominator: Float32,
    m: int,
) -> None:
    row, plane = np.uint32(m + 2), np.uint32((m + 2) * (2 * m + 1))  # components
    one, two, origin = np.float32(1), np.uint32(2), np.float32(m)
    for r in range(matrices.shape[0]):
        a00, a01, a02 = matrices[r, 0, 0], matrices[r, 0, 1], matrices[r, 0, 2]
        a10, a11, a12 = matrices[r, 1, 0], matrices[r, 1, 1], matrices[r, 1, 2]
        for p in range(kx.shape[0]):
            weight = denominator[r, p]
            if weight == 0:  # no image has weight on this slice
                continue
            x = kx[p] * a00 + ky[p] * a10
            sign = math.copysign(one, x)
            real, imag = numerator[r, 2 * p], numerator[r, 2 * p + 1] * sign
            x = x * sign
            y = (kx[p] * a01 + ky[p] * a11) * sign + origin
            z = (kx[p] * a02 + ky[p] * a12) * sign + origin
            x0, y0, z0 = np.int32(x), np.int32(y), np.int32(z)
            fx, fy, fz = x - np.float32(x0), y - np.float32(y0), z - np.float32(z0)
            gx, gy, gz = one - fx, one - fy, one - fz
            # x0 and x0 + 1 are neighbours in memory: four floats, two weights at once
            values = (real * gx, imag * gx, real * fx, imag * fx)
            weights = (weight * gx, weight * fx)
            c00 = np.uint32(np.uint32(z0) * plane + np.uint32(y0) * row + np.uint32(x0))
            c01, c10 = np.uint32(c00 + row), np.uint32(c00 + plane)
            c11 = np.uint32(c10 + row)
            _axpy(map_numerator, np.uint32(two * c00), gz * gy, values)
            _axpy(map_denominator, c00, gz * gy, weights)
            _axpy(map_numerator, np.uint32(two * c01), gz * fy, values)
            _axpy(map_denominator, c01, gz * fy, weights)
            _axpy(map_numerator, np.uint32(two * c10), fz * gy, values)
            _axpy(map_denominator, c10, fz * gy, weights)
            _axpy(map_numerator, np.uint32(two * c11), fz * fy, values)
            _axpy(map_denominator, c11, fz * fy, weights)


@jit
def symmetrise(
    numerator: Complex64,
    denominator: Float32,
    operators: Float32,
    out_numerator: Complex64,
    out_denominator: Float32,
) -> None:
    """Sum a half cube and its weights over the operators of a point group, trilinearly.

    Parameters
    ----------
    numerator, out_numerator : (2m + 1, 2m + 1, m + 2) complex64
    denominator, out_denominator : (2m + 1, 2m + 1, m + 2) float32
    operators : (G, 3, 3) float32
        Rotation matrices for vectors (x, y, z).
    """
    m = numerator.shape[0] // 2
    for i in range(2 * m + 1):
        for j in range(2 * m + 1):
            for h in range(m + 1):
                total = np.complex64(0)
                weight = np.float32(0)
                # beyond this radius a rotated point would need samples outside the cube
                if (i - m) ** 2 + (j - m) ** 2 + h * h <= (m - 1) ** 2 + 1:
                    for g in range(operators.shape[0]):
                        a = operators[g]
                        x = a[0, 0] * h + a[0, 1] * (j - m) + a[0, 2] * (i - m)
                        y = a[1, 0] * h + a[1, 1] * (j - m) + a[1, 2] * (i - m)
                        z = a[2, 0] * h + a[2, 1] * (j - m) + a[2, 2] * (i - m)
                        flip = x < 0  # use the Friedel mate
                        if flip:
                            x, y, z = -x, -y, -z
                        x0, y0, z0 = int(x), math.floor(y), math.floor(z)
                        fx, fy, fz = x - x0, y - y0, z - z0
                        value = np.complex64(0)
                        for dz in range(2):
                            wz = fz if dz else 1 - fz
                            for dy in range(2):
                                wzy = wz * (fy if dy else 1 - fy)
                                p, q = min(z0 + m + dz, 2 * m), min(y0 + m + dy, 2 * m)
                                value += numerator[p, q, x0] * (wzy * (1 - fx))
                                value += numerator[p, q, x0 + 1] * (wzy * fx)
                                weight += denominator[p, q, x0] * (wzy * (1 - fx))
                                weight += denominator[p, q, x0 + 1] * (wzy * fx)
                        total += value.conjugate() if flip else value
                out_numerator[i, j, h] = total
                out_denominator[i, j, h] = weight
