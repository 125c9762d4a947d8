"""Timers of the stages of an iteration, and of their parts in each thread."""

from __future__ import annotations

import time
from collections.abc import Mapping

from napari_ini3d.kernels import Backend


class StageTimer:
    """Measures the wall time of stages that follow each other.

    Parameters
    ----------
    backend : Backend
        Its devices are synchronised at the end of each stage.

    Attributes
    ----------
    seconds : dict
        By stage, and their sum as "total"; parts of a stage as "stage/part".
    """

    def __init__(self, backend: Backend) -> None:
        self.seconds: dict[str, float] = {"total": 0.0}
        self._devices = backend.devices
        self._last = time.perf_counter()

    def stage(self, name: str, parts: Mapping[str, float] | None = None) -> None:
        """End a stage.

        Parameters
        ----------
        name : str
        parts : mapping, optional
            Seconds of its parts.
        """
        for backend in self._devices:
            backend.device.synchronise()  # a GPU returns before its work is done
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self.seconds["total"] += now - self._last
        self.seconds |= {f"{name}/{part}": value for part, value in (parts or {}).items()}
        self._last = now


class ThreadTimer:
    """Measures parts that follow each other within one thread.

    Parameters
    ----------
    running : bool
        False on a GPU, which works asynchronously: nothing is measured then.
    """

    def __init__(self, *, running: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._running = running
        self._last = time.perf_counter()

    def part(self, name: str) -> None:
        """End a part."""
        if not self._running:
            return
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
