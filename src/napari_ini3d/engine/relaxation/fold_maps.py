"""Maps of folds: sums of backprojected images, and the maps that leave one fold out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from napari_ini3d._types import Complex64, Float32
from napari_ini3d.engine.maximisation import complete_friedel, symmetrised_cube
from napari_ini3d.engine.regularisation import (
    HalfSetFSC,
    RealSpaceConstraints,
    cube_shells,
    divide_by_weight,
    half_set_fsc,
    wiener_divide,
)
from napari_ini3d.engine.relaxation.folds import FOLDS
from napari_ini3d.kernels import Backend


@dataclass(frozen=True, slots=True)
class FoldSums:
    """Backprojected images of each fold.

    Attributes
    ----------
    numerator : (FOLDS, cube) complex64
    denominator : (FOLDS, cube) float32
    radius : int
        Of the cubes.
    """

    numerator: Complex64
    denominator: Float32
    radius: int

    @classmethod
    def zeros(cls, shape: tuple[int, int, int], radius: int) -> Self:
        """Return sums of no images."""
        return cls(
            np.zeros((FOLDS, *shape), np.complex64), np.zeros((FOLDS, *shape), np.float32), radius
        )

    def completed(self) -> FoldSums:
        """Return the sums with the plane kx = 0 completed by Friedel's law, in place."""
        complete_friedel(self.numerator[None], self.denominator[None])
        return self

    def symmetrised(self, operators: Float32, backend: Backend) -> FoldSums:
        """Return the sums over the operators (G, 3, 3) of completed sums."""
        pairs = zip(self.numerator, self.denominator, strict=True)
        filled = [symmetrised_cube(n, d, operators, backend) for n, d in pairs]
        numerator, denominator = (np.stack(sums) for sums in zip(*filled, strict=True))
        return FoldSums(numerator, denominator, self.radius)

    def fsc(self, constraints: RealSpaceConstraints) -> HalfSetFSC:
        """Return the FSC of the maps of the even and the odd folds, within the mask."""
        padding, n_shells = constraints.settings.padding_factor, constraints.box_size // 2 + 1
        masked = []
        for half in (0, 1):
            numerator = self.numerator[half::2].sum(axis=0)
            denominator = self.denominator[half::2].sum(axis=0)
            cube = divide_by_weight(numerator, denominator, padding)
            cube[cube_shells(len(cube) // 2, padding) > self.radius] = 0
            masked.append(constraints.to_cube(constraints.to_map(cube), self.radius))
        return half_set_fsc(masked[0], masked[1], padding, n_shells)

    def map_of(
        self, folds: list[int], fsc: HalfSetFSC, constraints: RealSpaceConstraints
    ) -> Float32:
        """Return the map (n, n, n) of some folds, filtered by the FSC of all."""
        padding = constraints.settings.padding_factor
        cube = wiener_divide(
            self.numerator[folds].sum(axis=0),
            self.denominator[folds].sum(axis=0),
            fsc.ssnr * (len(folds) / FOLDS),
            padding,
        )
        cube = cube.astype(np.complex64, copy=False)
        cube[cube_shells(len(cube) // 2, padding) > self.radius] = 0
        return constraints.to_map(cube)

    def without_each(self, fsc: HalfSetFSC, constraints: RealSpaceConstraints) -> Complex64:
        """Return the half cubes (FOLDS, cube) of the maps that leave out one fold each."""
        cubes = []
        for fold in range(FOLDS):
            others = [other for other in range(FOLDS) if other != fold]
            volume = self.map_of(others, fsc, constraints)
            cubes.append(constraints.to_cube(volume, self.radius))
        return np.stack(cubes)
