"""Result of an iteration for the best of its models."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ini3d.engine.maximisation import Update
from napari_ini3d.engine.schedule import Plan
from napari_ini3d.engine.sums import IterationSums

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
        """Choose the model with the highest evidence."""
        start = max(range(len(updates)), key=lambda i: updates[i].model.recent_evidence)
        best = updates[start]
        shells = [h.first_shell_below(_SUPPORTED_FSC, plan.radius) - 1 for h in best.half_sets]
        return cls(
            plan=plan,
            start=start,
            update=best,
            sums=sums[start],
            fsc_radius=max(1, *shells),
        )
