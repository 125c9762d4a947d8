"""Repeated search: whether other random maps lead to the same map.

The half-sets of the validation share a coarse map. Where that map is wrong, both find the same
wrong detail, since it follows from the coarse map. Only a search that has begun elsewhere can
tell: at a low signal-to-noise ratio, or where junk or preferred views leave several ways to
explain the images, it ends at another map.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from napari_ini3d._types import Float32
from napari_ini3d.engine.agreement import AlignedMaps
from napari_ini3d.engine.chunks import ChunkExecutor
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.schedule import Phases
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_LOGGED_EVERY = 10  # iterations
_USUAL_SEARCH = 1.5  # iterations of a search, over its least number
_AT_USUAL = 0.9  # share of the work that is done after the usual iterations


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
    progress: Callable[[float], object] = lambda _: None,
    backend: Backend | None = None,
    chunks: ChunkExecutor | None = None,
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
    progress : callable
        Called after every iteration with about the share of the work that is done, from 0 to 1: it
        takes longer where more starts are needed, or the map does not settle.
    backend : Backend, optional
        Default: the one that ``settings.device`` names.
    chunks : ChunkExecutor, optional
        As for `reconstruct`.

    Returns
    -------
    float or None
        Mean FSC after alignment, either hand, up to the resolution at which the half-sets of the
        repeated search agree (FSC 0.5); None if the work was stopped.
    """
    other = settings.with_changes(seed=settings.seed + 1)
    reports = reconstruct(source, particles, other, stop=stop, backend=backend, chunks=chunks)
    last: IterationReport | None = None
    usual = _usual_iterations(other)
    for report in reports:
        if report.phase not in ("starts", "search"):
            break
        last = report
        progress(_share(report.iteration, usual))
        if report.iteration % _LOGGED_EVERY == 0:
            logger.info("repeated search, iteration %d: %s", report.iteration, report.message)
        if report.state.phase not in ("starts", "search"):
            break
    if last is None or stop():
        return None
    progress(1.0)
    length = volume.shape[0] * last.voxel_size  # Å
    # the search ends before its finest shells have taken shape
    radius = max(1, min(int(length / last.resolution[0]), last.current_size // 2))
    aligned = AlignedMaps.of(volume, [last.volumes[0]], radius, threads=settings.threads)
    return aligned.agreement[0]


def _usual_iterations(settings: InitialModelSettings) -> int:
    """Return the iterations that starts and search usually take."""
    phases = Phases.of(settings.iterations)
    return phases.starts + min(round(_USUAL_SEARCH * phases.search), phases.longest_search)


def _share(done: int, usual: int) -> float:
    """Return the share of the work after some iterations; it rises also beyond the usual number."""
    if done < usual:
        return _AT_USUAL * done / usual
    return 1 - (1 - _AT_USUAL) * usual / done
