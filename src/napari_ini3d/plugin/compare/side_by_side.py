"""Maps side by side: napari's grid with linked cameras, a common level, and axes in every cell.

Other layers are hidden. At the end everything is restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import ReferenceType, ref

from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import read_map
from napari_ini3d.plugin import density_scale_of
from napari_ini3d.plugin.compare.difference import Difference, DifferenceLayer
from napari_ini3d.plugin.compare.grid_view import (
    ViewerState,
    arrange_cells,
    draw_axes,
    restore_viewer_state,
    save_viewer_state,
)
from napari_ini3d.plugin.viewer import (
    LINE_PARTS,
    ClassCells,
    MapAxes,
    PerViewer,
    after_removal,
    get_metadata,
    hide_parts,
    level_in_sigma,
    pad_cells,
    record_axes,
    set_level_in_sigma,
    show_map,
    unwrap_proxy,
    with_mesh,
)
from napari_ini3d.runs import RunFolder, SymmetryFiles

if TYPE_CHECKING:
    import napari

LevelLink = Literal["density", "sigma"]

IMPOSED_COLOUR = "#56b4e9"


class SideBySide(QObject):
    """The comparison of a viewer.

    It ends when a layer is added or a compared map is removed, so that no layer stays hidden
    without the user noticing.

    Signals
    -------
    changed
        The comparison has started or ended.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._before: ViewerState | None = None
        self._maps: list[ReferenceType[Image]] = []
        self._extra: list[ReferenceType[Layer]] = []
        self._difference: DifferenceLayer | None = None
        self._link: LevelLink = "density"
        self._quiet = False

    @classmethod
    def of(cls, viewer: napari.Viewer) -> SideBySide:
        """Return the comparison of a viewer; the same one each time."""
        return _comparisons.of(viewer)

    @property
    def active(self) -> bool:
        """True while maps are shown side by side."""
        return self._before is not None

    @property
    def maps(self) -> list[Image]:
        """The maps, from left to right."""
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
            Layers of the viewer, from left to right.
        axes : sequence of MapAxes or None
            Symmetry axes of each map; X, Y and Z are shown in all cells.
        difference : Difference, optional
            Shown in a last cell.
        link : {"density", "sigma"}
            Unit in which the levels of the isosurfaces are linked.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        self.leave()
        maps = [unwrap_proxy(layer) for layer in maps]
        ClassCells.of(viewer).pause()
        self._before = save_viewer_state(viewer)
        with self._ignore_events():
            cells = [
                [*with_mesh(viewer, layer), *draw_axes(viewer, layer, found)]
                for layer, found in zip(maps, axes, strict=True)
            ]
            if difference is not None:
                self._difference = DifferenceLayer(viewer, difference, maps[0])
                cells.append([self._difference.layer])
            stride = pad_cells(viewer, cells)
            self._maps = [ref(layer) for layer in maps]
            self._extra = [ref(x) for cell in cells for x in cell if get_metadata(x, "comparison")]
            arrange_cells(viewer, cells, stride)
        self._link_levels(link)
        self._listen(viewer)
        self.changed.emit()

    def leave(self) -> None:
        """End the comparison and restore the viewer."""
        viewer, before = self._viewer(), self._before
        if viewer is None or before is None:
            return
        self._before = None
        self._unlink(viewer)
        if self._difference is not None:
            self._difference.tasks.cancel()
        with self._ignore_events():
            for layer in self.maps:
                hide_parts(viewer, layer, LINE_PARTS)
            for extra in self._extra:
                layer = extra()
                if layer is not None and layer in viewer.layers:
                    viewer.layers.remove(layer)
            restore_viewer_state(viewer, before)
        self._maps, self._extra, self._difference = [], [], None
        ClassCells.of(viewer).resume()
        self.changed.emit()

    def _listen(self, viewer: Any) -> None:
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def _link_levels(self, link: LevelLink) -> None:
        self._link = link
        layers = self.maps
        if not layers:
            return
        for layer in layers:
            if layer.depiction == "volume":  # not as a mesh
                layer.rendering = "iso"
        self._copy_level(layers[0])
        for layer in layers:
            layer.events.iso_threshold.connect(self._on_level)

    def _unlink(self, viewer: Any) -> None:
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self.maps:
            layer.events.iso_threshold.disconnect(self._on_level)

    def _on_level(self, event: Any) -> None:
        if not self._quiet:
            self._copy_level(event.source)

    def _copy_level(self, source: Image) -> None:
        """Copy the level of one map to the others."""
        with self._ignore_events():
            sigma = level_in_sigma(source)
            for layer in self.maps:
                if layer is source:
                    continue
                if self._link == "sigma":
                    set_level_in_sigma(layer, sigma)
                    continue
                _copy_density_level(layer, source)
            if self._difference is not None:
                self._difference.follow(self.maps[0])

    def _on_inserted(self, _event: Any) -> None:
        if not self._quiet:
            self.leave()

    def _on_removed(self, event: Any) -> None:
        gone = event.value
        if not self._quiet and (gone in self.maps or get_metadata(gone, "of") is not None):
            after_removal(self._viewer(), self.leave)

    @contextmanager
    def _ignore_events(self) -> Iterator[None]:
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before


_comparisons = PerViewer(SideBySide)


def _copy_density_level(layer: Image, source: Image) -> None:
    """Set the isosurface of a layer to the density of another."""
    factor = density_scale_of(layer.metadata) / density_scale_of(source.metadata)
    layer.contrast_limits_range = [limit * factor for limit in source.contrast_limits_range]
    layer.contrast_limits = [limit * factor for limit in source.contrast_limits]
    layer.iso_threshold = source.iso_threshold * factor


def show_symmetry_of_run(viewer: napari.Viewer, run_folder: Path | str) -> None:
    """Show the map of a finished run, the aligned map and the imposed map side by side.

    Parameters
    ----------
    viewer : napari viewer
    run_folder : Path or str
        Of a run with a point group.

    Raises
    ------
    RunFolderError
        If there is no run, or it has no imposed map.
    MapError
        If a map cannot be read.
    """
    viewer = unwrap_proxy(viewer)
    folder = RunFolder.open(Path(run_folder))
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    paths = {
        "": folder.map_path,
        " aligned": files.aligned_path,
        " imposed": files.symmetrised_path,
    }
    if facts is None or not all(path.is_file() for path in paths.values()):
        found = "no symmetry was searched for" if facts is None else str(facts.get("verdict", ""))
        raise RunFolderError(
            f"{folder.path}: no map with a point group imposed ({found}); open the map and use "
            "Detect, Align and Impose in the dock Symmetry"
        )
    group = str(facts["group"])
    layers: list[Image] = []
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
                scale=density_scale_of(layers[0].metadata) if layers else None,
            )
        )
    aligned = MapAxes.of_setting(group, "detected" if facts.get("holds") else "rejected")
    imposed = MapAxes.of_setting(group, "imposed")
    for layer, axes in zip(layers, (None, aligned, imposed), strict=True):
        record_axes(viewer, layer, axes)
    SideBySide.of(viewer).show(layers, [None, aligned, imposed])
