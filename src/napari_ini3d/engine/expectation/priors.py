"""Priors of the expectation: shifts, and classes that are annealed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.engine import random_streams
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.reference_set import ReferenceSet
from napari_ini3d.engine.schedule import Phases, Plan
from napari_ini3d.kernels import PosePrior

_CLASS_BIAS = 6.0  # log units, at the start of the search


def pose_prior(references: ReferenceSet, tile: Tile) -> PosePrior:
    """Return the prior on the poses of a tile.

    Beyond the limit of the shifts it is so low that no such shift is chosen.
    """
    return PosePrior(
        start=tile.from_expected,
        shifts=references.shifts,
        class_share=references.log_class_share,
        class_bias=tile.class_bias,
        sigma=references.sigma_offset_px,
        # images are shifted by whole pixels beforehand, which may already be a pixel too far
        limit=references.offset_limit_px + 1,
    )


def class_bias(run: RunContext, plan: Plan, n_classes: int) -> Callable[[IntArray], Float32]:
    """Return a function from particles (B,) to what is added to their class log priors, (B, K).

    Annealed classes start alike. A random preference of each particle, which fades over the
    first half of the search, lets them drift apart.
    """
    length = max(Phases.of(run.settings.iterations).search / 2, 1)
    fading = max(0.0, 1 - plan.step / length) if plan.phase == "search" else 0.0
    annealed = run.settings.anneal_classes and n_classes > 1
    if not annealed or fading == 0:
        return lambda index: np.zeros((len(index), n_classes), np.float32)
    rng = np.random.default_rng([run.settings.seed, random_streams.CLASS_BIAS])
    preference = rng.random((len(run.particles), n_classes), dtype=np.float32)  # (N, K)
    preference *= np.float32(_CLASS_BIAS * fading)
    return lambda index: preference[index]
