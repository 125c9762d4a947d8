"""Prefetch: jobs are done in threads, a few ahead of the one that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 1  # jobs beyond one per thread


class Prefetcher(Generic[Job, Result]):
    """Does jobs in threads, which are started when they are needed and kept until `close`.

    Parameters
    ----------
    threads : int
    name : str
        Of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def map(
        self, function: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Generator[tuple[Job, Callable[[], Result]], None, None]:
        """Yield each job with a callable that returns its result, or raises its error.

        `jobs` advances in the caller's thread. When the iterator is closed, the jobs that have
        begun are done.
        """
        ahead: deque[tuple[Job, Future[Result]]] = deque()
        pool = self._open()
        try:
            for job in jobs:
                ahead.append((job, pool.submit(function, job)))
                if len(ahead) > self._threads + _AHEAD:
                    done, future = ahead.popleft()
                    yield done, future.result
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result
        finally:
            wait([future for _, future in ahead if not future.cancel()])

    def _open(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            return self._pool

    def close(self) -> None:
        """End the threads; `map` starts them again."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
