"""The other hand of a map and of the angles of its particles.

The mirror takes x to ``Z x``, with Z = diag(1, 1, -1). A particle is seen alike in the mirrored
map under ``A' = Z A Z``: the projection runs along the viewing direction, and which way does not
matter. Z A Z differs from A in the signs of the four elements that hold sin(tilt) once, so that
``rot + 180°, tilt, psi + 180°`` are its angles, and the origins stay.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_ini3d.fourier.resample import mirror_map
from napari_ini3d.particles import FloatArray


def flip_hand(
    volume: FloatArray, angles: FloatArray
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
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


def flip_angles(angles: FloatArray) -> npt.NDArray[np.float64]:
    """Return the angles (N, 3) under which the mirrored map is seen as the map was before.

    rot and psi lie in (-180, 180] where they did before.
    """
    rot, tilt, psi = np.asarray(angles, dtype=np.float64).T
    return np.stack([_opposite(rot), tilt, _opposite(psi)], axis=1)


def _opposite(degrees: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(degrees > 0, degrees - 180, degrees + 180)
