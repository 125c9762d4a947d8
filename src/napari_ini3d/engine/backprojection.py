"""Backprojection: weighted images are added as slices to the half cubes of the classes.

The sums over poses are taken slice by slice first, as matrix products, so that the number of
slices that are inserted into the cubes does not depend on the number of images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, IntArray
from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.reference_set import ReferenceSet
from napari_ini3d.engine.shell_sums import sum_shells


@dataclass(frozen=True, slots=True)
class SliceAccumulator:
    """Sums over poses w of R slices with C components.

    Attributes
    ----------
    numerator : (R, C) complex64
        Σ w CTF · X / σ².
    denominator : (R, C) float32
        Σ w CTF² / σ².
    """

    numerator: Complex64
    denominator: Float32


def backproject_slices(
    references: ReferenceSet,
    sums: SliceAccumulator,
    matrices: Float32,
    numerator: Complex64,
    denominator: Float32,
) -> None:
    """Add slices to the half cubes of one class, in place.

    Parameters
    ----------
    references : ReferenceSet
    sums : SliceAccumulator
    matrices : (R, 3, 3) float32
        Rotations of the slices.
    numerator : (cube) complex64
    denominator : (cube) float32
    """
    c = sums.numerator.shape[1]
    disk, padding = references.disk, np.float32(references.padding)
    kx, ky = disk.kx[:c] * padding, disk.ky[:c] * padding  # (C,)
    references.backend.kernels.backproject(
        sums.numerator, sums.denominator, matrices, kx, ky, numerator, denominator
    )


def empty_cubes(references: ReferenceSet) -> tuple[Complex64, Float32]:
    """Return zeros (K, cube) for the numerator and the denominator of all classes."""
    shape, xp = references.cubes.shape, references.backend.xp
    return xp.zeros(shape, np.complex64), xp.zeros(shape, np.float32)


def explained_power(
    references: ReferenceSet,
    tile: Tile,
    slices: Complex64,
    row_slice: IntArray,
    sums: SliceAccumulator,
) -> Float64:
    """Return, per shell, the power by which the references lower the residual.

    Parameters
    ----------
    references, tile
    slices : (R, P) complex64
    row_slice : (N,) int32
        The slice of each row of the sums.
    sums : SliceAccumulator
        N rows.
    """
    per_component = references.backend.kernels.explained_power(  # (P,), over σ²
        slices, row_slice, sums.numerator, sums.denominator
    )
    of_shells = sum_shells(
        references.backend, references.disk.shell, per_component, tile.excess.shape[1]
    )
    return of_shells * tile.sigma2
