"""Independent half-sets: two maps of disjoint particles that share nothing but a coarse start.

During a run the half-sets are compared with one reference, which makes them agree where the map
is wrong, too. Here each half of the particles is refined by itself, from the map of the run
filtered to the resolution of the random starts; beyond that resolution their FSC is evidence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.engine.chunks import ChunkExecutor
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.records import ClosingStage, ClosingStep, IterationReport, ignore_step
from napari_ini3d.engine.regularisation import (
    RealSpaceConstraints,
    cube_shells,
    divide_by_weight,
)
from napari_ini3d.engine.resolved_settings import ResolvedSettings, resolve_settings
from napari_ini3d.engine.state import EngineState
from napari_ini3d.fourier import MAP_CRITERION, cube_to_map, map_to_cube
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageBatch, ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_ITERATIONS = 8


@dataclass(frozen=True, slots=True)
class HalfSetMaps:
    """Maps of two independently refined half-sets.

    Attributes
    ----------
    maps : (2, K, n, n, n) float32
        Neither masked nor filtered.
    radius : int
        Fourier radius up to which both have detail.
    """

    maps: Float32
    radius: int


@dataclass(frozen=True, slots=True)
class SourceSubset:
    """Some of the images of a source, numbered anew.

    Attributes
    ----------
    source : ImageSource
    index : (M,) int64
        Their positions in the source.
    """

    source: ImageSource
    index: IntArray

    @property
    def box_size(self) -> int:
        """Pixels."""
        return self.source.box_size

    @property
    def pixel_size(self) -> float:
        """Å."""
        return self.source.pixel_size

    def batches(self, indices: Iterable[IntArray]) -> Iterator[ImageBatch]:
        """Yield a batch per array of positions within the subset."""
        own = np.full(self.index.max(initial=-1) + 1, -1)
        own[self.index] = np.arange(len(self.index))
        # a source may exclude images, and split batches that do not fit in memory
        for batch in self.source.batches(self.index[i] for i in indices):
            yield ImageBatch(own[batch.index], batch.images)


def refine_half_sets(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    state: EngineState,
    *,
    stop: Callable[[], bool] = lambda: False,
    backend: Backend | None = None,
    chunks: ChunkExecutor | None = None,
    on_step: Callable[[ClosingStep], None] = ignore_step,
) -> HalfSetMaps | None:
    """Return the maps of two independently refined half-sets; None if the work was stopped.

    Parameters
    ----------
    source : ImageSource
    particles : Particles
    settings : InitialModelSettings
        Of the run.
    state : EngineState
        The last one of the run.
    stop : callable
        Called after every iteration.
    backend : Backend, optional
        Default: the one that ``settings.device`` names.
    chunks : ChunkExecutor, optional
        As for `reconstruct`.
    on_step : callable
        Called when a half-set begins, and after each of its iterations.
    """
    # non-negativity makes fine detail from coarse, the same in both halves, even of noise
    free = settings.with_changes(non_negative=False, iterations=_ITERATIONS + 2)
    resolved = resolve_settings(free, pixel_size=source.pixel_size)
    start = _filtered_start(state)
    maps, radii = [], []
    for half in (0, 1):
        index = np.arange(half, len(particles), 2)
        of_half = replace(start, assignments=start.assignments.take(index))
        reports = reconstruct(
            SourceSubset(source, index),
            particles.take(index),
            free,
            state=of_half,
            stop=stop,
            backend=backend,
            chunks=chunks,
        )
        refined = _last_report(reports, half, on_step)
        if stop():
            return None
        radius = refined.current_size // 2
        maps.append(_unfiltered_maps(resolved, refined, radius))
        radii.append(radius)
    return HalfSetMaps(np.stack(maps), min(radii))


def _last_report(
    reports: Iterator[IterationReport], half: int, on_step: Callable[[ClosingStep], None]
) -> IterationReport:
    """Refine a half-set until it has converged or used up its iterations."""
    stage: ClosingStage = "half-set 2" if half else "half-set 1"
    on_step(ClosingStep(stage, 0, _ITERATIONS))
    for number, report in enumerate(reports, 1):
        resolution = float(report.resolution.min())
        logger.info(
            "%s, iteration %d of at most %d: %.1f Å (%s)",
            *(stage, number, _ITERATIONS, resolution, MAP_CRITERION),
        )
        on_step(ClosingStep(stage, number, _ITERATIONS, resolution))
        if report.state.phase == "final" or number == _ITERATIONS:
            break  # the final pass would assign particles; only the maps are wanted
    return report


def _filtered_start(state: EngineState) -> EngineState:
    """Return the state from which the half-sets are refined: filtered maps, and no sums."""
    radius, model = state.start_radius, state.models[0]
    maps = np.stack([_filtered(volume, radius) for volume in model.maps])
    filtered = replace(model.without_sums(), maps=maps, evidence=np.zeros(0), fsc_sum=np.zeros(0))
    return replace(
        state,
        iteration=0,
        phase="refine",
        step=0,
        fsc_radius=radius,
        models=(filtered,),
        drift=Drift.begin(maps, radius),
        alternative=None,
    )


def _filtered(volume: Float32, radius: int) -> Float32:
    """Return a map without the shells beyond a Fourier radius."""
    cube = map_to_cube(volume, radius, 1)
    cube[cube_shells(cube.shape[0] // 2, 1) > radius] = 0
    return cube_to_map(cube, volume.shape[0], 1)


def _unfiltered_maps(settings: ResolvedSettings, report: IterationReport, radius: int) -> Float32:
    """Return the maps (K, n, n, n) of the sums, without Wiener filter, mask and non-negativity."""
    plain = replace(settings, flatten_solvent=False)
    constraints = RealSpaceConstraints(plain, report.volumes.shape[-1], report.voxel_size)
    model, padding = report.state.models[0], settings.padding_factor
    maps = []
    for numerator, denominator in zip(model.numerator, model.denominator, strict=True):
        n, w = numerator.sum(0), denominator.sum(0)  # (cube), over the quarters
        cube = divide_by_weight(n, w, padding)
        cube[cube_shells(cube.shape[0] // 2, padding) > radius] = 0
        maps.append(constraints.to_map(cube))
    return np.stack(maps)
