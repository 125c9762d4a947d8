"""Euler angles in RELION's ZYZ convention.

A matrix ``A`` rotates the object to the image axes: its first two rows are the image's x and y
axes in the map's coordinates and its third row is the viewing direction. The central section
of a view holds the Fourier components of the map at ``kx * A[0] + ky * A[1]``.
"""

from __future__ import annotations

import numpy as np

from napari_ini3d._types import Float64, FloatArray


def euler_to_matrix(rot: FloatArray, tilt: FloatArray, psi: FloatArray) -> Float64:
    """Return the matrices Rz(psi) Ry(tilt) Rz(rot) of the coordinate axes.

    Parameters
    ----------
    rot, tilt, psi : (...) array
        Degrees.

    Returns
    -------
    (..., 3, 3) float64
    """
    angles = np.broadcast_arrays(rot, tilt, psi)
    a, b, g = (np.deg2rad(x.astype(np.float64)) for x in angles)
    ca, cb, cg = np.cos(a), np.cos(b), np.cos(g)
    sa, sb, sg = np.sin(a), np.sin(b), np.sin(g)
    rows = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)  # (..., 3, 3)


def matrix_to_euler(matrix: FloatArray) -> Float64:
    """Return (..., 3) rot, tilt, psi in degrees; tilt in [0, 180], rot and psi in (-180, 180].

    At tilt 0 or 180 only the sum (difference) of rot and psi is defined; rot is then zero.
    """
    m = np.asarray(matrix, np.float64)
    tilt = np.arctan2(np.hypot(m[..., 2, 0], m[..., 2, 1]), m[..., 2, 2])
    polar = np.hypot(m[..., 2, 0], m[..., 2, 1]) < 1e-8  # (...)
    rot = np.where(polar, 0.0, np.arctan2(m[..., 2, 1], m[..., 2, 0]))
    # at the poles the first row is (cos tilt cos psi, sin psi, 0) for rot = 0
    psi_polar = np.arctan2(m[..., 0, 1], m[..., 1, 1])
    psi = np.where(polar, psi_polar, np.arctan2(m[..., 1, 2], -m[..., 0, 2]))
    return np.asarray(np.rad2deg(np.stack([rot, tilt, psi], -1)))
