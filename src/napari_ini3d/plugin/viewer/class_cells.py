"""Classes of a run side by side, in the cells of napari's grid, whose cameras are linked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType, ref

from napari.layers import Image, Layer, Points
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import QObject, Signal

from napari_ini3d.plugin import MAP_AXES, METADATA_KEY
from napari_ini3d.plugin.viewer.axes_layers import parts_of
from napari_ini3d.plugin.viewer.colours import hex_colour
from napari_ini3d.plugin.viewer.connections import PerViewer, unwrap_proxy
from napari_ini3d.plugin.viewer.dependent_layers import remove_dependent
from napari_ini3d.plugin.viewer.grid_cells import grid_shape, move_to_front, pad_cells, with_mesh
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.plugin.viewer.plot_style import readable

_GRID = ("stride", "shape", "spacing", "enabled")
_SPACING = 4.0  # pixels between cells
_FONT_POINTS = 12


@dataclass(frozen=True)
class ClassCaption:
    """Caption of the cell of a class.

    Attributes
    ----------
    text : str
    colour : str
        ``#rrggbb``; made lighter or darker where it cannot be read on the canvas.
    """

    text: str
    colour: str


class ClassCells(QObject):
    """One cell per class, with its map, mesh, axes and caption, until `leave`.

    A class whose map is hidden has no cell. Other layers stay as they are.

    Signals
    -------
    left_by_user
        Napari's grid was switched off by its own button.
    """

    left_by_user = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer: ReferenceType[Any] = ref(viewer)
        self._before: dict[str, Any] | None = None
        self._maps: list[ReferenceType[Image]] = []
        self._zoomed = 1.0  # by which the camera was moved away
        self._paused = self._arranging = False
        self._wanted = True  # while paused: whether the cells come back
        viewer.canvas.grid.events.enabled.connect(self._on_grid)

    @classmethod
    def of(cls, viewer: Any) -> ClassCells:
        """Return the cells of a viewer; the same object each time."""
        return _cells.of(viewer)

    @property
    def active(self) -> bool:
        """True while classes are shown side by side."""
        return self._before is not None and not self._paused

    def show(self, maps: Sequence[Image], captions: Sequence[ClassCaption]) -> None:
        """Show maps side by side, or bring the cells up to date.

        Parameters
        ----------
        maps : sequence of Image
            Layers of the viewer, from left to right.
        captions : sequence of ClassCaption
            Of each map.
        """
        viewer = self._viewer()
        self._wanted = True
        if viewer is None or self._paused or self._arranging:
            return
        if self._before is not None and not viewer.canvas.grid.enabled:
            self._on_grid()  # this was called before it
            return
        layers = [unwrap_proxy(layer) for layer in maps]
        with self._own_change():
            if self._before is None:
                self._before = {name: getattr(viewer.canvas.grid, name) for name in _GRID}
            self._maps = [ref(layer) for layer in layers]
            self._remove_captions(viewer, keep=layers)
            for layer, caption in zip(layers, captions, strict=True):
                _write(viewer, layer, caption)
            self._arrange(viewer, layers)

    def leave(self) -> None:
        """Show the maps in one place again; while paused, once `resume` is called."""
        viewer, before = self._viewer(), self._before
        self._wanted = False
        if viewer is None or before is None or self._paused:
            return
        self._before, self._maps = None, []
        with self._own_change():
            self._zoom(viewer, 1.0)
            self._remove_captions(viewer)
            for layer in [x for x in viewer.layers if get_metadata(x, "padding")]:
                remove_dependent(viewer, layer)
            for name, value in before.items():
                setattr(viewer.canvas.grid, name, value)

    def pause(self) -> None:
        """Give up the grid to a comparison of other maps; `resume` takes it back."""
        viewer = self._viewer()
        if viewer is None or self._before is None:
            return
        with self._own_change():
            self._zoom(viewer, 1.0)
            for name, value in self._before.items():
                setattr(viewer.canvas.grid, name, value)
        self._paused = self._wanted = True

    def resume(self) -> None:
        """Show the classes side by side again, if they were before `pause`.

        If `leave` was called meanwhile, or none of their maps is visible, the cells end.
        """
        viewer, paused = self._viewer(), self._paused
        self._paused = False
        if viewer is None or not paused:
            return
        maps = [x for x in (r() for r in self._maps) if x is not None and x in viewer.layers]
        if not self._wanted or not any(layer.visible for layer in maps):
            self.leave()
            return
        with self._own_change():
            self._arrange(viewer, maps)

    def _arrange(self, viewer: Any, maps: Sequence[Image]) -> None:
        cells: list[list[Layer]] = []
        for layer in maps:
            caption = _caption_of(viewer, layer)
            if caption is not None:
                caption.visible = layer.visible
            head = [] if caption is None else [caption]
            cells.append([*head, *with_mesh(viewer, layer), *parts_of(viewer, layer)])
        stride = pad_cells(viewer, cells, hidden=True)
        move_to_front(viewer, [layer for cell in cells for layer in cell])
        grid = viewer.canvas.grid
        height, width = viewer.canvas.size
        count = max(sum(layer.visible for layer in maps), 1)
        rows, columns = grid_shape(count, (height, width))
        wanted = {
            "stride": stride,
            "shape": (rows, columns),
            "spacing": _SPACING,
            "enabled": True,
        }
        for name, value in wanted.items():
            if getattr(grid, name) != value:
                setattr(grid, name, value)
        self._zoom(viewer, min(height / rows, width / columns) / max(min(height, width), 1))

    def _zoom(self, viewer: Any, share: float) -> None:
        """Scale the view to a cell: `share` is its size over that of the canvas."""
        if share > 0 and share != self._zoomed:
            viewer.scene.camera.zoom *= share / self._zoomed
            self._zoomed = share

    def _remove_captions(self, viewer: Any, keep: Sequence[Image] = ()) -> None:
        there = {layer.unique_id for layer in keep}
        for layer in [*viewer.layers]:
            of_map = get_metadata(layer, "caption_of")
            if of_map is not None and of_map not in there:
                remove_dependent(viewer, layer)

    def _on_grid(self, _event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is None or self._arranging or self._paused or self._before is None:
            return
        if not viewer.canvas.grid.enabled:
            self._before["enabled"] = False
            self.leave()
            self.left_by_user.emit()

    @contextmanager
    def _own_change(self) -> Iterator[None]:
        before, self._arranging = self._arranging, True
        try:
            yield
        finally:
            self._arranging = before


_cells = PerViewer(ClassCells)


def _caption_of(viewer: Any, layer: Image) -> Points | None:
    for other in viewer.layers:
        if get_metadata(other, "caption_of") == layer.unique_id:
            return other
    return None


def _write(viewer: Any, layer: Image, caption: ClassCaption) -> None:
    """Write the caption of a map: the name of an empty layer, which napari draws in the cell."""
    found = _caption_of(viewer, layer)
    if found is None:
        found = Points(
            ndim=3,
            name=caption.text,
            units=layer.units[-3:],
            axis_labels=MAP_AXES,
            metadata={METADATA_KEY: {"kind": "caption", "caption_of": layer.unique_id}},
        )
        selected = {*viewer.layers.selection}
        viewer.layers.insert(viewer.layers.index(layer), found)
        viewer.layers.selection = selected  # keep the controls of the map
        found.name_overlay.font_size = _FONT_POINTS
        found.name_overlay.visible = True
    elif found.name != caption.text:
        found.name = caption.text
    background = hex_colour(viewer.canvas.background_color)
    found.name_overlay.color = transform_color(readable(caption.colour, background))[0]
