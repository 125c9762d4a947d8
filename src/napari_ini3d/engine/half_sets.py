"""Independent half-sets: two maps of disjoint particles that share nothing but a coarse start.

During a run the half-sets are compared with one reference, which makes them agree where the map
is wrong, too. Here each half of the particles is refined by itself, from the map of the run
filtered to the resolution of the random starts; beyond that resolution their FSC is evidence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace

import numpy as np
from threadpoolctl import threadpool_limits

from napari_ini3d._types import Float32, IntArray
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.convergence import conclude
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.expectation.step import expectation
from napari_ini3d.engine.images import draw_subset
from napari_ini3d.engine.maximisation import maximisation
from napari_ini3d.engine.references import prepare_references
from napari_ini3d.engine.regularisation import (
    RealSpaceConstraints,
    cube_shells,
    divide_by_weight,
)
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import first_radius, plan_iteration
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.fourier import cube_to_map, map_to_cube
from napari_ini3d.kernels import Backend, available_threads, choose_backend
from napari_ini3d.particles import Assignments, ImageBatch, ImageSource, Particles
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
        wanted = list(indices)
        found = self.source.batches([self.index[i] for i in wanted])
        for own, batch in zip(wanted, found, strict=True):
            yield ImageBatch(own, batch.images)


def refine_half_sets(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    state: EngineState,
    *,
    stop: Callable[[], bool] = lambda: False,
    backend: Backend | None = None,
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
    """
    # non-negativity makes fine detail from coarse, the same in both halves, even of noise
    free = settings.with_changes(non_negative=False, iterations=state.iteration + _ITERATIONS + 1)
    resolved = resolve_settings(free, pixel_size=source.pixel_size)
    backend = backend or choose_backend(
        settings.device, precision=settings.precision, deterministic=settings.deterministic
    )
    maps, radii = [], []
    with closing(TileExecutor(backend, available_threads(settings.threads))) as executor:
        for half in (0, 1):
            index = np.arange(half, len(particles), 2)
            run = RunContext.of(
                SourceSubset(source, index), particles.take(index), resolved, executor
            )
            refined = _refine(run, _start_of_half(run, state, index), half, stop)
            if refined is None:
                return None
            model, radius = refined
            maps.append(_unfiltered_maps(run, model, radius))
            radii.append(radius)
    return HalfSetMaps(np.stack(maps), min(radii))


def _start_of_half(run: RunContext, state: EngineState, index: IntArray) -> EngineState:
    """Return the state from which a half-set is refined: filtered maps, and no sums."""
    radius = first_radius(run.settings, run.geometry)
    model = state.models[0]
    maps = np.stack([_filtered(volume, radius) for volume in model.maps])
    sums = {
        name: np.zeros_like(getattr(model, name))
        for name in (
            "numerator",
            "denominator",
            "blended_numerator",
            "blended_denominator",
        )
    }
    assignments = Assignments(
        *(getattr(state.assignments, f.name)[index] for f in fields(Assignments))
    )
    return replace(
        state,
        phase="refine",
        step=0,
        fsc_radius=radius,
        models=(replace(model, maps=maps, evidence=np.zeros(0), **sums),),
        drift=Drift.begin(maps, radius),
        assignments=assignments,
    )


def _filtered(volume: Float32, radius: int) -> Float32:
    """Return a map without the shells beyond a Fourier radius."""
    cube = map_to_cube(volume, radius, 1)
    cube[cube_shells(cube.shape[0] // 2, 1) > radius] = 0
    return cube_to_map(cube, volume.shape[0], 1)


def _refine(
    run: RunContext, state: EngineState, half: int, stop: Callable[[], bool]
) -> tuple[ModelState, int] | None:
    """Return the model of a half-set, refined until it has converged, and its Fourier radius.

    None if the work was stopped.
    """
    radius = state.fsc_radius
    for iteration in range(_ITERATIONS):
        plan = plan_iteration(state.schedule_input, run.settings, run.geometry)
        subset = draw_subset(len(run.particles), state.drawn, plan.subset_size, run.settings.seed)
        with threadpool_limits(1, "blas"):
            references = prepare_references(run, state, plan)
            found = expectation(run, state, plan, references, subset)
            updates = maximisation(run, state, plan, found.sums)
        radius = plan.radius
        report = conclude(run, state, plan, found.sums, updates, {})
        state = report.state
        logger.info(
            "half-set %d, iteration %d of at most %d: %.1f Å",
            half + 1,
            iteration + 1,
            _ITERATIONS,
            float(report.resolution.min()),
        )
        if stop():
            return None
        if state.phase == "final":
            break
    return state.models[0], radius


def _unfiltered_maps(run: RunContext, model: ModelState, radius: int) -> Float32:
    """Return the maps (K, n, n, n) of the sums, without Wiener filter, mask and non-negativity."""
    plain = replace(run.settings, flatten_solvent=False, non_negative=False)
    constraints = RealSpaceConstraints(plain, run.geometry.box_size, run.geometry.pixel_size)
    padding = run.settings.padding_factor
    maps = []
    for numerator, denominator in zip(model.numerator, model.denominator, strict=True):
        n, w = numerator.sum(0), denominator.sum(0)  # (cube), over the quarters
        cube = divide_by_weight(n, w, padding)
        cube[cube_shells(cube.shape[0] // 2, padding) > radius] = 0
        maps.append(constraints.to_map(cube))
    return np.stack(maps)
