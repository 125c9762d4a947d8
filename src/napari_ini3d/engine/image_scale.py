"""Scale of the images: how strong the particle is in each, relative to the map.

Thickness of the ice, dose and the normalisation of the background differ between images. The scale
of an image multiplies the reference it is compared with; a weak image then counts less, instead of
looking like junk or diluting the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_ini3d._types import Float32, Float64
from napari_ini3d.engine.sums import BestPoses
from napari_ini3d.particles import Assignments

_LOWEST, _HIGHEST = 0.25, 4.0
_LARGEST_SPREAD = 0.5  # standard deviation
_LEAST_IMAGES = 30  # from fewer, the spread cannot be learned


def with_scales(assignments: Assignments, poses: Sequence[BestPoses]) -> Assignments:
    """Return a copy in which the particles of some tiles have a new scale.

    Parameters
    ----------
    assignments : Assignments
    poses : sequence of BestPoses
        Of an iteration with a fine pass.
    """
    names = ("index", "overlap", "reference_power", "junk_probability")
    index, overlap, power, junk = (
        np.concatenate([getattr(tile, name) for tile in poses]) for name in names
    )
    scale = assignments.scale.copy()
    scale[index] = image_scales(overlap.astype(np.float64), power.astype(np.float64), 1.0 - junk)
    return replace(assignments, scale=scale)


def image_scales(overlap: Float64, power: Float64, particle: Float64) -> Float32:
    """Return the scale of each image, (B,): the mean of its posterior.

    The likelihood of a scale s is Gaussian: its maximum is overlap / power, and its variance
    1 / power. The prior is Gaussian about 1; its variance is what the maxima vary more than their
    errors explain. Only relative scales are known: the common factor belongs to the map.

    Parameters
    ----------
    overlap : (B,)
        Re(X* CTF·A) / σ² at the best pose.
    power : (B,)
        CTF² |A|² / σ² there.
    particle : (B,)
        Probability that the image shows a particle; junk has no scale, and keeps 1.
    """
    scale = np.ones(len(power), np.float32)
    known = np.flatnonzero((power > 0) & (particle > 0.5))
    if len(known) < _LEAST_IMAGES:
        return scale
    overlap, power, particle = overlap[known], power[known], particle[known]
    common = max(float((particle * overlap).sum() / (particle * power).sum()), 1e-6)
    found = overlap / power / common
    error2 = 1 / (power * common**2)
    # robust: an image with a wrong pose, or of another thing, is far off
    spread2 = float((np.subtract(*np.percentile(found, (84, 16))) / 2) ** 2 - np.median(error2))
    spread2 = min(max(spread2, 0.0), _LARGEST_SPREAD**2)
    posterior = 1 + particle * (spread2 / (spread2 + error2)) * (found - 1)
    scale[known] = np.clip(posterior, _LOWEST, _HIGHEST)
    return scale
