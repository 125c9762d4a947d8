"""All that is needed to go on with a run: arrays and numbers, written as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from napari_ini3d._types import AnyArray, Complex64, Float32, Float64
from napari_ini3d.engine.records import Phase
from napari_ini3d.engine.schedule import ScheduleInput
from napari_ini3d.particles import Assignments

_JUDGED = 5  # iterations
_PHASES: tuple[Phase, ...] = ("starts", "search", "refine", "final")


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model of K classes, and the running sums it was made from.

    Attributes
    ----------
    maps : (K, n, n, n) float32
    numerator : (K, 2, cube) complex64
        Per half; sums of CTF · X / σ² in the half cube of the finest radius.
    denominator : (K, 2, cube) float32
    sigma2 : (G, n // 2 + 1) float64
        Noise variance of a real or imaginary part, per optics group and shell.
    class_shares : (K,) float64
    evidence : (E,) float64
        Mean log evidence per image of the last iterations.
    """

    maps: Float32
    numerator: Complex64
    denominator: Float32
    sigma2: Float64
    class_shares: Float64
    evidence: Float64

    @property
    def recent_evidence(self) -> float:
        """Mean of the evidence over the last iterations, by which starts are compared."""
        return float(self.evidence[-_JUDGED:].mean())


@dataclass(frozen=True, slots=True)
class EngineState:
    """A run between two iterations.

    Random numbers are drawn from (seed, iteration), so that nothing of a generator is kept.

    Attributes
    ----------
    iteration : int
        Iterations done.
    phase : Phase
        Of the next iteration.
    step : int
        The next iteration's number within its phase.
    drawn : int
        Images drawn so far; the subsets walk round a random order.
    supported_radius : int
        Fourier radius to which the halves agree.
    sigma_offset : float
        Å.
    models : tuple of ModelState
        One per random start; a single one from the search on.
    assignments : Assignments
    """

    iteration: int
    phase: Phase
    step: int
    drawn: int
    supported_radius: int
    sigma_offset: float
    models: tuple[ModelState, ...]
    assignments: Assignments

    @property
    def standing(self) -> ScheduleInput:
        """What the schedule needs to know."""
        visited = float((self.assignments.class_index >= 0).mean())
        return ScheduleInput(self.phase, self.step, self.supported_radius, visited)

    @property
    def finished(self) -> bool:
        """Whether the final pass is done."""
        return self.phase == "final" and self.step > 0

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return everything as named arrays; `from_arrays` restores it bit for bit."""
        counters = [self.iteration, _PHASES.index(self.phase), self.step, self.drawn]
        arrays: dict[str, AnyArray] = {
            "counters": np.array([*counters, self.supported_radius], np.int64),
            "sigma_offset": np.array(self.sigma_offset, np.float64),
        }
        for f in fields(Assignments):
            arrays[f"assignments.{f.name}"] = getattr(self.assignments, f.name)
        for i, model in enumerate(self.models):
            for f in fields(ModelState):
                arrays[f"models.{i}.{f.name}"] = getattr(model, f.name)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> Self:
        """Return the state that `to_arrays` took apart."""
        iteration, phase, step, drawn, radius = (int(c) for c in arrays["counters"])
        numbers = {int(name.split(".")[1]) for name in arrays if name.startswith("models.")}
        models = tuple(
            ModelState(*(arrays[f"models.{i}.{f.name}"] for f in fields(ModelState)))
            for i in sorted(numbers)
        )
        found = (arrays[f"assignments.{f.name}"] for f in fields(Assignments))
        return cls(
            iteration,
            _PHASES[phase],
            step,
            drawn,
            radius,
            float(arrays["sigma_offset"]),
            models,
            Assignments(*found),
        )
