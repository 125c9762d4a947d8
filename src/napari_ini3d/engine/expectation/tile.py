"""Expectation of one tile of images: a pure function from references and images to sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Float32, Float64, IntArray
from napari_ini3d.engine.expectation.coarse import coarse_posterior, coarse_sums
from napari_ini3d.engine.expectation.fine import fine_sums
from napari_ini3d.engine.images import ImagePreparation, WeightedImages
from napari_ini3d.engine.reference_set import ReferenceSet
from napari_ini3d.engine.sums import TileSums
from napari_ini3d.engine.timing import ThreadTimer
from napari_ini3d.particles import Assignments, ImageBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class TileInput:
    """What all tiles of an iteration on one device share.

    Attributes
    ----------
    preparation : ImagePreparation
    references : sequence of ReferenceSet
        One per model.
    assignments : Assignments
        Of all particles, before this iteration.
    sigma2 : (G, n_shells) float64
        Noise variance per optics group and shell.
    typical_power : (G, n_shells) float64
        Of each shell of a masked image.
    class_bias : callable
        From particles (B,) to what is added to their class log priors, (B, K).
    """

    preparation: ImagePreparation
    references: Sequence[ReferenceSet]
    assignments: Assignments
    sigma2: Float64
    typical_power: Float64
    class_bias: Callable[[IntArray], Float32]


@dataclass(frozen=True, slots=True)
class TileResult:
    """The sums of a tile for each model, and the seconds that its parts took."""

    per_model: list[TileSums]
    seconds: Mapping[str, float]


def expect_tile(given: TileInput, batch: ImageBatch) -> TileResult:
    """Return the sums of a batch of images, for each model.

    Every image is compared with all coarse rotations and shifts at coarse resolution; where the
    references have a fine grid, the children of the significant rotations follow.

    Parameters
    ----------
    given : TileInput
    batch : ImageBatch
        Of one half-set and one optics group; the images on the device of the references.
    """
    timer = ThreadTimer(running=not given.preparation.backend.is_gpu)
    i, found = batch.index, given.assignments
    origins = _within_limit(given, i, np.stack([found.origin_x[i], found.origin_y[i]], -1))
    disk, bias = given.references[0].disk, given.class_bias(i)
    tile = given.preparation.tile(
        batch, disk, origins, given.sigma2, given.typical_power, bias, found.scale[i]
    )
    weighted = WeightedImages.of(tile, disk, given.preparation.backend)  # the same for every model
    timer.part("prepare_images")
    per_model = []
    for references in given.references:
        posterior = coarse_posterior(references, tile, weighted)
        timer.part("coarse_pass")
        if references.fine is None:
            per_model.append(coarse_sums(references, tile, weighted, posterior))
        else:
            per_model.append(fine_sums(references, references.fine, tile, weighted, posterior))
        timer.part("fine_pass")
    return TileResult(per_model, timer.seconds)


def _within_limit(given: TileInput, index: IntArray, origins: Float32) -> Float32:
    """Return origins (B, 2), Å, none further from that of the STAR file than the limit.

    Centring the map moves particles that are not visited meanwhile; beyond the limit, no shift
    near the origin would be allowed.
    """
    particles = given.preparation.particles
    expected = np.stack([particles.origin_x[index], particles.origin_y[index]], -1)  # (B, 2)
    limit = given.references[0].offset_limit_px * given.preparation.pixel_size
    off = origins - expected
    distance = np.hypot(off[:, 0], off[:, 1])[:, None]
    at_limit = expected + off * (limit / np.maximum(distance, 1e-6))
    return np.where(distance > limit, at_limit, origins).astype(np.float32)
