"""De novo reconstruction: from particles to a map, as a generator of iterations.

The method is expectation maximisation on mini-batches (docs/method.md). Several random starts are
refined side by side at low resolution; the one with the highest evidence continues, at rising
resolution and with growing subsets, until it has converged. `reconstruct` is the whole method;
each step of its loop is a module of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from napari_ini3d.engine.chunks import ChunkExecutor
from napari_ini3d.engine.context import RunContext
from napari_ini3d.engine.convergence import conclude
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.expectation.step import expectation
from napari_ini3d.engine.images import draw_subset
from napari_ini3d.engine.initialisation import initial_state
from napari_ini3d.engine.local_chunks import LocalChunks
from napari_ini3d.engine.maximisation import maximisation
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import plan_iteration
from napari_ini3d.engine.state import EngineState
from napari_ini3d.engine.timing import StageTimer
from napari_ini3d.kernels import Backend, available_threads, blas_threads, choose_backend
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings


def reconstruct(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    *,
    state: EngineState | None = None,
    stop: Callable[[], bool] = lambda: False,
    backend: Backend | None = None,
    chunks: ChunkExecutor | None = None,
) -> Iterator[IterationReport]:
    """Yield one report per iteration until the run has converged or used up its iterations.

    Parameters
    ----------
    source : ImageSource
        The images, all of one box and pixel size, in the order of `particles`.
    particles : Particles
    settings : InitialModelSettings
        With its mask diameter set.
    state : EngineState, optional
        Of an earlier report, to continue from there: the same run, bit for bit.
    stop : callable
        Called after every iteration; when it returns True, the generator ends normally.
    backend : Backend, optional
        Default: the one that ``settings.device`` names.
    chunks : ChunkExecutor, optional
        What compares images with references. Default: the devices of the backend.

    Yields
    ------
    IterationReport

    Raises
    ------
    SettingsError, DeviceError
    """
    resolved = resolve_settings(settings, pixel_size=source.pixel_size)
    chunks = chunks or LocalChunks()
    backend = backend or choose_backend(
        chunks.device or settings.device,
        precision=settings.precision,
        deterministic=settings.deterministic,
    )
    with closing(TileExecutor(backend, available_threads(settings.threads))) as executor:
        run = RunContext.of(source, particles, resolved, executor)
        state = state or initial_state(run)
        while not state.finished:
            timer = StageTimer(backend)
            plan = plan_iteration(state.schedule_input, run.settings, run.geometry)
            subset = draw_subset(len(particles), state.drawn, plan.subset_size, settings.seed)
            with blas_threads(1):  # the tiles already use every core
                references = chunks.prepare_references(run, state, plan)
                timer.stage("references")
                found = expectation(run, references, subset)
                timer.stage("expectation", found.seconds)
                updates = maximisation(run, state, plan, found.sums)
                timer.stage("maximisation")
            report = conclude(run, state, plan, found.sums, updates, timer.seconds)
            state = report.state
            del references, found, updates  # large: not beside those of the next iteration
            yield report
            if stop():
                return
