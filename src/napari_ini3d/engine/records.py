"""Report of an iteration: what the engine yields; a frozen record, no files, no Qt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from napari_ini3d._types import FloatArray
from napari_ini3d.engine.schedule import Phase
from napari_ini3d.engine.state import EngineState
from napari_ini3d.particles import Assignments


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationReport:
    """One finished iteration.

    Attributes
    ----------
    iteration, n_iterations : int
        From 1; `n_iterations` is the maximum.
    phase : {"starts", "search", "refine", "final"}
        Several random starts; mini-batch search; refinement by ever more particles; the last
        pass that assigns every particle.
    volumes : (K, n, n, n) float32
        Real-space maps (z, y, x), rotation centre at voxel n // 2.
    voxel_size : float
        Å.
    resolution : (K,) float32
        Å, where the FSC between the half-sets falls below 0.5; at best the finest compared.
    ssnr, fsc : (K, n // 2 + 1) float32
        Spectral signal-to-noise ratio and FSC between the half-sets, per shell of the box.
    step_size : float
        η, the weight of this iteration's sums in the running sums, 0 to 1.
    subset_size : int
        Particles used in this iteration.
    current_size : int
        Pixels of the Fourier box that was compared.
    angular_step : float
        Degrees, of the finest rotation grid used.
    offset_range, offset_step : float
        Å: range of the coarse shift grid, step of the finest one.
    mean_max_probability : float
    class_shares : (K,) float32
        Sum to 1.
    view_counts : (K, M) float32
        Particles whose best viewing direction lies in each of the M HEALPix pixels, in the order
        of `geometry.pixel_directions`.
    map_change : (K,) float32
        Relative L2 change of each map since the last iteration.
    sigma2_noise : (G, n // 2 + 1) float32
        Noise variance per optics group and shell.
    sigma_offset : float
        Å, standard deviation of the shifts.
    start : int
        The random start that is reported (0 once one has been chosen).
    message : str
        One sentence for the user.
    converged : bool
        The run has converged before its maximum of iterations; this is its last report.
    seconds : mapping
        Wall time of each stage of this iteration, and their sum as "total". "stage/part" is the
        time that the threads spent on a part of a stage, divided by their number (CPU only: a
        GPU works asynchronously).
    assignments : Assignments
        The state of all particles after this iteration.
    state : EngineState
        All that is needed to continue from here.
    aligned_starts : (S, m, m, m) float32 or None
        In the last iteration of the random starts: small maps of the best one and of the others,
        aligned to it.
    """

    iteration: int
    n_iterations: int
    phase: Phase
    volumes: FloatArray
    voxel_size: float
    resolution: FloatArray
    ssnr: FloatArray
    fsc: FloatArray
    step_size: float
    subset_size: int
    current_size: int
    angular_step: float
    offset_range: float
    offset_step: float
    mean_max_probability: float
    class_shares: FloatArray
    view_counts: FloatArray
    map_change: FloatArray
    sigma2_noise: FloatArray
    sigma_offset: float
    start: int
    message: str
    converged: bool
    seconds: Mapping[str, float]
    assignments: Assignments
    state: EngineState
    aligned_starts: FloatArray | None = None


ClosingStage = Literal["half-set 1", "half-set 2", "repeated search", "symmetry", "report"]
"""What follows the last iteration of a run, in this order."""


@dataclass(frozen=True, slots=True)
class ClosingStep:
    """Progress of what follows the last iteration of a run.

    Attributes
    ----------
    stage : ClosingStage
    iteration : int
        Iterations of this stage that are done; 0 when it begins.
    n_iterations : int
        The maximum; 0 for a stage without iterations.
    resolution : float
        Å, of the best class; NaN before the first iteration.
    """

    stage: ClosingStage
    iteration: int = 0
    n_iterations: int = 0
    resolution: float = math.nan


def ignore_step(_step: ClosingStep) -> None:
    """Do nothing with the progress: the default where it can be followed."""
