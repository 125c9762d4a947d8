"""Who computes the tiles: the threads of a CPU, or one thread for each card."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import cycle
from typing import TypeVar

from napari_ini3d.engine.memory import SplitOnMemoryError
from napari_ini3d.kernels import Backend
from napari_ini3d.particles import ImageBatch

Job = TypeVar("Job")
Result = TypeVar("Result")


class TileExecutor:
    """Owns the threads.

    Parameters
    ----------
    backend : Backend
        With all its cards.
    threads : int
        Of the CPU; a card has one of its own.
    """

    def __init__(self, backend: Backend, threads: int) -> None:
        self.devices = backend.devices
        self.per_card = 1 if backend.is_gpu else threads
        self._host = ThreadPoolExecutor(threads, thread_name_prefix="ini3d")
        self._pools = [
            ThreadPoolExecutor(1, thread_name_prefix=f"ini3d-{card.name}")
            if card.is_gpu
            else self._host
            for card in self.devices
        ]

    def close(self) -> None:
        """End the threads, and leave the memory of the cards to others."""
        for pool in (self._host, *self._pools):
            pool.shutdown(wait=True, cancel_futures=True)
        for card in self.devices:
            card.device.release()

    def map_on_cpu(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
        """Return what a function gives for each job, computed in the threads of the CPU."""
        return list(self._host.map(function, jobs))

    def compute(
        self, work: Callable[[int, ImageBatch], Result], batches: Iterable[ImageBatch]
    ) -> Iterator[tuple[int, Result]]:
        """Yield the card and the result of each batch, in order; a few are computed ahead.

        The cards take turns, so that it does not hang on their speed which of them gets a batch.
        A batch for which there is not enough memory is computed, and yielded, in parts.

        Parameters
        ----------
        work : callable
            From the number of a card and a batch with its images there to the result.
        batches : iterable of ImageBatch
            Images on the host.
        """
        halvings = [SplitOnMemoryError(card.device.release, card.name) for card in self.devices]
        ahead: deque[tuple[int, Future[list[Result]]]] = deque()

        def submit(i: int, batch: ImageBatch) -> None:
            card = self.devices[i]
            upload = card.device.upload(batch.images)

            def on_card(part: ImageBatch) -> Result:
                with card.device.enter():  # where want of memory becomes a MemoryError
                    return work(i, part)

            def task() -> list[Result]:
                with card.device.enter(), upload as images:
                    return halvings[i].compute(on_card, ImageBatch(batch.index, images))

            ahead.append((i, self._pools[i].submit(task)))

        def oldest() -> Iterator[tuple[int, Result]]:
            i, future = ahead.popleft()
            for result in future.result():
                yield i, result

        for i, batch in zip(cycle(range(len(self.devices))), batches, strict=False):
            halvings[i].compute(partial(submit, i), batch)  # its upload takes memory too
            if len(ahead) > (self.per_card + 1) * len(self.devices):
                yield from oldest()
        while ahead:
            yield from oldest()
