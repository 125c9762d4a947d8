"""Schedule of a run: phase, resolution, subset and sampling of each iteration; pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_ini3d.engine.resolved_settings import ResolvedSettings
from napari_ini3d.geometry import angular_step, order_of_step

_NATURAL_STARTS, _NATURAL_SEARCH = 25, 30
_USUAL_SEARCH = 1.5  # iterations that a search usually takes, over its own
_LONGEST_SEARCH = 1.5  # further iterations of a search that does not settle, over its own
_SEARCH_RESOLUTION = 15.0  # Å, where the search hands over to the refinement
_STARTS_STEP_SIZE, _SEARCH_STEP_SIZE, _REFINE_STEP_SIZE = 0.3, 0.4, 0.5
_TOLERANCE = 1.5  # of the angular step against 2 · resolution / diameter, in starts and search
_REFINE_TOLERANCE = 1.2  # with more, it would hold down the resolution that it waits for
_ALMOST_ALL = 0.98
_LOCAL_STEPS = 2
OFFSET_RANGES = 2.5
"""Largest shift from the one in the STAR file, over the range that an iteration searches."""

_FINEST_ORDER = 3  # of a coarse grid: 7.5°, with children of 3.75°


Phase = Literal["starts", "search", "refine", "final"]
"""Several random starts; mini-batch search; refinement; the final pass over every particle."""


@dataclass(frozen=True, slots=True)
class ImageGeometry:
    """The particle and its images, as the schedule sees them.

    Attributes
    ----------
    box_size : int
        Pixels.
    pixel_size, diameter : float
        Å; the diameter is that of the mask.
    n_particles : int
    """

    box_size: int
    pixel_size: float
    diameter: float
    n_particles: int

    def radius_of(self, resolution: float) -> int:
        """Return the Fourier radius (samples) of a resolution (Å), below Nyquist."""
        radius = int(self.box_size * self.pixel_size / resolution)
        return max(2, min(radius, self.box_size // 2 - 1))

    def resolution_of(self, radius: int) -> float:
        """Return the resolution (Å) of a Fourier radius."""
        return self.box_size * self.pixel_size / radius


@dataclass(frozen=True, slots=True)
class Phases:
    """How many iterations each phase takes; a hard search takes some of the refinement."""

    starts: int
    search: int
    refine: int

    @property
    def usual_search(self) -> int:
        """Iterations that a search usually takes."""
        return min(round(_USUAL_SEARCH * self.search), self.longest_search)

    @property
    def longest_search(self) -> int:
        """Iterations that a search may take whose map does not settle."""
        return self.search + min(self.refine // 2, round(_LONGEST_SEARCH * self.search))

    @property
    def from_search(self) -> int:
        """Iterations for a search of any length, a refinement and the final pass."""
        return self.longest_search + 2

    @classmethod
    def of(cls, iterations: int) -> Phases:
        """Share out a number of iterations; the last one is kept for the final pass."""
        work = max(iterations - 1, 1)
        starts = min(_NATURAL_STARTS, max(1, round(work * 0.35)))
        search = min(_NATURAL_SEARCH, round(work * 0.45), work - starts)
        return cls(starts, search, work - starts - search)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One iteration.

    Attributes
    ----------
    phase : Phase
    step : int
        Iteration within the phase, from 0.
    radius : int
        Fourier radius that is compared.
    subset_size : int
    step_size : float
        η, the weight of this subset's sums in the running sums.
    order : int
        HEALPix order of the coarse rotation grid.
    two_pass : bool
        Whether a grid of the next order follows.
    coarse_radius : int
        Fourier radius of the coarse pass.
    offset_range, offset_step : float
        Å, of the coarse pass.
    """

    phase: Phase
    step: int
    radius: int
    subset_size: int
    step_size: float
    order: int
    two_pass: bool
    coarse_radius: int
    offset_range: float
    offset_step: float

    @property
    def finest_step(self) -> float:
        """Angular step (degrees) of the finest grid."""
        return angular_step(self.order + self.two_pass)

    @property
    def finest_offset_step(self) -> float:
        """Å."""
        return self.offset_step / 2 if self.two_pass else self.offset_step


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInput:
    """What the schedule needs to know of a run before an iteration.

    Attributes
    ----------
    phase : Phase
    step : int
        Iteration within the phase, from 0.
    climbed : int
        Iterations of the search in which the resolution was allowed to rise.
    start_radius : int
        Fourier radius of the starts.
    fsc_radius : int
        Fourier radius up to which the half-sets of the last iteration agree.
    visited : float
        Fraction of the particles that have been visited.
    sigma_offset : float
        Å, standard deviation of the shifts.
    """

    phase: Phase
    step: int
    climbed: int
    start_radius: int
    fsc_radius: int
    visited: float
    sigma_offset: float


def plan_iteration(
    inputs: ScheduleInput, settings: ResolvedSettings, geometry: ImageGeometry
) -> Plan:
    """Return the plan of an iteration."""
    subset_size = _subset_size(inputs, settings, geometry.n_particles)
    whole = subset_size == geometry.n_particles
    if inputs.phase == "starts":
        radius, step_size = inputs.start_radius, _STARTS_STEP_SIZE
    elif inputs.phase == "search":
        radius, step_size = _search_radius(inputs, settings, geometry), _SEARCH_STEP_SIZE
    else:
        radius = refined_radius(inputs.fsc_radius, settings, geometry)
        step_size = 1.0 if whole else _REFINE_STEP_SIZE
    resolution = geometry.resolution_of(radius)
    two_pass = inputs.phase != "starts"
    order = _rotation_order(resolution, settings, geometry, inputs.phase)
    # the spacing of the coarse grid resolves no finer detail than this
    coarse = np.deg2rad(angular_step(order)) * 0.45 * geometry.diameter
    offset_range, offset_step = _shift_grid(resolution, inputs, settings)
    return Plan(
        phase=inputs.phase,
        step=inputs.step,
        radius=radius,
        subset_size=subset_size,
        step_size=step_size,
        order=order,
        two_pass=two_pass,
        coarse_radius=min(radius, geometry.radius_of(coarse)) if two_pass else radius,
        offset_range=offset_range,
        offset_step=offset_step,
    )


def finest_radius(settings: ResolvedSettings, geometry: ImageGeometry) -> int:
    """Return the Fourier radius that the run may reach."""
    return geometry.radius_of(settings.finest_resolution)


def first_radius(settings: ResolvedSettings, geometry: ImageGeometry) -> int:
    """Return the Fourier radius with which the run begins."""
    first = geometry.radius_of(settings.initial_resolution)
    return min(first, finest_radius(settings, geometry))


def finer_start_radius(radius: int, settings: ResolvedSettings, geometry: ImageGeometry) -> int:
    """Return the Fourier radius for further starts: at 3/4 of the resolution in Å.

    The same radius where there is nothing finer to begin with.
    """
    finer = max(radius + 1, round(radius * 4 / 3))
    limit = geometry.radius_of(_SEARCH_RESOLUTION)
    return max(radius, min(finer, limit, finest_radius(settings, geometry)))


def refined_radius(fsc_radius: int, settings: ResolvedSettings, geometry: ImageGeometry) -> int:
    """Return the Fourier radius to refine to, some shells ahead of where the half-sets agree."""
    ahead = fsc_radius + max(3, fsc_radius // 4)
    first = geometry.radius_of(settings.initial_resolution)
    return min(max(first, ahead), finest_radius(settings, geometry))


def _search_radius(
    inputs: ScheduleInput, settings: ResolvedSettings, geometry: ImageGeometry
) -> int:
    """Climb from the initial resolution to 15 Å, as far as the half-sets agree."""
    last = min(1.0, _SEARCH_RESOLUTION / settings.initial_resolution)
    progress = _search_progress(inputs, settings)
    ladder = geometry.radius_of(settings.initial_resolution * last**progress)
    supported = inputs.fsc_radius + 2
    climbed = min(ladder, supported, finest_radius(settings, geometry))
    return max(inputs.start_radius, climbed)


def _search_progress(inputs: ScheduleInput, settings: ResolvedSettings) -> float:
    """Return how much of the search is done in the middle of the iteration, 0 to 1."""
    return min(1.0, (inputs.climbed + 0.5) / Phases.of(settings.iterations).search)


def _subset_size(inputs: ScheduleInput, settings: ResolvedSettings, n_particles: int) -> int:
    """Return the images of an iteration.

    0.5 % of the particles at the start, growing to 10 % over the search, 20 % in the refinement,
    within bounds; all in the final pass.
    """
    n = n_particles
    low, high = np.clip(0.005 * n, 200, 5000), np.clip(0.1 * n, 1000, 50000)
    if inputs.phase == "starts":
        size = float(low)
    elif inputs.phase == "search":
        size = float(low * (high / low) ** _search_progress(inputs, settings))
    elif inputs.phase == "refine":
        size = float(np.clip(0.2 * n, 5000, 50000))
    else:
        return n
    return min(n, round(size))


def _rotation_order(
    resolution: float, settings: ResolvedSettings, geometry: ImageGeometry, phase: Phase
) -> int:
    """Return the order of the coarse grid: a step of about 2 · resolution / diameter at last.

    In the refinement the step must not be what limits the resolution, which it follows.
    """
    useful, two_pass = float(np.rad2deg(2 * resolution / geometry.diameter)), phase != "starts"
    tolerance = _REFINE_TOLERANCE if phase in ("refine", "final") else _TOLERANCE
    order = max(1, order_of_step(settings.angular_step) - two_pass)
    while angular_step(order + two_pass) > tolerance * useful and order < _FINEST_ORDER:
        order += 1
    return order


def _shift_grid(
    resolution: float, inputs: ScheduleInput, settings: ResolvedSettings
) -> tuple[float, float]:
    """Return range and step (Å) of the coarse search for the shift."""
    finest = 3.0 if inputs.phase in ("refine", "final") else 6.0
    step = settings.offset_step or float(np.clip(resolution / 3, finest, 8.0))
    widest = OFFSET_RANGES * settings.offset_range
    if inputs.phase == "search":  # off-centre particles are found from further away
        return min(widest, max(settings.offset_range, 2 * inputs.sigma_offset)), step
    if inputs.phase == "starts" or inputs.visited < _ALMOST_ALL:
        return settings.offset_range, step
    return min(settings.offset_range, _LOCAL_STEPS * step), step  # near its centre already
