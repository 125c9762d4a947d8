"""Flip the hand of a map and of the angles of its particles.

The mirror takes x to ``Z x``, with Z = diag(1, 1, -1). The mirrored map has the same
projection under ``A' = Z A Z``, because the sense of the viewing direction does not matter. Z A Z
differs from A in the signs of the four elements that contain sin(tilt) once, so its angles are
``rot + 180°, tilt, psi + 180°``, and the origins stay.
"""

from __future__ import annotations

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.fourier import mirror_map
from napari_ini3d.geometry import flip_angles


def flip_hand(volume: FloatArray, angles: FloatArray) -> tuple[Float32, Float64]:
    """Return a map and the angles of its particles in the other hand; twice is the identity.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    angles : (N, 3)
        rot, tilt, psi in degrees. The origins of the particles stay as they are.

    Returns
    -------
    volume : (n, n, n) float32
        z has become -z, about voxel n // 2.
    angles : (N, 3) float64

    Raises
    ------
    MapError
        Where the map is not a cube.
    """
    return mirror_map(volume), flip_angles(angles)
