"""Layers of a run: the newest map of each class, updated in place, and the history of iterations.

The newest maps are 3D layers. The iterations are 4D layers, read from the run folder when they
are shown. Only one of the two kinds is visible at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

from qtpy.QtCore import QObject, Signal

from napari_ini3d._types import FloatArray
from napari_ini3d.errors import RunFolderError
from napari_ini3d.fourier import MAP_CRITERION
from napari_ini3d.plugin import METADATA_KEY, class_colour
from napari_ini3d.plugin.session.class_captions import ClassValues, class_captions
from napari_ini3d.plugin.session.iteration_maps import (
    count_classes,
    keep_on_iterations,
    maps_of_classes,
    set_visible,
)
from napari_ini3d.plugin.viewer import (
    Caption,
    ClassCells,
    MeshRequest,
    PreparedMesh,
    after_removal,
    caption_of,
    find_layer,
    get_metadata,
    is_map_layer,
    show_iteration,
    show_map,
    shown_iteration,
)
from napari_ini3d.runs import RunFolder, history_iterations, read_summaries

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_ini3d.plugin.session.worker import Progress

_HIDDEN_KINDS = ("particles", "ctf", "particle mask", "map", "run", "axes")


class LiveLayers(QObject):
    """Shows a run in a viewer, and its iterations on demand, with a caption.

    A layer that the user removes during the run is not added again until the next run.

    Parameters
    ----------
    viewer : weak reference to a napari viewer

    Signals
    -------
    changed
        Another iteration is shown.
    """

    changed = Signal()

    def __init__(self, viewer: ReferenceType[napari.Viewer]) -> None:
        super().__init__()
        self._viewer = viewer
        self._folder = Path()
        self._made: set[str] = set()
        self._newest_hidden = False
        self._n_classes = 1
        self._values: dict[int, ClassValues] = {}  # of each iteration
        self._missing: set[int] = set()  # not in the run folder when it was read last
        self._side_by_side = True
        self._caption, self._removing = Caption(), False
        real: Any = viewer()
        if real is not None:
            real.dims.events.point.connect(self._on_view)
            real.layers.events.removing.connect(self._on_removing)
            # last: cells add layers, when napari has finished adding one
            real.layers.events.removed.connect(self._on_removed, position="last")
            real.layers.events.inserted.connect(self._on_inserted, position="last")
            real.canvas.grid.events.enabled.connect(self._on_view)
            ClassCells.of(real).left_by_user.connect(self._on_cells_left)
            for layer in real.layers:
                layer.events.visible.connect(self._on_view)

    @property
    def viewer(self) -> Any:
        """The viewer; None after it was closed."""
        return self._viewer()

    @property
    def history_visible(self) -> bool:
        """True if the iterations of the run are shown instead of its newest maps."""
        return any(layer.visible for layer in self._history())

    @property
    def maps(self) -> list[Image]:
        """The maps of the run that can be shown now, by class: newest ones, or iterations."""
        return self._history() if self.history_visible else self._newest()

    @property
    def side_by_side(self) -> bool:
        """True if several classes are shown in cells, False if they overlap."""
        return self._side_by_side

    @side_by_side.setter
    def side_by_side(self, wanted: bool) -> None:
        self._side_by_side = wanted
        self._update_caption()

    def begin(self, folder: Path) -> None:
        """Prepare for a run, and hide the layers of the previous one."""
        if folder != self._folder:
            set_visible([*self._newest(), *self._history()], visible=False)
        self._folder, self._n_classes = folder, 1
        self._made.clear()
        self._newest_hidden = False
        self._values.clear()
        self._missing.clear()
        self._update_caption()

    def mesh_requests(self, progress: Progress) -> dict[int, MeshRequest]:
        """Return what the meshes of an iteration depend on, for each class that is drawn as one."""
        viewer = self._viewer()
        if viewer is None:
            return {}
        found = {
            k: MeshRequest.of(viewer, find_layer(viewer, self._key(k)))
            for k in range(len(progress.volumes))
        }
        return {k: request for k, request in found.items() if request is not None}

    def show(
        self, progress: Progress, meshes: Mapping[int, PreparedMesh] = MappingProxyType({})
    ) -> None:
        """Show the maps of an iteration in place of the previous ones.

        Parameters
        ----------
        progress : Progress
        meshes : mapping, optional
            From class index to the mesh, where it is known already.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        self._n_classes = progress.n_classes
        self._missing.clear()
        self._values[progress.summary.iteration] = ClassValues.of(progress.summary)
        if self._newest_hidden and not self._history():  # the user has removed the iterations
            self.show_newest()
        hidden = self.history_visible
        for k, volume in enumerate(progress.volumes):
            mesh = meshes.get(k)
            self._show_class(viewer, progress, k, volume, mesh, visible=not hidden)
        if self._history():
            self._update_history(viewer)
        self._update_caption()

    def show_history(self, folder: Path | None = None) -> None:
        """Show all iterations of a run on the slider, instead of its newest maps.

        Raises
        ------
        RunFolderError
            If the folder has no maps.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        if folder is not None and folder != self._folder:
            self.begin(folder)
        if not history_iterations(RunFolder(self._folder)):
            raise RunFolderError(
                f"{self._folder} has no maps yet; wait for the end of the first iteration"
            )
        self._n_classes = max(self._n_classes, count_classes(self._folder))
        was_visible = self.history_visible
        self._update_history(viewer, create=True)
        if not was_visible:
            self._hide_others(viewer)
        self._swap(self._newest(), self._history())
        self._newest_hidden = True
        self._update_caption()

    def show_newest(self) -> None:
        """Show the newest maps; of a run that was opened from its folder, the last iteration."""
        viewer, history = self._viewer(), self._history()
        if self._newest():
            self._swap(history, self._newest())
            self._newest_hidden = False
        elif viewer is not None and history:
            show_iteration(viewer, history[0], history[0].metadata[METADATA_KEY]["iterations"][-1])
        self._update_caption()

    def forget(self, folder: Path) -> None:
        """Remove the layers with the iterations of a run; its newest maps stay."""
        viewer = self._viewer()
        if viewer is None:
            return
        for layer in list(viewer.layers):
            path = str(get_metadata(layer, "path"))
            if get_metadata(layer, "kind") == "run" and Path(path) == folder:
                viewer.layers.remove(layer)

    def show_iteration(self, iteration: int) -> int:
        """Show an iteration, or the last one before it that has a map; return the one shown.

        Raises
        ------
        RunFolderError
            If the folder has no maps.
        """
        self.show_history()
        viewer = self._viewer()
        layers = self._history()
        if viewer is None or not layers:
            return iteration
        return show_iteration(viewer, layers[0], iteration)

    def shown_iteration(self) -> int | None:
        """Return the iteration on the slider; None if the newest maps are shown."""
        viewer, layers = self._viewer(), self._history()
        if viewer is None or not self.history_visible:
            return None
        return shown_iteration(viewer, layers[0])

    def _swap(self, hidden: list[Image], shown: list[Image]) -> None:
        """Show some layers instead of others, and move the selection to them."""
        viewer = self._viewer()
        was_active = viewer is not None and viewer.layers.selection.active in hidden
        set_visible(hidden, visible=False)
        set_visible(shown, visible=True)
        if viewer is not None and shown and was_active:
            viewer.layers.selection.active = shown[0]

    def _on_inserted(self, event: Any) -> None:
        event.value.events.visible.connect(self._on_view)
        self._on_view(event)

    def _on_removing(self, _event: Any) -> None:
        """Leave the cells as they are meanwhile: napari would draw again what it removes."""
        self._removing = True

    def _on_removed(self, event: Any) -> None:
        """Update the cells when all that is deleted is gone: adding layers, it would not end."""
        self._removing, viewer = False, self._viewer()
        if viewer is not None:
            after_removal(viewer, lambda: self._on_view(event))

    def _on_view(self, _event: Any) -> None:
        """Update the caption after the slider was moved, or a layer hidden or removed."""
        viewer, history = self._viewer(), self._history()
        if self._removing:
            return
        if viewer is not None and history and history[0].visible:
            keep_on_iterations(viewer, history[0])
        if self._caption.written or history or self._newest():
            self._update_caption()

    def _on_cells_left(self) -> None:
        self._side_by_side = False
        self._update_caption()

    def _update_caption(self) -> None:
        """Update the cells of the classes and the caption, and notify the docks."""
        viewer = self._viewer()
        if viewer is None:
            return
        self._update_cells(viewer)
        self._caption.write(viewer, self._describe_shown(viewer))
        self.changed.emit()

    def _update_cells(self, viewer: Any) -> None:
        """Show several classes side by side, unless that is not wanted or all are hidden."""
        cells, maps = ClassCells.of(viewer), self.maps
        if not self._side_by_side or len(maps) < 2 or not any(layer.visible for layer in maps):
            cells.leave()
            return
        classes = [int(get_metadata(layer, "class_index")) for layer in maps]
        values = self._values_at(self._iteration_of(maps[0]))
        cells.show(maps, class_captions(classes, self._n_classes, values))

    def _describe_shown(self, viewer: Any) -> str:
        """Return the caption; empty unless the maps of the run, and no others, are shown."""
        ours = [*self._newest(), *self._history()]
        shown = [layer for layer in viewer.layers if is_map_layer(layer) and layer.visible]
        in_cells = ClassCells.of(viewer).active
        if not shown or any(layer not in ours for layer in shown):
            return ""
        if viewer.canvas.grid.enabled and not in_cells:
            return ""
        iteration = self._iteration_of(shown[0])
        if in_cells:  # each cell has a caption for its class
            return f"{caption_of(self._folder.name, iteration, {})} · {MAP_CRITERION}"
        classes = sorted(int(get_metadata(layer, "class_index")) for layer in shown)
        resolution = self._values_at(iteration).resolution
        by_class = {
            f"class {k + 1}" if self._n_classes > 1 else "": resolution[k]
            for k in dict.fromkeys(classes)
            if k < len(resolution)
        }
        return caption_of(self._folder.name, iteration, by_class)

    def _iteration_of(self, layer: Image) -> int:
        """Return the iteration that the maps show; the layer is one of them."""
        shown = self.shown_iteration()
        return int(get_metadata(layer, "iteration")) if shown is None else shown

    def _values_at(self, iteration: int) -> ClassValues:
        """Return the values of the classes in an iteration.

        They are read from the run folder if the iteration was not shown.
        """
        if iteration not in self._values and iteration not in self._missing:
            summaries = read_summaries(RunFolder(self._folder))
            self._values |= {found.iteration: ClassValues.of(found) for found in summaries}
            if iteration not in self._values:
                self._missing.add(iteration)
        return self._values.get(iteration, ClassValues())

    def _show_class(
        self,
        viewer: Any,
        progress: Progress,
        k: int,
        volume: FloatArray,
        mesh: PreparedMesh | None,
        *,
        visible: bool,
    ) -> None:
        key = self._key(k)
        existed = find_layer(viewer, key) is not None
        if key in self._made and not existed:  # removed by the user
            return
        self._made.add(key)
        summary = progress.summary
        layer = show_map(
            viewer,
            volume,
            summary.voxel_size,
            self._name(k),
            key=key,
            colormap=class_colour(k, self._n_classes),
            metadata={
                "path": str(self._folder),
                "class_index": k,
                "iteration": summary.iteration,
                "resolution": summary.resolution[k],
            },
            scale=None,
            prepared=mesh,
        )
        if not existed:
            self._hide_others(viewer)
            layer.visible = visible

    def _hide_others(self, viewer: Any) -> None:
        """Hide particles, which would cut through the map in 3D, and other maps."""
        ours = {id(layer) for layer in (*self._newest(), *self._history())}
        for layer in viewer.layers:
            if get_metadata(layer, "kind") in _HIDDEN_KINDS and id(layer) not in ours:
                layer.visible = False

    def _update_history(self, viewer: Any, *, create: bool = False) -> None:
        for k, found in enumerate(maps_of_classes(self._folder, self._n_classes)):
            layer = find_layer(viewer, self._key(k, "iterations"))
            if layer is not None:
                found.extend(viewer, layer)
            elif create and found.iterations:
                name, colour = f"{self._name(k)}, iterations", class_colour(k, self._n_classes)
                found.add(viewer, name, colour, self._key(k, "iterations"))

    def _key(self, k: int, what: str = "newest") -> str:
        return f"{self._folder}, class {k + 1}, {what}"

    def _name(self, k: int) -> str:
        return self._folder.name + (f" class {k + 1}" if self._n_classes > 1 else "")

    def _newest(self) -> list[Image]:
        return self._found("newest")

    def _history(self) -> list[Image]:
        return self._found("iterations")

    def _found(self, what: str) -> list[Image]:
        viewer = self._viewer()
        if viewer is None:
            return []
        layers = (find_layer(viewer, self._key(k, what)) for k in range(self._n_classes))
        return [layer for layer in layers if layer is not None]
