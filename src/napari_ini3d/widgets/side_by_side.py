"""Maps side by side: napari's grid with linked cameras, one level, and axes in every cell.

Layers that have no part in it are hidden, and come back with everything else as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import ReferenceType, WeakKeyDictionary, ref

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io.maps import read_map
from napari_ini3d.io.runs import RunFolder
from napari_ini3d.io.symmetry_files import SymmetryFiles
from napari_ini3d.widgets.axes_layers import (
    hide_parts,
    particle_radius,
    parts_of,
    show_frame,
    show_symmetry_axes,
)
from napari_ini3d.widgets.placement import MapAxes, known
from napari_ini3d.widgets.viewing import (
    centre_camera,
    level_in_sigma,
    remember,
    set_level_in_sigma,
    show_map,
)

if TYPE_CHECKING:
    import napari

LevelLink = Literal["density", "sigma"]

IMPOSED_COLOUR = "#56b4e9"
_DIFFERENCE_COLOURS = {"more": "#e69f00", "less": "#0072b2"}  # in the map than in the imposed one
_DIFFERENCE_LEVEL = 0.4  # of the level of the maps


@dataclass(frozen=True)
class Difference:
    """A map of differences to be shown in a cell of its own.

    Attributes
    ----------
    volume : (n, n, n)
        First map minus second.
    voxel_size : float
        Å.
    """

    volume: Any
    voxel_size: float


@dataclass
class _Before:
    """How a viewer was."""

    order: list[ReferenceType[Layer]]
    visible: list[tuple[ReferenceType[Layer], bool]]
    named: list[tuple[ReferenceType[Layer], bool]]
    grid: dict[str, Any]
    camera: dict[str, Any]


class SideBySide(QObject):
    """What a viewer shows side by side; one for each viewer.

    A layer that comes or a compared one that goes ends it, so that nothing is hidden or mixed up
    behind the user's back.

    Signals
    -------
    changed
        The comparison began or ended.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._before: _Before | None = None
        self._maps: list[ReferenceType[Image]] = []
        self._extra: list[ReferenceType[Layer]] = []
        self._link: LevelLink = "density"
        self._quiet = False

    @classmethod
    def of(cls, viewer: napari.Viewer) -> Self:
        """Return that of a viewer; the same one each time."""
        real: Any = getattr(viewer, "__wrapped__", viewer)
        if real not in _shown:
            _shown[real] = cls(real)
        found: Self = _shown[real]
        return found

    @property
    def active(self) -> bool:
        """True while maps are shown side by side."""
        return self._before is not None

    @property
    def maps(self) -> list[Image]:
        """The maps that are compared, from the left."""
        return [layer for layer in (r() for r in self._maps) if layer is not None]

    def show(
        self,
        maps: Sequence[Image],
        axes: Sequence[MapAxes | None],
        *,
        difference: Difference | None = None,
        link: LevelLink = "density",
    ) -> None:
        """Show maps side by side.

        Parameters
        ----------
        maps : sequence of Image
            Layers of the viewer, from the left.
        axes : sequence of MapAxes or None
            Symmetry axes of each; X, Y and Z are shown in all cells.
        difference : Difference, optional
            Shown in a last cell.
        link : {"density", "sigma"}
            In what the levels of the isosurfaces are kept the same.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        self.leave()
        self._before = _remember(viewer)
        with self._undisturbed():
            cells = [
                [layer, *_draw_axes(viewer, layer, found)]
                for layer, found in zip(maps, axes, strict=True)
            ]
            stride = max(len(cell) for cell in cells)
            _pad(viewer, cells, stride)
            if difference is not None:
                cells.append(_add_difference(viewer, difference, maps[0]))
            self._maps = [ref(layer) for layer in maps]
            self._extra = [ref(x) for cell in cells for x in cell if known(x, "comparison")]
            _arrange(viewer, cells, stride)
        self._tie_levels(link)
        self._listen(viewer)
        self.changed.emit()

    def leave(self) -> None:
        """Show everything as it was before."""
        viewer, before = self._viewer(), self._before
        if viewer is None or before is None:
            return
        self._before = None
        self._untie(viewer)
        with self._undisturbed():
            for layer in self.maps:
                hide_parts(viewer, layer, ("frame", "letters", "axes", "marks"))
            for extra in self._extra:
                layer = extra()
                if layer is not None and layer in viewer.layers:
                    viewer.layers.remove(layer)
            _restore(viewer, before)
        self._maps, self._extra = [], []
        self.changed.emit()

    def _listen(self, viewer: Any) -> None:
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def _tie_levels(self, link: LevelLink) -> None:
        self._link = link
        layers = self.maps
        if not layers:
            return
        for layer in layers:
            layer.rendering = "iso"
        self._pass_on(layers[0])
        for layer in layers:
            layer.events.iso_threshold.connect(self._on_level)

    def _untie(self, viewer: Any) -> None:
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self.maps:
            layer.events.iso_threshold.disconnect(self._on_level)

    def _on_level(self, event: Any) -> None:
        if not self._quiet:
            self._pass_on(event.source)

    def _pass_on(self, source: Image) -> None:
        """Give the level of one map to the others."""
        with self._undisturbed():
            sigma = level_in_sigma(source)
            for layer in self.maps:
                if layer is source:
                    continue
                if self._link == "sigma":
                    set_level_in_sigma(layer, sigma)
                    continue
                layer.contrast_limits_range = source.contrast_limits_range
                layer.contrast_limits = source.contrast_limits
                layer.iso_threshold = source.iso_threshold

    def _on_inserted(self, _event: Any) -> None:
        if not self._quiet:
            self.leave()

    def _on_removed(self, event: Any) -> None:
        gone = event.value
        if not self._quiet and (gone in self.maps or known(gone, "of") is not None):
            self.leave()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


_shown: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def show_symmetry_of_run(viewer: napari.Viewer, run_folder: Path | str) -> None:
    """Show the map of a finished run, aligned, and with its point group imposed, side by side.

    Parameters
    ----------
    viewer : napari viewer
    run_folder : Path or str
        Of a run that has found, or was given, a point group.

    Raises
    ------
    RunFolderError
        If there is no run, or no map with a group imposed.
    MapError
        If a map cannot be read.
    """
    folder = RunFolder.open(Path(run_folder))
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    paths = {
        "": folder.map_path,
        " aligned": files.aligned_path,
        " imposed": files.symmetrised_path,
    }
    if facts is None or not all(path.is_file() for path in paths.values()):
        found = "no symmetry was looked for" if facts is None else str(facts.get("verdict", ""))
        raise RunFolderError(
            f"{folder.path}: no map with a point group imposed ({found}); open the map and use "
            "Detect, Align and Impose in the dock Symmetry"
        )
    group = str(facts["group"])
    layers = []
    for name, path in paths.items():
        map_ = read_map(path)
        colour = IMPOSED_COLOUR if name == " imposed" else "gray"
        title = f"{folder.path.name}{name}" + (f", {group}" if name else "")
        layers.append(
            show_map(
                viewer,
                map_.data,
                map_.voxel_size,
                title,
                key=str(path),
                colormap=colour,
                metadata={"path": str(path)},
            )
        )
    setting = MapAxes.of_setting(group)
    SideBySide.of(viewer).show(layers, [None, setting, setting])


def _draw_axes(viewer: Any, layer: Image, found: MapAxes | None) -> list[Layer]:
    for other in parts_of(viewer, layer):
        viewer.layers.remove(other)
    radius = particle_radius(viewer, layer)
    drawn = show_frame(viewer, layer, radius)
    if found is not None:
        drawn += show_symmetry_axes(viewer, layer, found, radius)
    return drawn


def _pad(viewer: Any, cells: list[list[Layer]], stride: int) -> None:
    """Fill cells up with hidden layers, since napari gives every cell as many layers."""
    taken = {id(layer) for cell in cells for layer in cell}
    spare = [layer for layer in viewer.layers if id(layer) not in taken]
    for cell in cells:
        while len(cell) < stride:
            cell.append(spare.pop() if spare else _empty(viewer))


def _empty(viewer: Any) -> Layer:
    layer = viewer.add_points(ndim=3, name="(empty)", units=("angstrom",) * 3, visible=False)
    remember(layer, comparison=True)
    return layer


def _add_difference(viewer: Any, difference: Difference, like: Image) -> list[Layer]:
    """Show where one map is denser, and where the other is, as two surfaces."""
    shown = []
    level = abs(float(like.iso_threshold)) * _DIFFERENCE_LEVEL
    for sign, (word, colour) in zip((1, -1), _DIFFERENCE_COLOURS.items(), strict=True):
        layer = show_map(
            viewer,
            sign * difference.volume,
            difference.voxel_size,
            f"difference: {word} than imposed",
            colormap=colour,
            metadata={"comparison": True},
        )
        layer.iso_threshold = level
        layer.contrast_limits_range = layer.contrast_limits = (0.0, 3.0 * level)
        layer.affine = like.affine
        shown.append(layer)
    return shown


def _arrange(viewer: Any, cells: Sequence[Sequence[Layer]], stride: int) -> None:
    """Put the cells first in the list, as napari's grid counts, and hide all else."""
    wanted = [layer for cell in cells for layer in cell]
    shown = {id(layer) for layer in wanted}
    padding = {id(layer) for layer in wanted if not _takes_part(layer, cells)}
    for place, layer in enumerate(wanted):
        viewer.layers.move(viewer.layers.index(layer), place)
    for layer in viewer.layers:
        layer.visible = id(layer) in shown and id(layer) not in padding
    for cell in cells:
        cell[0].name_overlay.visible = True
    grid = viewer.canvas.grid
    grid.stride = stride
    grid.shape = grid_shape(len(cells), viewer.canvas.size)
    grid.spacing = 4.0
    grid.enabled = True
    viewer.dims.ndisplay = 3
    viewer.reset_view(reset_camera_angle=False)
    centre_camera(viewer)


def grid_shape(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the grid whose cells are largest.

    Parameters
    ----------
    count : int
        Of cells.
    size : (int, int)
        Height and width of the canvas.
    """
    shapes = [(rows, -(-count // rows)) for rows in range(1, count + 1)]
    return max(shapes, key=lambda shape: min(size[0] / shape[0], size[1] / shape[1]))


def _takes_part(layer: Layer, cells: Sequence[Sequence[Layer]]) -> bool:
    return (
        any(layer is cell[0] for cell in cells)
        or known(layer, "kind") == "axes"
        or bool(known(layer, "comparison") and isinstance(layer, Image))
    )


def _remember(viewer: Any) -> _Before:
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return _Before(
        order=[ref(layer) for layer in viewer.layers],
        visible=[(ref(layer), layer.visible) for layer in viewer.layers],
        named=[(ref(layer), layer.name_overlay.visible) for layer in viewer.layers],
        grid={name: getattr(grid, name) for name in ("stride", "shape", "spacing", "enabled")},
        camera={name: getattr(camera, name) for name in ("zoom", "center")}
        | {"ndisplay": viewer.dims.ndisplay},
    )


def _restore(viewer: Any, before: _Before) -> None:
    for name, value in before.grid.items():
        setattr(viewer.canvas.grid, name, value)
    layers = [layer for layer in (r() for r in before.order) if layer in viewer.layers]
    for place, layer in enumerate(layers):
        viewer.layers.move(viewer.layers.index(layer), place)
    for reference, visible in before.visible:
        layer = reference()
        if layer is not None:
            layer.visible = visible
    for reference, named in before.named:
        layer = reference()
        if layer is not None:
            layer.name_overlay.visible = named
    viewer.dims.ndisplay = before.camera["ndisplay"]
    viewer.scene.camera.zoom = before.camera["zoom"]
    viewer.scene.camera.center = before.camera["center"]
