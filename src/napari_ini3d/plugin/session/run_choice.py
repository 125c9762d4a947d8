"""The run of a window, and runs that a dock can show: that of the viewer, or one in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin import METADATA_KEY, read_map_layer, read_run_layers
from napari_ini3d.plugin.session.run_view import RunView
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.viewer import (
    add_layers,
    get_metadata,
    is_map_layer,
    is_map_of_file,
    show_iteration,
    shown_iteration,
)
from napari_ini3d.runs import RunFolder, read_summaries


def run_folder_of(layer: Any) -> Path | None:
    """Return the folder of the run that a layer shows; None for other layers."""
    path = get_metadata(layer, "path")
    return Path(path).absolute() if path and get_metadata(layer, "kind") == "run" else None


def run_folders(layers: Iterable[Any]) -> list[Path]:
    """Return the folders of the runs among the layers, without duplicates."""
    found = (run_folder_of(layer) for layer in layers)
    return list(dict.fromkeys(folder for folder in found if folder is not None))


def run_of_window(viewer: Any) -> Path | None:
    """Return the folder of the run that a viewer shows, or of its session; None if there is none.

    The first visible layer of a run decides.
    """
    shown = [run_folder_of(layer) for layer in viewer.layers if layer.visible]
    found = next((folder for folder in shown if folder is not None), None)
    return found if found is not None else RunSession.of(viewer).run_folder


def read_run(folder: Path) -> RunView:
    """Read the progress of a run; it may be empty.

    Raises
    ------
    RunFolderError
        If its record cannot be read.
    """
    run = RunFolder(folder.absolute())
    try:
        summaries = tuple(read_summaries(run))
    except OSError as error:
        raise RunFolderError(
            f"{run.progress_path} cannot be used ({error!r}); expected a file of this version of "
            "ini3d; run it again to see its curves"
        ) from error
    return RunView(folder=run.path, summaries=summaries, outcome=run.outcome())


def view_of_session(session: RunSession) -> RunView:
    """Return the run of a viewer, from memory."""
    folder = session.run_folder
    outcome = None if folder is None or session.busy else RunFolder(folder).outcome()
    return RunView(
        folder=folder,
        summaries=tuple(session.summaries),
        state=session.state,
        outcome=outcome,
        error=session.error,
    )


def layer_of_run(viewer: Any, folder: Path) -> Any:
    """Return a layer with the iterations of a run, preferably visible; None if there is none."""
    layers = [layer for layer in viewer.layers if run_folder_of(layer) == folder]
    return max(layers, key=lambda layer: bool(layer.visible), default=None)


def show_run_iteration(viewer: Any, session: RunSession, folder: Path, iteration: int) -> int:
    """Show an iteration of a run in the viewer, or the last one before it that has a map.

    A run that is not that of the viewer is opened as layers.

    Returns
    -------
    int
        The iteration that is shown.

    Raises
    ------
    RunFolderError
        If the run has no maps.
    MapError
        If a map cannot be read.
    """
    if folder == session.run_folder:
        return session.layers.show_iteration(iteration)
    layer = layer_of_run(viewer, folder)
    if layer is None:
        added = add_layers(viewer, read_run_layers(folder))
        layer = added[0]
    return show_iteration(viewer, layer, iteration)


def show_result(viewer: Any, folder: Path) -> None:
    """Show the map that is the result of a run, and no other map.

    Raises
    ------
    MapError
        If it cannot be read.
    """
    path = RunFolder(folder).map_path
    own = [layer for layer in viewer.layers if is_result(layer, path)]
    shown = own[0] if own else add_layers(viewer, [read_map_layer(path)])[0]
    for layer in viewer.layers:
        if is_map_layer(layer):
            layer.visible = layer is shown
    viewer.layers.selection.active = shown


def is_result(layer: Any, path: Path) -> bool:
    """Tell whether a layer shows the map of a file, as it was read."""
    found = str(get_metadata(layer, "path") or "")
    is_own = get_metadata(layer, "kind") == "map" and is_map_of_file(layer)
    return bool(found) and is_own and Path(found).absolute() == path.absolute()


def iteration_on_slider(viewer: Any, layer: Any) -> int | None:
    """Return the iteration on the slider of a viewer; None for the newest."""
    shown = shown_iteration(viewer, layer)
    last = int(layer.metadata[METADATA_KEY]["iterations"][-1])
    return None if shown == last else shown


def short_name(folder: Path) -> str:
    """Return the name of a run with that of its parent folder, as in ``Class3D/job012``."""
    return f"{folder.parent.name}/{folder.name}" if folder.parent.name else folder.name
