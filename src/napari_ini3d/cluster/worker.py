"""What runs in a worker: it opens images, makes references, and sums over chunks."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Semaphore

from threadpoolctl import threadpool_limits

from napari_ini3d.cluster.recipes import IterationRecipe, RunRecipe
from napari_ini3d.cluster.versions import describe_differences, package_versions
from napari_ini3d.engine import (
    Chunk,
    ChunkResult,
    GroupSums,
    LocalChunks,
    LocalReferences,
    RunContext,
    SourceSubset,
    TileExecutor,
)
from napari_ini3d.errors import ClusterError, Ini3dError
from napari_ini3d.io import bytes_to_keep
from napari_ini3d.kernels import choose_backend
from napari_ini3d.particles import ImageSource


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker says of itself.

    Attributes
    ----------
    host : str
    threads : int
    device : str
        Name of the backend.
    is_gpu : bool
    """

    host: str
    threads: int
    device: str
    is_gpu: bool


class _WorkerRun:
    """A run in this worker: images, threads, and the references of one iteration."""

    def __init__(self, recipe: RunRecipe, threads: int) -> None:
        settings = recipe.settings
        backend = choose_backend(
            _device(settings.device),
            precision=settings.precision,
            deterministic=settings.deterministic,
        )
        self.executor = TileExecutor(backend, threads)
        source: ImageSource = _images(recipe)
        if recipe.subset is not None:
            source = SourceSubset(source, recipe.subset)
        self._run = RunContext.of(source, recipe.particles, settings, self.executor)
        self._local = LocalChunks(1 / recipe.sharing)
        self._lock = Lock()
        self._key = ""
        self._references: LocalReferences | None = None
        self._room = Semaphore()

    def references(self, iteration: IterationRecipe) -> tuple[LocalReferences, Semaphore]:
        """Return the references of an iteration, and how many chunks have room beside them.

        The first task that asks for them makes them.
        """
        with self._lock:
            if self._references is None or self._key != iteration.key:
                self._references = None  # not beside the new ones
                made = self._local.prepare_references(self._run, iteration.state, iteration.plan)
                self._references, self._key = made, iteration.key
                self._room = Semaphore(made.limits[0].at_once)  # one on a GPU
            return self._references, self._room


_lock = Lock()
_runs: dict[str, _WorkerRun] = {}
_sources: dict[str, ImageSource] = {}


def check_worker(recipe: RunRecipe, threads: int) -> WorkerFacts:
    """Begin a run in this worker, and return what the worker is.

    Parameters
    ----------
    recipe : RunRecipe
    threads : int
        Of this worker.

    Raises
    ------
    ClusterError
        If it has other packages, does not see the images, or has no device.
    """
    backend = _run_of(recipe, threads).executor.backend
    return WorkerFacts(socket.gethostname(), threads, backend.name, backend.is_gpu)


def sum_chunks(
    recipe: RunRecipe,
    iteration: IterationRecipe,
    chunks: tuple[Chunk, ...],
    threads: int,
    at_once: int,
) -> ChunkResult | None:
    """Return the sums of chunks of one group on the host; None if they have no usable images.

    Parameters
    ----------
    recipe : RunRecipe
    iteration : IterationRecipe
    chunks : tuple of Chunk
        In order.
    threads : int
        Of this worker, which computes as many tasks.
    at_once : int
        Tiles that are computed at the same time.
    """
    run = _run_of(recipe, threads)
    backend = run.executor.backend
    if backend.is_gpu != iteration.is_gpu:
        raise ClusterError(
            f"the worker on {socket.gethostname()} computes on {backend.name}, but others do not: "
            "their bits would differ; give all workers a GPU, or take device cpu"
        )
    with _named(), backend.device.enter():
        references, room = run.references(iteration)
        with room:
            groups = GroupSums(backend)
            for one in references.at_most(at_once).sum_over_chunks(chunks):
                groups.add(one)
        found = groups.current
        for sums in [] if found is None else found.per_model:
            sums.move_to_host(backend)
        return found


def forget_run(key: str) -> None:
    """Free the memory that a run takes in this worker."""
    with _lock:
        run = _runs.pop(key, None)
        if not _runs:
            _sources.clear()
    if run is not None:
        run.executor.close()


def _run_of(recipe: RunRecipe, threads: int) -> _WorkerRun:
    with _lock, _named():
        if recipe.key not in _runs:
            different = describe_differences(recipe.versions, package_versions())
            if different:
                raise ClusterError(
                    f"other packages are installed: {different}; install the same everywhere"
                )
            threadpool_limits(1, "blas")  # for good: the tiles already use every thread
            _runs[recipe.key] = _WorkerRun(recipe, threads)
        return _runs[recipe.key]


def _images(recipe: RunRecipe) -> ImageSource:
    """Return the images of all particles; the parts of a run share them."""
    key = recipe.key.partition("/")[0]
    if key not in _sources:
        _sources[key] = recipe.open_images(bytes_to_keep(recipe.sharing))
    return _sources[key]


def _device(wanted: str) -> str:
    """Return the device of a worker: one GPU, where one was set apart for it."""
    if wanted == "auto":
        return "gpu:0" if os.environ.get("CUDA_VISIBLE_DEVICES") else "cpu"
    return "gpu:0" if wanted.startswith("gpu") else wanted


@contextmanager
def _named() -> Iterator[None]:
    """Say of which host an error is; a path may exist on one and not on another."""
    try:
        yield
    except (Ini3dError, OSError) as error:
        if isinstance(error, ClusterError) and str(error).startswith("the worker on"):
            raise
        raise ClusterError(f"the worker on {socket.gethostname()}: {error}") from error
