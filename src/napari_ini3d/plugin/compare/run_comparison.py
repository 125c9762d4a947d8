"""The maps of two runs or two classes, compared in the dock *Compare maps*."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ini3d.io import read_map
from napari_ini3d.plugin.viewer import open_dock, show_map
from napari_ini3d.runs import RunFolder, choose_class

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

    from napari_ini3d.plugin.compare.dock import CompareWidget


def compare_runs(viewer: napari.Viewer, first: Path, second: Path) -> CompareWidget:
    """Show the maps of two runs, and compare them in the dock *Compare maps*.

    Parameters
    ----------
    viewer : napari viewer
    first, second : Path
        Folders of the runs; the second map is aligned to the first.

    Raises
    ------
    RunFolderError
        If a folder has no run, or the run has no map.
    MapError
        If a map cannot be read.
    """
    layers = [_show_result(viewer, RunFolder.open(folder)) for folder in (first, second)]
    return compare_layers(viewer, *layers)


def compare_layers(viewer: napari.Viewer, first: Image, second: Image) -> CompareWidget:
    """Compare two maps of a viewer in the dock *Compare maps*.

    Parameters
    ----------
    viewer : napari viewer
    first, second : Image
        The second map is aligned to the first.
    """
    widget: CompareWidget = open_dock(viewer, "Compare maps")
    widget.first.choose(first)
    widget.second.choose(second)
    widget.compare.click()
    return widget


def result_path(folder: RunFolder) -> Path:
    """Return the map of a run: the result, or else that of the largest class so far.

    Parameters
    ----------
    folder : RunFolder

    Raises
    ------
    RunFolderError
        If no map has been written yet.
    """
    if folder.map_path.is_file():
        return folder.map_path
    return choose_class(folder, "largest", lambda _: 0.0).map_path


def _show_result(viewer: Any, folder: RunFolder) -> Image:
    path = result_path(folder)
    found = read_map(path, allow_empty=True)
    known = {"path": str(path)}
    name = f"{folder.path.name}, result"
    return show_map(
        viewer, found.data, found.voxel_size, name, key=str(path), metadata=known, scale=None
    )
