"""Executor of tiles: the threads of a CPU, or one thread for each GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from threading import Semaphore
from typing import TypeVar

from napari_ini3d._types import IntArray
from napari_ini3d.engine.memory import SplitOnMemoryError, TileLimit
from napari_ini3d.kernels import Array, Backend
from napari_ini3d.particles import ImageBatch

Job = TypeVar("Job")
Result = TypeVar("Result")


class TileExecutor:
    """Owns the threads of a run.

    Parameters
    ----------
    backend : Backend
        With all its devices.
    threads : int
        CPU threads; each GPU has a thread of its own.
    """

    def __init__(self, backend: Backend, threads: int) -> None:
        self.backend = backend
        self.tiles_at_once = 1 if backend.is_gpu else threads  # on each device
        self._cpu = ThreadPoolExecutor(threads, thread_name_prefix="ini3d")
        self._pools = [
            ThreadPoolExecutor(1, thread_name_prefix=f"ini3d-{one.name}")
            if one.is_gpu
            else self._cpu
            for one in backend.devices
        ]

    def close(self) -> None:
        """End the threads, and release the memory of the devices."""
        for pool in (self._cpu, *self._pools):
            pool.shutdown(wait=True, cancel_futures=True)
        for one in self.backend.devices:
            one.device.release()

    def map_on_cpu(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
        """Return the result of a function for each job, computed in the threads of the CPU."""
        return list(self._cpu.map(function, jobs))

    def map_tiles(
        self,
        work: Sequence[Callable[[ImageBatch], Result]],
        batches: Iterable[ImageBatch],
        *,
        device_of: Callable[[ImageBatch], int] | None = None,
        limits: Sequence[TileLimit] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """Yield the device and the result of each batch, in order; a few are computed ahead.

        A batch for which there is not enough memory is computed, and yielded, in parts.

        Parameters
        ----------
        work : sequence of callable
            One for each device: from a batch with its images on that device to the result.
        batches : iterable of ImageBatch
            Images on the host.
        device_of : callable, optional
            Number of the device of a batch. Default: the devices take turns, so that their speed
            does not decide which of them gets a batch.
        limits : sequence of TileLimit, optional
            One for each device. Default: a tile in every thread.
        """
        devices = self.backend.devices
        limits = limits or [TileLimit(self.tiles_at_once)] * len(devices)
        places = [
            _Place(
                one,
                SplitOnMemoryError(one.device.release, one.name, limit.images),
                Semaphore(limit.at_once),
            )
            for one, limit in zip(devices, limits, strict=True)
        ]
        most_ahead = sum(limit.at_once + 1 for limit in limits)
        ahead: deque[tuple[int, Future[list[Result]]]] = deque()
        for turn, batch in enumerate(batches):
            i = turn % len(devices) if device_of is None else device_of(batch)
            place = places[i]
            for attempt in place.split.attempts(batch):  # the upload takes memory too
                with attempt as part:
                    upload = place.backend.device.upload(part.images)
                    compute = partial(_compute_tile, place, work[i], part.index, upload)
                    ahead.append((i, self._pools[i].submit(compute)))
            if len(ahead) > most_ahead:
                yield from _results(*ahead.popleft())
        while ahead:
            yield from _results(*ahead.popleft())


@dataclass(frozen=True, slots=True)
class _Place:
    """A device, and what its memory allows."""

    backend: Backend
    split: SplitOnMemoryError
    room: Semaphore


def _results(i: int, future: Future[list[Result]]) -> Iterator[tuple[int, Result]]:
    for result in future.result():
        yield i, result


def _compute_tile(
    place: _Place,
    work: Callable[[ImageBatch], Result],
    index: IntArray,
    upload: AbstractContextManager[Array],
) -> list[Result]:
    """Return the results of a batch on its device, in as many parts as its memory asks for."""
    results, enter = [], place.backend.device.enter
    with place.room, enter(), upload as images:
        for attempt in place.split.attempts(ImageBatch(index, images)):
            # inside `enter`, lack of memory of any library becomes a MemoryError
            with attempt as part, enter():
                results.append(work(part))
    return results
