"""Stopping and pausing of a run between two iterations, by its caller or by files in its folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_ini3d.runs import RunRequests

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Control:
    """Waits while the run is to pause, and tells whether it is to stop; called by the engine.

    Attributes
    ----------
    stop : callable
        Of the caller; returns whether the run is to stop.
    requests : RunRequests
        Of the folder.
    """

    stop: Callable[[], bool]
    requests: RunRequests

    def __call__(self) -> bool:
        """Wait while the run is to pause; return whether it is to stop."""
        waited = False
        while not self._is_to_stop() and self.requests.pause_requested:
            if not waited:
                logger.warning("paused; it continues when %s is deleted", self.requests.pause_path)
                waited = True
            time.sleep(_WAIT_SECONDS)
        if waited and not self._is_to_stop():
            logger.info("continued")
        return self._is_to_stop()

    def _is_to_stop(self) -> bool:
        return self.stop() or self.requests.stop_requested
