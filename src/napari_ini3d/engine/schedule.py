"""What each iteration does: phase, resolution, subset, sampling; pure functions of the state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d.engine.records import Phase
from napari_ini3d.geometry import angular_step, order_of_step
from napari_ini3d.settings import InitialModelSettings

_NATURAL_STARTS, _NATURAL_SEARCH = 25, 30
_SEARCH_RESOLUTION = 15.0  # Å, where the search hands over to the refinement
_FINEST_DEFAULT = 8.0  # Å; an initial model needs no more
_DETAILS = 22  # finest default detail across the particle: what a grid of 7.5° can carry
_TOLERANCE = 1.5  # of the angular step against 2 · resolution / diameter
_ALMOST_ALL = 0.98
_LOCAL_STEPS = 2
_FINEST_ORDER = 3  # of a coarse grid: 7.5°, with children of 3.75°


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
    """How many iterations each phase may take."""

    starts: int
    search: int
    refine: int

    @classmethod
    def of(cls, iterations: int) -> Phases:
        """Share out a number of iterations; the last one is kept for the final pass."""
        work = max(iterations - 1, 1)
        starts = min(_NATURAL_STARTS, max(1, round(work * 0.35)))
        search = min(_NATURAL_SEARCH, round(work * 0.45), work - starts)
        return cls(starts, search, work - starts - search)


@dataclass(frozen=True, slots=True)
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
        Weight of this subset against what was summed before.
    order : int
        Of the coarse rotation grid.
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


def finest_radius(settings: InitialModelSettings, geometry: ImageGeometry) -> int:
    """Return the Fourier radius that the run may reach."""
    limit = settings.max_resolution
    if limit is None:
        limit = max(_FINEST_DEFAULT, 2.5 * geometry.pixel_size, geometry.diameter / _DETAILS)
    return geometry.radius_of(max(limit, 2 * geometry.pixel_size))


@dataclass(frozen=True, slots=True)
class ScheduleInput:
    """Where a run stands before an iteration.

    Attributes
    ----------
    phase : Phase
    step : int
        Iteration within the phase, from 0.
    supported_radius : int
        Fourier radius to which the halves of the last iteration agree.
    visited : float
        Share of the particles that have been visited.
    """

    phase: Phase
    step: int
    supported_radius: int
    visited: float


def plan_iteration(
    standing: ScheduleInput, settings: InitialModelSettings, geometry: ImageGeometry
) -> Plan:
    """Return the plan of an iteration."""
    phase, step = standing.phase, standing.step
    finest = finest_radius(settings, geometry)
    first = min(geometry.radius_of(settings.initial_resolution), finest)
    if phase == "starts":
        return _sampled(standing, first, (_subset(0.0, geometry), 0.3), settings, geometry)
    if phase == "search":
        progress = (step + 0.5) / Phases.of(settings.iterations).search
        last = min(1.0, _SEARCH_RESOLUTION / settings.initial_resolution)
        ladder = geometry.radius_of(settings.initial_resolution * last**progress)
        radius = max(first, min(ladder, standing.supported_radius + 2, finest))
        update = _subset(progress, geometry), 0.4
        return _sampled(standing, radius, update, settings, geometry)
    radius = refined_radius(standing.supported_radius, settings, geometry)
    subset = geometry.n_particles if phase == "final" else _subset(2.0, geometry)
    update = subset, 1.0 if subset == geometry.n_particles else 0.5
    return _sampled(standing, radius, update, settings, geometry)


def refined_radius(
    supported_radius: int, settings: InitialModelSettings, geometry: ImageGeometry
) -> int:
    """Return the Fourier radius to refine to where the halves agree up to another."""
    first = geometry.radius_of(settings.initial_resolution)
    ahead = supported_radius + max(3, supported_radius // 4)
    return min(max(first, ahead), finest_radius(settings, geometry))


def _subset(progress: float, geometry: ImageGeometry) -> int:
    """Grow from 0.5 % to 10 % of the particles over the search; the refinement takes more."""
    n = geometry.n_particles
    low, high = np.clip(0.005 * n, 200, 5000), np.clip(0.1 * n, 1000, 50000)
    if progress > 1:
        high, progress = np.clip(0.2 * n, 5000, 50000), 1.0
    return min(n, round(float(low * (high / low) ** progress)))


def _sampled(
    standing: ScheduleInput,
    radius: int,
    update: tuple[int, float],
    settings: InitialModelSettings,
    geometry: ImageGeometry,
) -> Plan:
    """Choose the grids that a resolution can use: a step of about 2 · resolution / diameter."""
    resolution = geometry.resolution_of(radius)
    useful = float(np.rad2deg(2 * resolution / geometry.diameter))
    two_pass = standing.phase != "starts"
    order = max(1, order_of_step(settings.angular_step) - two_pass)
    while angular_step(order + two_pass) > _TOLERANCE * useful and order < _FINEST_ORDER:
        order += 1
    # a grid point stands for its surroundings only at coarser resolution than this
    coarse = np.deg2rad(angular_step(order)) * 0.45 * geometry.diameter
    late = standing.phase in ("refine", "final")
    offset_step = settings.offset_step or float(np.clip(resolution / 3, 3.0 if late else 6.0, 8.0))
    offset_range = settings.offset_range
    if two_pass and standing.visited >= _ALMOST_ALL:  # each image is near its centre already
        offset_range = min(offset_range, _LOCAL_STEPS * offset_step)
    return Plan(
        standing.phase,
        standing.step,
        radius,
        *update,
        order,
        two_pass,
        min(radius, geometry.radius_of(coarse)) if two_pass else radius,
        offset_range,
        offset_step,
    )
