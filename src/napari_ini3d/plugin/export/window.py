"""Saving and restoring of what a window shows: layers, levels, camera and docks, with a run.

To restore it, the files are read first, which a thread can do; then the layers are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.layers import Image, Layer
from napari.utils.colormaps import AVAILABLE_COLORMAPS
from qtpy.QtCore import QByteArray
from qtpy.QtWidgets import QMainWindow

from napari_ini3d._types import Vector
from napari_ini3d.errors import Ini3dError, InputError
from napari_ini3d.plugin import LayerData
from napari_ini3d.plugin.reader import read_files, read_run_layers
from napari_ini3d.plugin.session import run_folder_of
from napari_ini3d.plugin.viewer import (
    add_layers,
    get_metadata,
    hex_colour,
    is_map_layer,
    level_in_sigma,
    set_level_in_sigma,
    show_iteration,
    shown_iteration,
)
from napari_ini3d.runs import CameraState, LayerState, WindowState

PLUGIN = "napari-ini3d"
ReadLayers = dict[LayerState, list[LayerData] | Ini3dError]
_FOLLOW_MAPS = ("mesh", "axes", "caption", "ctf", "particle mask")  # made again from their layers


def collect_window(viewer: Any, folder: Path) -> tuple[WindowState, list[str]]:
    """Return the state of a window, and the names of layers that have no file to open again.

    Its docks are added by the caller.

    Parameters
    ----------
    viewer : napari viewer
    folder : Path
        Of the run.
    """
    states: dict[tuple[str, int], LayerState] = {}
    left_out, iteration = [], None
    for layer in viewer.layers:
        if get_metadata(layer, "kind") in _FOLLOW_MAPS:
            continue
        path = _path_of(layer, folder)
        if path is None:
            left_out.append(layer.name)
            continue
        class_index = int(get_metadata(layer, "class_index") or 0)
        if (path, class_index) in states and not layer.visible:
            continue  # the newest maps and the iterations of a class are one layer
        if run_folder_of(layer) == folder and layer.visible:
            iteration = shown_iteration(viewer, layer)
        states[path, class_index] = _state_of(layer, path, class_index)
    camera = viewer.scene.camera
    found = CameraState(
        angles=_vector(camera.angles),
        center=_vector(camera.center),
        zoom=float(camera.zoom),
        perspective=float(camera.perspective),
    )
    state = WindowState(layers=tuple(states.values()), camera=found, iteration=iteration)
    return state, left_out


def open_docks(viewer: Any) -> tuple[str, ...]:
    """Return the names of the docks of the plugin that are open, also hidden ones."""
    suffix = f" ({PLUGIN})"
    return tuple(
        name.removesuffix(suffix) for name in viewer.window.dock_widgets if name.endswith(suffix)
    )


def dock_layout(window: QMainWindow | None) -> str | None:
    """Return where the docks of a window are, for its session; None without a window."""
    return None if window is None else bytes(window.saveState().toBase64().data()).decode()


def restore_docks(viewer: Any, names: tuple[str, ...]) -> list[str]:
    """Open docks of the plugin that are not open; return what could not be opened."""
    problems = []
    there = open_docks(viewer)
    for name in names:
        if name in there:
            continue
        try:
            viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        except (KeyError, ValueError) as error:
            problems.append(f"the dock {name} ({error})")
    return problems


def missing_layers(viewer: Any, folder: Path, state: WindowState) -> list[LayerState]:
    """Return the layers of a session that are not in the viewer."""
    return [wanted for wanted in state.layers if _find(viewer, folder, wanted) is None]


def read_missing(
    folder: Path, missing: Sequence[LayerState], step: Callable[[str], None]
) -> ReadLayers:
    """Read the files of layers, or why they cannot be read; for use in a thread.

    Parameters
    ----------
    folder : Path
        Of the run.
    missing : sequence of LayerState
    step : callable
        Takes what is read next; it may raise to cancel.
    """
    found: ReadLayers = {}
    for wanted in missing:
        step(f"Reading {wanted.name}")
        try:
            found[wanted] = _read(folder, wanted)
        except Ini3dError as error:
            found[wanted] = error
    return found


def restore_layout(window: QMainWindow | None, layout: str | None) -> list[str]:
    """Move docks to where they were; return what could not be restored."""
    if window is None or layout is None:
        return []
    if window.restoreState(QByteArray.fromBase64(layout.encode())):
        return []
    return ["the layout of the docks (it is of another version of Qt)"]


def restore_window(viewer: Any, folder: Path, state: WindowState, read: ReadLayers) -> list[str]:
    """Show what was saved, and hide all other layers; return what could not be restored.

    Docks are opened by the caller.

    Parameters
    ----------
    viewer : napari viewer
    folder : Path
        Of the run.
    state : WindowState
    read : mapping
        The layers that were missing, see `read_missing`.
    """
    problems = [*state.problems]
    before = {*viewer.layers}
    restored: list[tuple[Layer, LayerState]] = []
    for wanted in state.layers:
        layer, new = _find(viewer, folder, wanted), read.get(wanted)
        if layer is None and isinstance(new, list):
            layer = add_layers(viewer, new)[0]
        if layer is None:
            problems.append(f"{wanted.name} ({new or 'it was removed meanwhile'})")
        else:
            restored.append((layer, wanted))
    mine = {layer for layer, _ in restored}
    for layer in before - mine:
        layer.visible = False
    for layer, wanted in restored:
        _apply(layer, wanted)
        if state.iteration is not None and run_folder_of(layer) == folder:
            show_iteration(viewer, layer, state.iteration)
    if state.camera is not None:
        viewer.dims.ndisplay = 3
        camera = viewer.scene.camera
        for name in ("angles", "center", "zoom", "perspective"):
            setattr(camera, name, getattr(state.camera, name))
    return problems


def _path_of(layer: Layer, folder: Path) -> str | None:
    """Return the path of a layer's file for the state; None if its values are in no file."""
    path = get_metadata(layer, "path")
    origin = get_metadata(layer, "origin")
    changed = origin is not None and (origin.flipped or not origin.motion.is_identity)
    if not path or changed or get_metadata(layer, "source") is not None:
        return None
    absolute = Path(str(path)).absolute()
    if absolute == folder:
        return "."
    if not absolute.is_file():
        return None
    inside = absolute.is_relative_to(folder)
    return absolute.relative_to(folder).as_posix() if inside else str(absolute)


def _state_of(layer: Any, path: str, class_index: int) -> LayerState:
    return LayerState(
        path=path,
        name=layer.name,
        class_index=class_index,
        colormap=_colormap_of(layer),
        visible=bool(layer.visible),
        opacity=float(layer.opacity),
        sigma=level_in_sigma(layer) if is_map_layer(layer) else None,
    )


def _colormap_of(layer: Any) -> str:
    """Return the name of a colour map, or its brightest colour."""
    name = str(layer.colormap.name)
    if name in AVAILABLE_COLORMAPS:
        return name
    return hex_colour(layer.colormap.colors[-1])


def _find(viewer: Any, folder: Path, wanted: LayerState) -> Layer | None:
    """Return the layer of a file or of a class of the run; None if it is not there."""
    for layer in viewer.layers:
        same_class = int(get_metadata(layer, "class_index") or 0) == wanted.class_index
        is_shown_again = run_folder_of(layer) == folder if wanted.path == "." else True
        if _path_of(layer, folder) == wanted.path and same_class and is_shown_again:
            return layer
    return None


def _read(folder: Path, wanted: LayerState) -> list[LayerData]:
    """Read a file, or a class of the run.

    Raises
    ------
    Ini3dError
        If it cannot be read.
    """
    if wanted.path == ".":
        data = [d for d in read_run_layers(folder) if _class_of(d) == wanted.class_index]
        if not data:
            raise InputError(
                f"the run has no class {wanted.class_index + 1} any more; save the session again"
            )
        return data
    path = folder / wanted.path
    if not path.is_file():
        raise InputError(f"{path} is not there any more; put it back, or save the session again")
    return read_files(str(path))


def _vector(values: Any) -> Vector:
    x, y, z = (float(value) for value in values[-3:])
    return (x, y, z)


def _class_of(data: Any) -> int:
    return int(data[1]["metadata"]["ini3d"].get("class_index", 0))


def _apply(layer: Any, wanted: LayerState) -> None:
    layer.name, layer.opacity = wanted.name, wanted.opacity
    if wanted.colormap in AVAILABLE_COLORMAPS or wanted.colormap.startswith("#"):
        layer.colormap = wanted.colormap
    if wanted.sigma is not None and isinstance(layer, Image) and is_map_layer(layer):
        set_level_in_sigma(layer, wanted.sigma)
    layer.visible = wanted.visible
