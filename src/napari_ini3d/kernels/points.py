"""Interpolate the Fourier transform of a map at arbitrary points, compiled by Numba.

The map is a half cube as in `kernels.cpu`; points are frequencies (x, y, z) in samples of the cube.
Each kernel runs in one thread, releases the GIL, and sums in a fixed order.
"""

from __future__ import annotations

import math

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32
from napari_ini3d.kernels.numba_jit import jit

_TWO_PI = 2 * np.pi


@jit
def read_points(cube: Complex64, rotations: Float32, points: Float32, out: Complex64) -> None:
    """Interpolate the Fourier components at ``points @ rotations[r]``, trilinear.

    Parameters
    ----------
    cube : (2m + 1, 2m + 1, m + 2) complex64
    rotations : (R, 3, 3) float32
    points : (N, 3) float32
        Of length at most m.
    out : (R, N) complex64
        Output.
    """
    m = np.float32(cube.shape[0] // 2)
    for r in range(rotations.shape[0]):
        a = rotations[r]
        for i in range(points.shape[0]):
            px, py, pz = points[i, 0], points[i, 1], points[i, 2]
            x = px * a[0, 0] + py * a[1, 0] + pz * a[2, 0]
            sign = math.copysign(np.float32(1), x)  # x < 0: use the Friedel mate
            x = x * sign
            y = (px * a[0, 1] + py * a[1, 1] + pz * a[2, 1]) * sign + m
            z = (px * a[0, 2] + py * a[1, 2] + pz * a[2, 2]) * sign + m
            x0, y0, z0 = np.int32(x), np.int32(y), np.int32(z)
            fx, fy, fz = x - np.float32(x0), y - np.float32(y0), z - np.float32(z0)
            gx, gy, gz = np.float32(1) - fx, np.float32(1) - fy, np.float32(1) - fz
            # along x, then y, then z
            low = gy * (gx * cube[z0, y0, x0] + fx * cube[z0, y0, x0 + 1]) + fy * (
                gx * cube[z0, y0 + 1, x0] + fx * cube[z0, y0 + 1, x0 + 1]
            )
            high = gy * (gx * cube[z0 + 1, y0, x0] + fx * cube[z0 + 1, y0, x0 + 1]) + fy * (
                gx * cube[z0 + 1, y0 + 1, x0] + fx * cube[z0 + 1, y0 + 1, x0 + 1]
            )
            value = gz * low + fz * high
            # the Friedel mate is the complex conjugate
            out[r, i] = complex(value.real, value.imag * sign)


@jit
def compare_copies(
    cube: Complex64,
    points: Float32,
    base: Complex64,
    weight: Float32,
    shell: Int32,
    rotations: Float64,
    centre: Float64,
    slopes: Float64,
    products: Float64,
    curve: Float64,
) -> None:
    """Compare a map with copies of itself rotated about a point, with derivatives for the axes.

    G(k) = F(k) exp(2πi k·c) is the transform of the map with its origin at c. Summed over the
    points k and the rotations R are: the overlap ``Re(G(k)* G(Rk))``, by shell; its weighted
    gradient with respect to a common rotation ω of all axes, R -> exp(ω) R exp(-ω), and to a shift
    of c; and the weighted products of the gradients of G(Rk), the Gauss-Newton approximation of
    minus the second derivative.

    Parameters
    ----------
    cube : (2m + 1, 2m + 1, m + 2) complex64
    points : (N, 3) float32
    base : (N,) complex64
        F at the points.
    weight : (N,) float32
    shell : (N,) int32
    rotations : (R, 3, 3) float64
        In the frame of the map.
    centre : (3,) float64
        c, in units of the length whose frequency is one sample of the cube.
    slopes : (6,) float64
        Added to: the gradient for ω, then c.
    products : (6, 6) float64
        Added to; upper triangle only.
    curve : (3, S) float64
        Added to, unweighted, by shell: overlap, power of the map, power of the copies.
    """
    m = np.float32(cube.shape[0] // 2)
    cx, cy, cz = centre
    slope = np.empty(6, dtype=np.complex128)
    fixed_values = np.empty(points.shape[0], dtype=np.complex128)  # G(k)*
    for i in range(points.shape[0]):
        angle = _TWO_PI * (points[i, 0] * cx + points[i, 1] * cy + points[i, 2] * cz)
        fixed_values[i] = base[i].conjugate() * complex(math.cos(angle), -math.sin(angle))
    for r in range(rotations.shape[0]):
        a = rotations[r]
        for i in range(points.shape[0]):
            kx, ky, kz = points[i, 0], points[i, 1], points[i, 2]
            # t = R k, the frequency of which the copy has the component at k
            tx = kx * a[0, 0] + ky * a[0, 1] + kz * a[0, 2]
            ty = kx * a[1, 0] + ky * a[1, 1] + kz * a[1, 2]
            tz = kx * a[2, 0] + ky * a[2, 1] + kz * a[2, 2]
            sign = np.float32(math.copysign(1.0, tx))
            x = np.float32(tx) * sign
            y = np.float32(ty) * sign + m
            z = np.float32(tz) * sign + m
            x0, y0, z0 = np.int32(x), np.int32(y), np.int32(z)
            fx, fy, fz = x - np.float32(x0), y - np.float32(y0), z - np.float32(z0)
            gx, gy, gz = np.float32(1) - fx, np.float32(1) - fy, np.float32(1) - fz
            c000, c001 = cube[z0, y0, x0], cube[z0, y0, x0 + 1]
            c010, c011 = cube[z0, y0 + 1, x0], cube[z0, y0 + 1, x0 + 1]
            c100, c101 = cube[z0 + 1, y0, x0], cube[z0 + 1, y0, x0 + 1]
            c110, c111 = cube[z0 + 1, y0 + 1, x0], cube[z0 + 1, y0 + 1, x0 + 1]
            e00, e01 = gx * c000 + fx * c001, gx * c010 + fx * c011
            e10, e11 = gx * c100 + fx * c101, gx * c110 + fx * c111
            f0, f1 = gy * e00 + fy * e01, gy * e10 + fy * e11
            value = gz * f0 + fz * f1
            if sign < 0:  # F(-k) = F(k)*
                value = value.conjugate()
            # G(Rk) = F(Rk) exp(2πi Rk·c)
            angle = _TWO_PI * (tx * cx + ty * cy + tz * cz)
            phase = complex(math.cos(angle), math.sin(angle))
            rotated = value * phase
            fixed, s, w = fixed_values[i], shell[i], weight[i]
            curve[0, s] += (fixed * rotated).real
            curve[1, s] += fixed.real**2 + fixed.imag**2
            curve[2, s] += rotated.real**2 + rotated.imag**2
            if w == 0:  # in the curve only
                continue
            # the gradient of the interpolation
            dz = f1 - f0
            dy = gz * (e01 - e00) + fz * (e11 - e10)
            dx = gz * (gy * (c001 - c000) + fy * (c011 - c010)) + fz * (
                gy * (c101 - c100) + fy * (c111 - c110)
            )
            if sign < 0:  # grad F(-k) = -(grad F(k))*
                dx, dy, dz = -dx.conjugate(), -dy.conjugate(), -dz.conjugate()
            # the gradient h of G(Rk) with respect to Rk
            hx = dx * phase + rotated * complex(0.0, _TWO_PI * cx)
            hy = dy * phase + rotated * complex(0.0, _TWO_PI * cy)
            hz = dz * phase + rotated * complex(0.0, _TWO_PI * cz)
            bx = a[0, 0] * hx + a[1, 0] * hy + a[2, 0] * hz  # R^T grad
            by = a[0, 1] * hx + a[1, 1] * hy + a[2, 1] * hz
            bz = a[0, 2] * hx + a[1, 2] * hy + a[2, 2] * hz
            # by ω: the frequency moves by ω x Rk - R (ω x k)
            slope[0] = by * kz - bz * ky - (hy * tz - hz * ty)
            slope[1] = bz * kx - bx * kz - (hz * tx - hx * tz)
            slope[2] = bx * ky - by * kx - (hx * ty - hy * tx)
            # by c: both origins move, so that the phase changes with Rk - k
            shifted = rotated * complex(0.0, _TWO_PI)
            slope[3] = shifted * (tx - kx)
            slope[4] = shifted * (ty - ky)
            slope[5] = shifted * (tz - kz)
            for p in range(6):
                slopes[p] += w * (fixed * slope[p]).real
                for q in range(p, 6):
                    products[p, q] += w * (
                        slope[p].real * slope[q].real + slope[p].imag * slope[q].imag
                    )
