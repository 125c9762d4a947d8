"""Executor of tiles: the threads of a CPU, or one thread for each GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import cycle
from typing import TypeVar

from napari_ini3d._types import IntArray
from napari_ini3d.engine.memory import SplitOnMemoryError
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
    ) -> Iterator[tuple[int, Result]]:
        """Yield the device and the result of each batch, in order; a few are computed ahead.

        The devices take turns, so that their speed does not decide which of them gets a batch.
        A batch for which there is not enough memory is computed, and yielded, in parts.

        Parameters
        ----------
        work : sequence of callable
            One for each device: from a batch with its images on that device to the result.
        batches : iterable of ImageBatch
            Images on the host.
        """
        devices = self.backend.devices
        splits = [SplitOnMemoryError(one.device.release, one.name) for one in devices]
        ahead: deque[tuple[int, Future[list[Result]]]] = deque()
        for i, batch in zip(cycle(range(len(devices))), batches, strict=False):
            for attempt in splits[i].attempts(batch):  # the upload takes memory too
                with attempt as part:
                    upload = devices[i].device.upload(part.images)
                    given = (devices[i], splits[i], work[i], part.index, upload)
                    ahead.append((i, self._pools[i].submit(partial(_compute_tile, *given))))
            if len(ahead) > (self.tiles_at_once + 1) * len(devices):
                yield from _results(*ahead.popleft())
        while ahead:
            yield from _results(*ahead.popleft())


def _results(i: int, future: Future[list[Result]]) -> Iterator[tuple[int, Result]]:
    for result in future.result():
        yield i, result


def _compute_tile(
    backend: Backend,
    split: SplitOnMemoryError,
    work: Callable[[ImageBatch], Result],
    index: IntArray,
    upload: AbstractContextManager[Array],
) -> list[Result]:
    """Return the results of a batch on its device, in as many parts as its memory asks for."""
    results = []
    with backend.device.enter(), upload as images:
        for attempt in split.attempts(ImageBatch(index, images)):
            # inside `enter`, lack of memory of any library becomes a MemoryError
            with attempt as part, backend.device.enter():
                results.append(work(part))
    return results
