"""Which run the dock *Convergence* looks at: the viewer's own, or one in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin import METADATA_KEY, read_run_layers
from napari_ini3d.plugin.session.run_view import RunView
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.viewer import add_layers, get_metadata, show_iteration, shown_iteration
from napari_ini3d.runs import IterationSummary, RunFolder


def run_folder_of(layer: Any) -> Path | None:
    """Return the folder of the run whose iterations a layer shows; None for other layers."""
    path = get_metadata(layer, "path")
    return Path(path).absolute() if path and get_metadata(layer, "kind") == "run" else None


def run_folders(layers: Iterable[Any]) -> list[Path]:
    """Return the folders of the runs whose iterations are among the layers, each once."""
    found = (run_folder_of(layer) for layer in layers)
    return list(dict.fromkeys(folder for folder in found if folder is not None))


def read_run(folder: Path) -> RunView:
    """Read what a run has written about itself; there may be nothing yet.

    Raises
    ------
    RunFolderError
        If its record cannot be read.
    """
    run = RunFolder(folder.absolute())
    try:
        summaries = tuple(IterationSummary.from_json(line) for line in run.read_progress())
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"{run.progress_path} cannot be used ({error!r}); expected the file that ini3d of "
            "this version writes; run it again to see its curves"
        ) from error
    return RunView(folder=run.path, summaries=summaries, outcome=run.outcome())


def view_of_session(session: RunSession) -> RunView:
    """Return the run of a viewer, from what is in memory."""
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
    """Return a layer that shows the iterations of a run, a visible one first; or None."""
    layers = [layer for layer in viewer.layers if run_folder_of(layer) == folder]
    return max(layers, key=lambda layer: bool(layer.visible), default=None)


def show_run_iteration(viewer: Any, session: RunSession, folder: Path, iteration: int) -> int:
    """Show an iteration of a run in the viewer; return which one was kept and is shown.

    The viewer's own run is looked back at; others are opened as layers where they are not yet.

    Raises
    ------
    RunFolderError
        If no map has been kept.
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


def newest_or(viewer: Any, layer: Any) -> int | None:
    """Return the iteration at which the slider of a viewer is; None for the newest."""
    shown = shown_iteration(viewer, layer)
    last = int(layer.metadata[METADATA_KEY]["iterations"][-1])
    return None if shown == last else shown


def short_name(folder: Path) -> str:
    """Return the name of a run with that of the folder it is in, by which runs are told apart."""
    return f"{folder.parent.name}/{folder.name}" if folder.parent.name else folder.name
