"""Sums over chunks by the workers of Dask: a few are computed ahead, and added in order.

A task is a group of chunks, whose sums the worker adds, or a single chunk, where there are too few
groups for all workers. Groups, chunks, tiles and the order of addition do not depend on the
workers. A task whose worker dies is computed again by another, so the bits of a result do not
depend on what happened to the workers.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import uuid4

from napari_ini3d.cluster.connection import replace_lost_workers
from napari_ini3d.cluster.recipes import IterationRecipe, OpenImages, RunRecipe, without_unused
from napari_ini3d.cluster.versions import package_versions
from napari_ini3d.cluster.worker import WorkerFacts, check_worker, forget_run, sum_chunks
from napari_ini3d.engine import (
    Chunk,
    ChunkResult,
    EngineState,
    Plan,
    RunContext,
    SourceSubset,
    enough_groups,
    planned_tile_images,
    split_into_groups,
)
from napari_ini3d.errors import ClusterError

Value = TypeVar("Value")
logger = logging.getLogger(__name__)

_RETRIES = 3  # of a task that failed, by Dask
_AHEAD = 2  # tasks for each thread of the workers that are computed or wait to be added
_POLL = 1.0  # seconds, between looks at the connection
_PATIENCE = 60.0  # seconds without a scheduler
_LONG = 10.0  # seconds of waiting that are worth a message
_RESTARTS = 5  # of an iteration without progress


class DaskChunks:
    """The `ChunkExecutor` of a cluster.

    Parameters
    ----------
    client : distributed.Client
    open_images : callable
        Opens the images on a worker (`StackRecipe`).
    patience : float
        Seconds to wait for a worker, where there is none.
    """

    def __init__(self, client: Any, open_images: OpenImages, patience: float = 60.0) -> None:
        self._client = client
        self._patience = patience
        self._open_images = open_images
        self._key = uuid4().hex
        self._run: RunContext | None = None
        self._recipe: _Sent[RunRecipe] | None = None
        self._is_gpu = False

    @property
    def device(self) -> str:
        """The CPU of the machine where the run was started: it may have no GPU."""
        return "cpu"

    def prepare_references(self, run: RunContext, state: EngineState, plan: Plan) -> DaskReferences:
        """Send what references are made of to the workers, each of which makes its own."""
        if self._recipe is None or self._run is not run:
            self._begin(run)
        assert self._recipe is not None
        iteration = IterationRecipe(
            key=uuid4().hex,
            state=without_unused(state),
            plan=plan,
            is_gpu=self._is_gpu,
        )
        images = planned_tile_images(run, state, plan, is_gpu=self._is_gpu)
        sent = _Sent(self._client, iteration)
        return DaskReferences(self._client, images, self._recipe, sent, self._patience)

    def close(self) -> None:
        """Free the memory of the workers."""
        if self._recipe is not None and self._client.status == "running":
            key = self._recipe.value.key
            self._recipe.release()
            try:
                self._client.run(forget_run, key, on_error="ignore")
            except (OSError, TimeoutError) as error:
                logger.debug("forgetting the run: %s", error)
        self._recipe = self._run = None

    def _begin(self, run: RunContext) -> None:
        """Tell the workers of another run, and check that all can compute it."""
        self.close()
        threads = wait_for_workers(self._client, self._patience)
        recipe = RunRecipe(
            key=f"{self._key}/{uuid4().hex}",
            open_images=self._open_images,
            subset=run.source.index if isinstance(run.source, SourceSubset) else None,
            particles=run.particles,
            settings=run.settings,
            versions=package_versions(),
            sharing=self._workers_of_a_host(),
        )
        self._recipe, self._run = _Sent(self._client, recipe), run
        checks = [
            self._client.submit(
                check_worker, self._recipe.future, count, workers=[address], pure=False
            )
            for address, count in threads.items()
        ]
        facts: list[WorkerFacts] = self._client.gather(checks)
        kinds = {fact.is_gpu for fact in facts}
        if len(kinds) > 1:
            listed = ", ".join(sorted(f"{fact.device} on {fact.host}" for fact in facts))
            raise ClusterError(
                f"some workers have a GPU and others have none ({listed}), so that their bits "
                "would differ; give all workers a GPU, or take device cpu"
            )
        self._is_gpu = kinds == {True}
        hosts = Counter(fact.host for fact in facts)
        logger.info(
            "%d workers with %d threads on %s", len(facts), sum(threads.values()), ", ".join(hosts)
        )

    def _workers_of_a_host(self) -> int:
        _check_scheduler(self._client)
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max(Counter(worker["host"] for worker in workers).values(), default=1)


class _Sent(Generic[Value]):
    """A value that every worker has a copy of; one that all have lost is sent again."""

    def __init__(self, client: Any, value: Value) -> None:
        self.value = value
        self._client = client
        self.send()

    def send(self) -> None:
        try:
            self.future = self._client.scatter(self.value, broadcast=True, hash=False)
        except OSError as error:  # among them that of a timeout
            raise _no_scheduler() from error
        except Exception as error:  # of a worker; Dask says its type in words
            raise ClusterError(
                f"a worker cannot be told what to compute ({error}); install the same packages "
                "everywhere"
            ) from error

    def release(self) -> None:
        self.future.release()


@dataclass
class DaskReferences:
    """The `PreparedReferences` of a cluster: each worker makes its own, once.

    Attributes
    ----------
    client : distributed.Client
    tile_images : int
    """

    client: Any
    tile_images: int
    recipe: _Sent[RunRecipe]
    iteration: _Sent[IterationRecipe]
    patience: float

    def sum_over_chunks(self, chunks: Sequence[Chunk]) -> Iterator[ChunkResult]:
        """Yield the sums of each group or chunk, in order; a worker that dies changes nothing."""
        tasks = _Tasks(self.client, self.recipe, self.iteration, chunks, self.patience)
        try:
            for place in range(len(tasks)):
                found = tasks.result(place)
                if found is not None:
                    yield found
        finally:
            tasks.cancel()
            self.iteration.release()


class _Tasks:
    """The groups or chunks of an iteration as tasks of Dask: each worker has a few at a time."""

    def __init__(
        self,
        client: Any,
        recipe: _Sent[RunRecipe],
        iteration: _Sent[IterationRecipe],
        chunks: Sequence[Chunk],
        patience: float,
    ) -> None:
        self._client, self._recipe, self._iteration = client, recipe, iteration
        self._next = 0
        self._futures: dict[int, tuple[Any, str]] = {}  # and the worker that was chosen
        self._restarts = 0
        self._patience = patience
        self._threads = wait_for_workers(client, patience)
        self._looked = time.monotonic()  # at the workers: some may have come or gone
        groups = split_into_groups(chunks)
        self._tasks = (
            groups
            if enough_groups(len(groups), len(self._threads))
            else [(chunk,) for chunk in chunks]
        )

    def __len__(self) -> int:
        return len(self._tasks)

    def result(self, place: int) -> ChunkResult | None:
        """Return the sums of a task; those before it have been returned."""
        from distributed import KilledWorker
        from distributed.client import CancelledError

        while True:
            try:
                self._submit()
                future = self._futures[place][0]
                if future.status in ("lost", "cancelled"):
                    raise CancelledError(future.key)
                found: ChunkResult | None = future.result(timeout=_POLL)
            except (TimeoutError, UnboundLocalError):
                # Dask's `sync` has no result, and no error, of a coroutine that was cancelled
                _check_scheduler(self._client)
            except (CancelledError, KilledWorker, OSError) as error:
                self._restart(place, error)
            else:
                del self._futures[place]  # which releases it
                self._restarts = 0
                return None if found is None else self._over_workers(found)

    def cancel(self) -> None:
        """Give up what has not been asked for."""
        futures = [future for future, _ in self._futures.values()]
        if futures and self._client.status == "running":
            self._client.cancel(futures, force=True)
        self._futures.clear()

    def _over_workers(self, found: ChunkResult) -> ChunkResult:
        count = max(len(self._threads), 1)
        seconds = {name: value / count for name, value in found.seconds.items()}
        return ChunkResult(found.group, found.per_model, seconds)

    def _submit(self) -> None:
        """Give tasks to the workers that have fewest, in order."""
        most = _AHEAD * sum(self._threads.values()) + 1
        if self._next < len(self._tasks) and time.monotonic() > self._looked + _POLL:
            self._threads = wait_for_workers(self._client, self._patience)
            self._looked = time.monotonic()
        while self._next < len(self._tasks) and len(self._futures) < most:
            busy = Counter(worker for future, worker in self._futures.values() if not future.done())
            worker = min(
                self._threads,
                # the same worker as in the last iteration, if it has as little to do as others
                key=lambda one: (
                    busy[one] / self._threads[one],
                    one != self._home(self._next),
                ),
            )
            self._futures[self._next] = self._task(self._tasks[self._next], worker), worker
            self._next += 1

    def _home(self, place: int) -> str:
        addresses = sorted(self._threads)
        return addresses[place % len(addresses)]

    def _task(self, chunks: tuple[Chunk, ...], worker: str) -> Any:
        threads = self._threads[worker]
        # where there are more threads than tasks, several share one
        wanted = -(-_AHEAD * sum(self._threads.values()) // len(self._tasks))
        return self._client.submit(
            sum_chunks,
            self._recipe.future,
            self._iteration.future,
            chunks,
            threads,
            min(wanted, threads),
            workers=[worker],
            allow_other_workers=True,
            retries=_RETRIES,
            pure=False,
        )

    def _restart(self, place: int, error: BaseException) -> None:
        """Send everything again, because no worker has it any more."""
        _check_scheduler(self._client)
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise ClusterError(
                f"the cluster lost a task {_RESTARTS} times ({error}); see the logs of its "
                "workers, then resume the run"
            ) from error
        logger.warning("the workers have lost their data; sending them again (%s)", error)
        self.cancel()
        self._threads = wait_for_workers(self._client, self._patience)
        self._recipe.send()
        self._iteration.send()
        self._next = place


def _no_scheduler() -> ClusterError:
    return ClusterError(
        "the scheduler of the cluster does not answer any more; resume the run, on another cluster "
        "or without one"
    )


def _check_scheduler(client: Any) -> None:
    """Wait until a client is connected again.

    Raises
    ------
    ClusterError
        If it is not for a minute.
    """
    end = time.monotonic() + _PATIENCE
    while client.status != "running":
        if client.status == "closed" or time.monotonic() > end:
            raise _no_scheduler()
        time.sleep(_POLL)


def wait_for_workers(client: Any, patience: float) -> dict[str, int]:
    """Return the threads of each worker, by address, as soon as there is one.

    Parameters
    ----------
    client : distributed.Client
    patience : float
        Seconds to wait for one.

    Raises
    ------
    ClusterError
        If there is none, or no scheduler.
    """
    begin, told = time.monotonic(), False
    while True:
        _check_scheduler(client)
        replace_lost_workers(client)
        try:
            threads: dict[str, int] = dict(client.nthreads())
        except (OSError, RuntimeError):
            threads = {}
        if threads:
            return threads
        waited = time.monotonic() - begin
        if waited > patience:
            raise ClusterError(
                f"the cluster has no workers for {patience:.0f} s; start some, then resume the run"
            )
        if waited > _LONG and not told:
            told = True
            logger.info("waiting for a worker of the cluster")
        time.sleep(_POLL)
