"""Meshes of new maps, computed before the maps are shown.

Values, caption and mesh then change in one step: the caption never stands beneath the mesh of
another iteration, and napari draws once, not twice.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping

from qtpy.QtCore import QObject

from napari_ini3d.plugin.session.worker import Progress
from napari_ini3d.plugin.viewer import MeshRequest, PreparedMesh, Task, TaskRunner

logger = logging.getLogger(__name__)

Show = Callable[[Progress, Mapping[int, PreparedMesh]], None]


class MeshPreparation(QObject):
    """Computes the meshes of an iteration in a thread, then shows the iteration.

    While it computes, only the newest of the iterations that follow is kept.

    Parameters
    ----------
    show : callable
        Takes the iteration, and the meshes by class index.
    """

    def __init__(self, show: Show) -> None:
        super().__init__()
        self._show = show
        self._tasks = TaskRunner(self, quiet=True)
        self._next: tuple[Progress, Mapping[int, MeshRequest]] | None = None

    @property
    def busy(self) -> bool:
        """True while an iteration waits for its meshes."""
        return self._tasks.busy

    def cancel(self) -> None:
        """Show none of the iterations that wait."""
        self._next = None
        self._tasks.cancel()

    def show(self, progress: Progress, requests: Mapping[int, MeshRequest]) -> None:
        """Show an iteration when the requested meshes, by class index, are computed."""
        self._next = (progress, requests)
        if not self._tasks.busy:
            self._start()

    def _start(self) -> None:
        if self._next is None:
            return
        (progress, requests), self._next = self._next, None
        if not requests:
            self._show(progress, {})
            return
        self._tasks.start(
            Task("Mesh"),
            lambda _: _compute(progress, requests),
            functools.partial(self._on_computed, progress),
        )

    def _on_computed(self, progress: Progress, meshes: Mapping[int, PreparedMesh]) -> None:
        self._show(progress, meshes)
        self._start()


def _compute(progress: Progress, requests: Mapping[int, MeshRequest]) -> dict[int, PreparedMesh]:
    """Compute meshes; one that cannot be made is left to the layer, which reports it."""
    made = {}
    for k, request in requests.items():
        try:
            made[k] = request.compute(progress.volumes[k])
        except Exception as error:
            logger.info("no mesh of class %d: %s", k + 1, error)
    return made
