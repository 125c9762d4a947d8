"""Expectation step: every image of the subset is compared with the references.

The subset is split into groups of chunks of tiles. A tile is a pure function of the references
(`expect_tile`); tiles are added to their chunk, chunks to their group, and groups to the sums, in a
fixed order.
"""

from __future__ import annotations

from collections import defaultdict

from napari_ini3d._types import IntArray
from napari_ini3d.engine.chunks import (
    ChunkResult,
    GroupSums,
    PreparedReferences,
    split_into_chunks,
)
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.sums import Expectation, IterationSums
from napari_ini3d.errors import StackError
from napari_ini3d.kernels import Backend


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
    totals = _Totals(backend, n_groups, n_shells)
    groups = GroupSums(backend)
    for found in references.sum_over_chunks(chunks):
        totals.add(groups.add(found))
    totals.add(groups.current)
    if not totals.per_model:
        raise StackError(
            "none of the images of this iteration can be used; check the stacks, then resume the "
            "run"
        )
    with backend.device.enter():
        for total in totals.per_model:
            total.move_to_host(backend)
    return Expectation(totals.per_model, dict(totals.seconds))


class _Totals:
    """Sums of an iteration for each model, and its seconds by part; empty before the first group.

    Parameters
    ----------
    backend : Backend
    n_groups, n_shells : int
        Of the optics, and of the images.
    """

    def __init__(self, backend: Backend, n_groups: int, n_shells: int) -> None:
        self.per_model: list[IterationSums] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._backend, self._sizes = backend, (n_groups, n_shells)

    def add(self, group: ChunkResult | None) -> None:
        if group is None:
            return
        with self._backend.device.enter():
            self.per_model = self.per_model or [
                IterationSums(sums.numerator, *self._sizes, self._backend.xp)
                for sums in group.per_model
            ]
            for total, sums in zip(self.per_model, group.per_model, strict=True):
                total.add(sums)
        for name, value in group.seconds.items():
            self.seconds[name] += value
