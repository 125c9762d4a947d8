"""What the engine gives out at each iteration: frozen records, no files, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_ini3d._types import FloatArray
from napari_ini3d.particles import Assignments

if TYPE_CHECKING:
    from napari_ini3d.engine.state import EngineState

Phase = Literal["starts", "search", "refine", "final"]


@dataclass(frozen=True, slots=True)
class IterationReport:
    """One finished iteration.

    Attributes
    ----------
    iteration, n_iterations : int
        From 1; `n_iterations` is the most that will be done.
    phase : {"starts", "search", "refine", "final"}
        Several random starts; mini-batch search; refinement by ever more particles; the last
        pass that assigns every particle.
    volumes : (K, n, n, n) float32
        Real-space maps (z, y, x), rotation centre at voxel n // 2.
    voxel_size : float
        Å.
    resolution : (K,) float32
        Å, where the FSC between the two halves falls below 0.5; at best the finest compared.
    ssnr, fsc : (K, n // 2 + 1) float32
        Spectral signal-to-noise ratio and FSC between the halves, per shell of the box.
    step_size : float
        Share of the update that is applied, 0 to 1.
    subset_size : int
        Particles used in this iteration.
    current_size : int
        Fourier box (pixels) that was compared.
    angular_step : float
        Degrees, of the finest grid used.
    offset_range, offset_step : float
        Å, of the finest grid used.
    mean_max_probability : float
    class_shares : (K,) float32
        Sum to 1.
    view_counts : (K, M) float32
        Posterior weight per viewing direction on the HEALPix grid of M pixels, in the order of
        `geometry.healpix.pixel_directions`.
    map_change : (K,) float32
        Relative L2 change of each map since the last iteration.
    sigma2_noise : (G, n // 2 + 1) float32
        Noise variance per optics group and shell.
    start : int
        Which random start this is about (0 once one has been chosen).
    message : str
        One sentence for people.
    converged : bool
        The run has settled before its iterations were used up; this is its last report.
    seconds : mapping
        Wall time per stage of this iteration, all under "total"; as "stage/part" what the threads
        spent on a part of a stage, over their number (not on a GPU, which is not waited for).
    assignments : Assignments
        The state of all particles after this iteration.
    state : EngineState
        All that is needed to go on from here.
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
    start: int
    message: str
    converged: bool
    seconds: Mapping[str, float]
    assignments: Assignments
    state: EngineState
