"""Particle extent: centre and radius of the particle in a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, label

from napari_ini3d._types import Float64, FloatArray
from napari_ini3d.fourier import radius_grid

_SMOOTHING = 1 / 40  # of the box, standard deviation
_LEAST_SHARE = 0.1  # of the heaviest piece: lighter ones are noise
_INNER_SHARE = 0.995  # of the mass is within the radius
_BINS = 8  # of the distance, per voxel
_BORDER = 0.05  # of the box on each side
_TOO_MUCH_AT_BORDER = 0.02  # of the mass


@dataclass(frozen=True, slots=True)
class ParticleExtent:
    """Centre and size of a particle.

    Attributes
    ----------
    centre : (3,) float64
        Centre of mass, voxels (x, y, z) from voxel n // 2. Every symmetry axis passes through it.
    radius : float
        Voxels, of the sphere about the centre that holds the particle.
    at_border : float
        Share of the mass in the outermost 5 % of the box on each side.
    apart : float
        Density at the border that lies apart from the particle and was left out, over its mass.
    """

    centre: Float64
    radius: float
    at_border: float
    apart: float = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """Problems with the place of the particle, in words."""
        found = []
        if self.apart > _TOO_MUCH_AT_BORDER:
            found.append(
                f"density at the border of the box lies apart from the particle ({self.apart:.0%} "
                "of its mass), such as that of a neighbour; it was left out"
            )
        if self.at_border > _TOO_MUCH_AT_BORDER:
            found.append(
                f"{self.at_border:.0%} of the density is at the border of the box, so the result "
                "may be wrong; expected the particle in the middle; extract in a larger box, or "
                "centre and mask the map"
            )
        return tuple(found)


def find_particle_extent(volume: FloatArray) -> ParticleExtent:
    """Find the particle in a map: the dense part of the smoothed map, without specks.

    Parameters
    ----------
    volume : (n, n, n)
        Real space (z, y, x).
    """
    weight, apart = _excess_density(volume)
    n = len(weight)
    line = np.arange(n) - n // 2
    total = weight.sum()
    profiles = [weight.sum(axis=axes) for axes in ((0, 1), (0, 2), (1, 2))]
    centre = np.array([(profile @ line) / total for profile in profiles])
    bins = (radius_grid(n, 3, centre) * _BINS).astype(np.int32).ravel()
    within = np.cumsum(np.bincount(bins, weight.ravel()))
    radius = float(np.searchsorted(within, _INNER_SHARE * total) + 0.5) / _BINS
    edge = max(1, round(_BORDER * n))
    middle = weight[edge:-edge, edge:-edge, edge:-edge].sum()
    return ParticleExtent(centre, max(radius, 4.0), float(1 - middle / total), apart)


def _excess_density(volume: FloatArray) -> tuple[Float64, float]:
    """Return the smoothed density above the threshold, 0 outside the particle.

    And the mass of what is left out at the border, over that of the particle: pieces that the
    border cuts off, unless it cuts the heaviest, too.
    """
    n = volume.shape[0]
    smooth = gaussian_filter(np.asarray(volume, np.float32), n * _SMOOTHING, mode="wrap")
    level = smooth.mean(dtype=np.float64) + smooth.std(dtype=np.float64)
    excess = np.maximum(smooth - level, 0)
    pieces, count = label(excess > 0)
    mass = np.bincount(pieces.ravel(), excess.ravel(), minlength=count + 1)
    kept = mass >= _LEAST_SHARE * mass.max()
    cut = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for side in (0, n - 1):
            cut[np.unique(pieces.take(side, axis=axis))] = True
    cut[0] = False
    apart = kept & cut if not cut[mass.argmax()] else np.zeros_like(kept)
    kept &= ~apart
    share = float(mass[apart].sum() / max(mass[kept].sum(), np.finfo(np.float64).tiny))
    return np.where(kept[pieces], excess, 0.0), share
