"""Result of an iteration for the best of its models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d._types import Float64
from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.schedule import ImageGeometry, Plan
from napari_ini3d.engine.state import NO_GROUP
from napari_ini3d.engine.sums import IterationSums
from napari_ini3d.fourier import MAP_FSC, fsc_resolution

_SUPPORTED_FSC = 0.143


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationOutcome:
    """Result of an iteration for the best of its models.

    Attributes
    ----------
    plan : Plan
    start : int
        Number of that model.
    update : Update
    sums : IterationSums
    fsc_radius : int
        Fourier radius up to which the half-sets of the best-resolved class agree.
    """

    plan: Plan
    start: int
    update: Update
    sums: IterationSums
    fsc_radius: int

    @classmethod
    def of(cls, plan: Plan, updates: list[Update], sums: list[IterationSums]) -> IterationOutcome:
        """Choose the model with the highest evidence, of those on which no group is imposed."""
        free = [i for i, update in enumerate(updates) if update.model.point_group == NO_GROUP]
        among = free or range(len(updates))
        start = max(among, key=lambda i: updates[i].model.recent_evidence)
        best = updates[start]
        shells = [h.first_shell_below(_SUPPORTED_FSC, plan.radius) - 1 for h in best.half_sets]
        return cls(
            plan=plan,
            start=start,
            update=best,
            sums=sums[start],
            fsc_radius=max(1, *shells),
        )

    def resolution(self, geometry: ImageGeometry) -> Float64:
        """Return where the FSC of each class falls below one half, (K,), Å.

        At best the finest resolution that was compared.

        Parameters
        ----------
        geometry : ImageGeometry
        """
        box_size, pixel_size = geometry.box_size, geometry.pixel_size
        finest = geometry.resolution_of(self.plan.radius)
        found = [
            fsc_resolution(half_sets.fsc, box_size, pixel_size, MAP_FSC)
            for half_sets in self.update.half_sets
        ]
        limited: Float64 = np.maximum(np.array(found), finest)
        return limited
