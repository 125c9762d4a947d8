"""State of a run between two iterations: arrays and numbers, written as a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Self, TypeVar

import numpy as np

from napari_ini3d._types import AnyArray, Complex64, Float32, Float64, Int64
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.schedule import Phase, ScheduleInput
from napari_ini3d.engine.state_checks import check_arrays
from napari_ini3d.particles import Assignments

FIRST_SIGMA_OFFSET = 10.0
"""Å, standard deviation of the shifts, before any is known; the least that is assumed."""

NO_SUMS = np.zeros(0, np.complex64), np.zeros(0, np.float32)
"""Sums of a model without momentum, in place of a second copy."""

NO_GROUP = "C1"
"""Point group of a start on which none is imposed, unless the settings impose one."""

START_GROUPS = (NO_GROUP, "T", "O", "I")
"""Point groups of the starts; a model has the position of that of its start."""

_RECENT = 5  # iterations, over which starts are compared
_PHASES: tuple[Phase, ...] = ("starts", "search", "refine", "final")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """A model of K classes, and the running sums that its maps follow from.

    Attributes
    ----------
    maps : (K, n, n, n) float32
    numerator : (K, 2, cube) complex64
        Per half; sums of CTF · X / σ² in the half cube of the finest radius.
    denominator : (K, 2, cube) float32
    blended_numerator, blended_denominator
        The same without the momentum, from which the next step is measured; empty where there was
        none.
    sigma2 : (G, n // 2 + 1) float64
        Noise variance of a real or imaginary part, per optics group and shell.
    class_shares : (K,) float64
    sigma_offset : () float64
        Å, standard deviation of the Gaussian prior on the shifts, in x and in y.
    evidence : (E,) float64
        Mean log evidence per image of each iteration; begun anew after the starts.
    fsc_sum : (E,) float64
        FSC of the half-sets, summed over shells and classes, of each of these iterations.
    group : () int64
        Position in `START_GROUPS` of the point group that was imposed on the start and in the
        search from it.
    """

    maps: Float32
    numerator: Complex64
    denominator: Float32
    blended_numerator: Complex64
    blended_denominator: Float32
    sigma2: Float64
    class_shares: Float64
    sigma_offset: Float64
    evidence: Float64
    fsc_sum: Float64
    group: Int64 = field(default_factory=lambda: np.array(START_GROUPS.index(NO_GROUP)))

    @property
    def point_group(self) -> str:
        """Point group of its start."""
        return START_GROUPS[int(self.group)]

    @property
    def sums_without_momentum(self) -> tuple[Complex64, Float32]:
        """Numerator and denominator as they are without the extrapolation."""
        if self.blended_numerator.size:
            return self.blended_numerator, self.blended_denominator
        return self.numerator, self.denominator

    def without_sums(self) -> Self:
        """Return the model with no running sums, as after a change of its maps by other means."""
        return replace(
            self,
            numerator=np.zeros_like(self.numerator),
            denominator=np.zeros_like(self.denominator),
            blended_numerator=NO_SUMS[0],
            blended_denominator=NO_SUMS[1],
        )

    def continued(self, sigma_offset: float) -> Self:
        """Return the model of a start as that of a search.

        The search learns the spread of the shifts; it begins with a wide one, as a narrow prior
        with a narrow range would never find that particles are further off.

        Parameters
        ----------
        sigma_offset : float
            Å, the spread to begin with; at least 1 is taken.
        """
        # the evidence of the next phase is not comparable with that of the starts: begin anew
        return replace(
            self,
            evidence=self.evidence[:0],
            fsc_sum=self.fsc_sum[:0],
            sigma_offset=np.array(max(sigma_offset, 1.0)),
        )

    @property
    def recent_evidence(self) -> float:
        """Mean of the evidence over the last iterations; starts are compared by it."""
        return float(self.evidence[-_RECENT:].mean())


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model that is kept while the run goes on with another one.

    Attributes
    ----------
    model : ModelState
    fsc_radius : int
        Fourier radius up to which its half-sets agree after its refinement; 0 of a start.
    """

    model: ModelState
    fsc_radius: int = 0

    @property
    def is_refined(self) -> bool:
        """Whether it has been refined until it converged."""
        return self.fsc_radius > 0


Record = TypeVar("Record", ModelState, Assignments, Drift)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """A run between two iterations.

    Random numbers depend on the seed and the iteration only, so no generator is stored.

    Attributes
    ----------
    iteration : int
        Iterations done.
    phase : Phase
        Of the next iteration.
    step : int
        The next iteration's number within its phase.
    climbed : int
        Iterations of the search in which the resolution was allowed to rise.
    drawn : int
        Images drawn so far; subsets follow each other in one random order.
    start_radius : int
        Fourier radius of the starts; larger than that of the settings where the map was featureless
        there.
    starts_tried : int
        Random starts so far, at this radius.
    fsc_radius : int
        Fourier radius up to which the half-sets agree.
    typical_power : (G, n // 2 + 1) float64
        Typical power of each shell of a masked image; images that exceed it by far count less.
    drift : Drift
        Of the maps of the first model, from the search on.
    start_agreement : (S - 1,) float64
        Mean FSC of the other random starts with the best one, once it has been chosen.
    models : tuple of ModelState
        One per random start; a single one from the search on.
    assignments : Assignments
    alternative : Alternative or None
        The start of a second search, or the map of the first one (`symmetric_starts`).
    """

    iteration: int
    phase: Phase
    step: int
    climbed: int
    drawn: int
    start_radius: int
    starts_tried: int
    fsc_radius: int
    typical_power: Float64
    drift: Drift
    start_agreement: Float64
    models: tuple[ModelState, ...]
    assignments: Assignments
    alternative: Alternative | None = None

    @property
    def schedule_input(self) -> ScheduleInput:
        """What the schedule needs to know."""
        return ScheduleInput(
            phase=self.phase,
            step=self.step,
            climbed=self.climbed,
            start_radius=self.start_radius,
            fsc_radius=self.fsc_radius,
            visited=float((self.assignments.class_index >= 0).mean()),
            sigma_offset=float(self.models[0].sigma_offset),
        )

    @property
    def finished(self) -> bool:
        """Whether the final pass is done."""
        return self.phase == "final" and self.step > 0

    @property
    def searches_to_come(self) -> int:
        """Searches, each with its refinement, after the current one (`symmetric_starts`)."""
        if self.phase == "starts":
            return int(any(model.point_group != NO_GROUP for model in self.models))
        return int(self.alternative is not None and not self.alternative.is_refined)

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return everything as named arrays; `from_arrays` restores it bit for bit."""
        phase = _PHASES.index(self.phase)
        counters = [self.iteration, phase, self.step, self.climbed, self.drawn, self.fsc_radius]
        counters += [self.start_radius, self.starts_tried]
        arrays: dict[str, AnyArray] = {
            "counters": np.array(counters, np.int64),
            "typical_power": self.typical_power,
            "start_agreement": self.start_agreement,
        }
        for f in fields(Drift):
            arrays[f"drift.{f.name}"] = np.asarray(getattr(self.drift, f.name))
        for f in fields(Assignments):
            arrays[f"assignments.{f.name}"] = getattr(self.assignments, f.name)
        for i, model in enumerate(self.models):
            for f in fields(ModelState):
                arrays[f"models.{i}.{f.name}"] = getattr(model, f.name)
        if self.alternative is not None:
            arrays["alternative.fsc_radius"] = np.array(self.alternative.fsc_radius)
            for f in fields(ModelState):
                arrays[f"alternative.{f.name}"] = getattr(self.alternative.model, f.name)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> Self:
        """Return the state of the arrays that `to_arrays` returned.

        Raises
        ------
        ValueError, KeyError
            If they are not such arrays (`check_arrays`).
        """
        numbers = {int(name.split(".")[1]) for name in arrays if name.startswith("models.")}
        check_arrays(arrays, sorted(numbers))
        counters = [int(c) for c in arrays["counters"]]
        iteration, phase, step, climbed, drawn, radius, start_radius, tried = counters
        alternative = None
        if "alternative.fsc_radius" in arrays:
            radius_then = int(arrays["alternative.fsc_radius"])
            alternative = Alternative(_record(ModelState, "alternative", arrays), radius_then)
        return cls(
            iteration=iteration,
            phase=_PHASES[phase],
            step=step,
            climbed=climbed,
            drawn=drawn,
            start_radius=start_radius,
            starts_tried=tried,
            fsc_radius=radius,
            typical_power=arrays["typical_power"],
            start_agreement=arrays["start_agreement"],
            drift=_record(Drift, "drift", arrays),
            models=tuple(_record(ModelState, f"models.{i}", arrays) for i in sorted(numbers)),
            assignments=_record(Assignments, "assignments", arrays),
            alternative=alternative,
        )


def _record(kind: type[Record], prefix: str, arrays: Mapping[str, AnyArray]) -> Record:
    """Return a record of arrays that are stored as ``prefix.field``."""
    return kind(**{f.name: arrays[f"{prefix}.{f.name}"] for f in fields(kind)})
