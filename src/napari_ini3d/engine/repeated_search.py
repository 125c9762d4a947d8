"""Repeated search: whether other random maps lead to the same map.

The half-sets of the validation share a coarse map. Where that map is wrong, both find the same
wrong detail, since it follows from the coarse map. Only a search that has begun elsewhere can
tell: at a low signal-to-noise ratio, or where junk or preferred views leave several ways to
explain the images, it ends at another map.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from napari_ini3d._types import Float32
from napari_ini3d.engine.agreement import AlignedMaps
from napari_ini3d.engine.chunks import ChunkExecutor
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.records import ClosingStage, ClosingStep, IterationReport, ignore_step
from napari_ini3d.engine.schedule import Phases
from napari_ini3d.engine.state import NO_GROUP
from napari_ini3d.engine.symmetric_starts import with_symmetric_search
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_STAGE: ClosingStage = "repeated search"


def can_repeat_search(settings: InitialModelSettings) -> bool:
    """Return whether a run has one map and a search that can be repeated."""
    return settings.classes == 1 and Phases.of(settings.iterations).search > 0


def repeat_search(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    volume: Float32,
    *,
    stop: Callable[[], bool] = lambda: False,
    group: str = NO_GROUP,
    backend: Backend | None = None,
    chunks: ChunkExecutor | None = None,
    on_step: Callable[[ClosingStep], None] = ignore_step,
) -> float | None:
    """Search again from other random maps; return how well the map that is found agrees.

    Parameters
    ----------
    source : ImageSource
    particles : Particles
    settings : InitialModelSettings
        Of the run.
    volume : (n, n, n) float32
        Map of the run.
    stop : callable
        Called after every iteration.
    group : str
        Point group of the start that the map of the run goes back to. With one, the search begins
        from the best start with a point group.
    backend : Backend, optional
        Default: the one that ``settings.device`` names.
    chunks : ChunkExecutor, optional
        As for `reconstruct`.
    on_step : callable
        Called when the search begins, and after each of its iterations.

    Returns
    -------
    float or None
        Mean FSC after alignment, either hand, up to the resolution at which the half-sets of the
        repeated search agree (FSC 0.5); None if the work was stopped.
    """
    other = settings.with_changes(seed=settings.seed + 1)
    begin = partial(
        reconstruct, source, particles, other, stop=stop, backend=backend, chunks=chunks
    )
    last: IterationReport | None = None
    phases = Phases.of(settings.iterations)
    at_most = phases.starts + phases.longest_search
    on_step(ClosingStep(_STAGE, 0, at_most))
    for report in _search(begin, group, particles, other):
        if report.phase not in ("starts", "search"):
            break
        last = report
        if report.state.phase == "starts" and report.state.step == 0:  # they begin anew
            at_most += phases.starts
        _announce(report, min(at_most, settings.iterations), on_step)
        if report.state.phase not in ("starts", "search"):
            break
    if last is None or stop():
        return None
    length = volume.shape[0] * last.voxel_size  # Å
    # the search ends before its finest shells have taken shape
    radius = max(1, min(int(length / last.resolution[0]), last.current_size // 2))
    aligned = AlignedMaps.of(volume, [last.volumes[0]], radius, threads=settings.threads)
    return aligned.agreement[0]


def _search(
    begin: Callable[..., Iterator[IterationReport]],
    group: str,
    particles: Particles,
    settings: InitialModelSettings,
) -> Iterator[IterationReport]:
    """Yield the reports of a run that searches from its start with a group, if one is given."""
    for report in begin():
        yield report
        waits = report.state.alternative is not None and report.state.phase == "search"
        if waits and group != NO_GROUP:
            yield from begin(state=with_symmetric_search(report.state, particles, settings))
            return


def _announce(
    report: IterationReport, at_most: int, on_step: Callable[[ClosingStep], None]
) -> None:
    done, resolution = report.iteration, float(report.resolution.min())
    logger.info("%s, iteration %d of at most %d: %s", _STAGE, done, at_most, report.message)
    on_step(ClosingStep(_STAGE, done, at_most, resolution))
