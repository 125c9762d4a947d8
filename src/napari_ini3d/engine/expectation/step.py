"""Expectation step: every image of the subset is compared with the references.

The subset is split into groups of chunks of tiles. A tile is a pure function of the references
(`expect_tile`); tiles are added to their chunk, chunks to their group, and groups to the sums, in a
fixed order.
"""

from __future__ import annotations

from collections import defaultdict

from napari_ini3d._types import IntArray
from napari_ini3d.engine.chunks import PreparedReferences, add_groups, split_into_chunks
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.sums import Expectation, IterationSums
from napari_ini3d.errors import StackError


def expectation(run: RunContext, references: PreparedReferences, subset: IntArray) -> Expectation:
    """Return the sums over a subset, for each model, and the time of the parts.

    Parameters
    ----------
    run : RunContext
    references : PreparedReferences
    subset : (B,) int64
        Particles to visit.

    Raises
    ------
    StackError
        If none of the images can be used.
    """
    backend = run.executor.backend
    n_groups, n_shells = len(run.particles.optics), run.geometry.box_size // 2 + 1
    chunks = split_into_chunks(subset, run.particles.optics_index, references.tile_images)
    totals: list[IterationSums] = []
    seconds: defaultdict[str, float] = defaultdict(float)
    for found in add_groups(references.sum_over_chunks(chunks), backend):
        with backend.device.enter():
            totals = totals or [
                IterationSums(sums.numerator, n_groups, n_shells, backend.xp)
                for sums in found.per_model
            ]
            for total, sums in zip(totals, found.per_model, strict=True):
                total.add(sums)
        for name, value in found.seconds.items():
            seconds[name] += value
    if not totals:
        raise StackError(
            "none of the images of this iteration can be used; check the stacks, then resume the "
            "run"
        )
    with backend.device.enter():
        for total in totals:
            total.move_to_host(backend)
    return Expectation(totals, dict(seconds))
