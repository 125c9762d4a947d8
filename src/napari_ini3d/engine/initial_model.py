"""De novo reconstruction: from particles to a map, as a generator of iterations.

Several random starts search at low resolution side by side; the one that explains the images
best goes on alone, with rising resolution and growing subsets, and is refined until it has
settled. Each iteration compares a subset with the model (`expectation`), and takes the model that
follows from the comparison (`maximisation`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from napari_ini3d.engine.iteration import Workshop
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.state import EngineState
from napari_ini3d.kernels import choose_backend
from napari_ini3d.particles import ImageSource, Particles
from napari_ini3d.settings import InitialModelSettings


def reconstruct(
    source: ImageSource,
    particles: Particles,
    settings: InitialModelSettings,
    *,
    state: EngineState | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[IterationReport]:
    """Yield one report per iteration until the map has converged.

    Parameters
    ----------
    source : ImageSource
        The images, all of one box and pixel size, in the order of `particles`.
    particles : Particles
    settings : InitialModelSettings
        With its mask diameter set.
    state : EngineState, optional
        Of an earlier report, to go on from there. The same run, bit for bit.
    stop : callable
        Looked at after every iteration: when it returns True the generator ends normally.

    Yields
    ------
    IterationReport

    Raises
    ------
    SettingsError, DeviceError
    """
    backend = choose_backend(
        settings.device, precision=settings.precision, deterministic=settings.deterministic
    )
    with closing(Workshop(source, particles, settings, backend)) as workshop:
        state = state or workshop.initial_state()
        while not state.finished:
            report = workshop.iterate(state)
            state = report.state
            yield report
            if stop():
                return
