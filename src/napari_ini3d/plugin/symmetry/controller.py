"""Controller of the dock *Symmetry*: the chosen map, its changes and the tasks on it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, Signal

from napari_ini3d.errors import Ini3dError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.plugin.compare import SideBySide
from napari_ini3d.plugin.symmetry.shown_map import ShownMap
from napari_ini3d.plugin.symmetry.tasks import Imposed
from napari_ini3d.plugin.symmetry.undo import MapChanges
from napari_ini3d.plugin.viewer import (
    LayerCombo,
    MapAxes,
    MapResults,
    MapToken,
    Origin,
    RunHalves,
    Task,
    TaskRunner,
    axes_layers,
    connect_to_viewer,
    end_trial,
    find_halves,
    get_metadata,
    origin_of,
    place_trial,
    rebase_trial,
    record_axes,
    try_motion,
    unwrap_proxy,
    voxel_size_of,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

logger = logging.getLogger(__name__)

_VALUES = ("data", "units")
_PLACES = ("scale", "translate", "rotate", "shear")

Work = Callable[[Task], Any]
Prepare = Callable[[Origin, float], Work]


class SymmetryController(QObject):
    """The chosen map, and the tasks on it.

    Signals
    -------
    map_changed : Image or None
        Another map was chosen, or the map has new values.
    trial_changed
        The preview of a motion was changed or removed.
    axes_wanted
        The axes of the map have been found and are to be shown.
    """

    map_changed = Signal(object)
    trial_changed = Signal()
    axes_wanted = Signal()

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = unwrap_proxy(viewer)
        self.viewer_ref: ReferenceType[Any] = ref(real)
        self.tasks = TaskRunner(self)
        self.comparison = SideBySide.of(viewer)
        self.layer_combo = LayerCombo(self.viewer_ref)
        self.shown_map = ShownMap(self, self.viewer_ref, self.layer_combo, self.comparison)
        self._changes = MapChanges()
        self._validated: MapResults[Imposed] = MapResults()
        self._token: MapToken | None = None  # of the chosen map
        self._followed: ReferenceType[Image] | None = None
        self._changing = False
        self.layer_combo.chosen.connect(self._on_chosen)
        connect_to_viewer(
            self,
            real,
            {"layers.events.removed": self._on_removed, "dims.events.point": self._on_map},
        )

    @property
    def viewer(self) -> Any:
        """The viewer; None after it was closed."""
        return self.viewer_ref()

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self.layer_combo.layer

    @property
    def halves(self) -> RunHalves | None:
        """The half-maps of the run of the map that the chosen layer shows; None without."""
        layer = self.layer
        if layer is None or self.viewer is None:
            return None
        try:
            return find_halves(self.viewer, layer)
        except Ini3dError as error:
            logger.debug("%s", error)
            return None

    @property
    def can_undo(self) -> bool:
        """True if a change of the layer's values can be undone."""
        return self._changes.can_undo(self.layer)

    def start(self) -> None:
        """Use the chosen map, once all panels are connected."""
        self._on_chosen(self.layer)

    def run_task(self, task: Task, prepare: Prepare, then: Callable[[Image, Any], None]) -> None:
        """Run a task on the map in a thread.

        Parameters
        ----------
        task : Task
        prepare : callable
            Takes the map and its voxel size (Å), and returns the function to run in the thread.
        then : callable
            Takes the layer and the result; not called if the layer was removed, or shows another
            map by now.
        """
        layer = self.layer
        if layer is None or self.viewer is None:
            show_error("There is no map. Open one from napari's File menu, or a sample from "
                       "File > Open Sample.")  # fmt: skip
            return
        try:
            work = prepare(origin_of(self.viewer, layer), voxel_size_of(layer))
        except Ini3dError as error:
            show_error(str(error))
            return
        token = MapToken.of(self.viewer, layer)
        self.tasks.start(task, work, functools.partial(self._on_result, ref(layer), token, then))

    def validated(self, layer: Image | None) -> Imposed | None:
        """Return the last validation of a group on the map that a layer shows."""
        return self._validated.find(self.viewer, layer)

    def keep_validation(self, layer: Image, imposed: Imposed) -> None:
        """Keep the validation of a group on the map that a layer shows."""
        self._validated.keep(self.viewer, layer, imposed)

    def place(self, layer: Image, motion: RigidTransform) -> None:
        """Preview a motion of a map and its axes."""
        with self._own_change():
            try_motion(layer, motion)
        if self.viewer is not None:
            axes_layers.follow_map(self.viewer, layer)
        self.trial_changed.emit()

    def end_trial(self, layer: Image) -> None:
        """End the preview of a motion."""
        with self._own_change():
            end_trial(layer)
        self.trial_changed.emit()

    def replace(self, layer: Image, origin: Origin, axes: MapAxes | None) -> None:
        """Replace the values of a layer; can be undone."""
        with self._own_change():
            self._changes.replace(layer, origin)
        record_axes(self.viewer, layer, axes)
        self._after_values(layer)

    def undo(self) -> None:
        """Undo the last change of the layer's values."""
        layer = self.layer
        if layer is not None and self._changes.can_undo(layer):
            self.end_trial(layer)
            with self._own_change():
                self._changes.undo(layer)
            self._after_values(layer)

    def _after_values(self, layer: Image) -> None:
        if layer is self.layer:
            self._token = MapToken.of(self.viewer, layer)
            self.map_changed.emit(layer)

    def _on_result(
        self,
        layer: ReferenceType[Image],
        token: MapToken,
        then: Callable[[Image, Any], None],
        result: Any,
    ) -> None:
        found = layer()
        if self.viewer is None:
            return
        if found is None or found not in self.viewer.layers:
            show_warning("The map was removed while the task was running; the result is discarded.")
            return
        if not token.is_shown(self.viewer, found):
            show_warning(
                f"{found.name} shows another map, or has another voxel size, since the task was "
                "started; the result is discarded. Pause the run, or choose an iteration, and "
                "start again."
            )
            return
        self.comparison.leave()
        then(found, result)

    def _on_chosen(self, layer: Image | None) -> None:
        before = None if self._followed is None else self._followed()
        if before is not None:
            for name in (*_PLACES, "affine"):
                getattr(before.events, name).disconnect(self._on_placed)
            for name in _VALUES:
                getattr(before.events, name).disconnect(self._on_map)
            exists = self.viewer is not None and before in self.viewer.layers
            if exists and not self.comparison.active:
                axes_layers.hide_parts(self.viewer, before, axes_layers.ALL_PARTS)
        self._followed = None if layer is None else ref(layer)
        if layer is not None:
            for name in (*_PLACES, "affine"):
                getattr(layer.events, name).connect(self._on_placed)
            for name in _VALUES:
                getattr(layer.events, name).connect(self._on_map)
        self._token = None if layer is None else MapToken.of(self.viewer, layer)
        self.map_changed.emit(layer)

    def _on_map(self, _event: Any) -> None:
        """Forget what was found, after a run or the slider has brought another map."""
        layer, viewer = self.layer, self.viewer
        if layer is None or viewer is None or self._changing or self._token is None:
            return
        if not self._token.is_shown(viewer, layer):
            self._token = MapToken.of(viewer, layer)
            self.map_changed.emit(layer)

    def _on_placed(self, event: Any) -> None:
        """Let the axes follow a map that the user has scaled or moved."""
        layer = event.source
        if self._changing or self.viewer is None or layer is not self.layer:
            return
        with self._own_change():
            if event.type == "affine":
                rebase_trial(layer)
            else:
                place_trial(layer)
        axes_layers.follow_map(self.viewer, layer)
        self._on_map(event)  # with another voxel size, what was found does not count any more

    def _on_removed(self, event: Any) -> None:
        if self.viewer is not None and get_metadata(event.value, "kind") != "axes":
            axes_layers.remove_orphans(self.viewer)

    @contextmanager
    def _own_change(self) -> Iterator[None]:
        """Ignore events of the layer while the controller itself changes it."""
        self._changing = True
        try:
            yield
        finally:
            self._changing = False
