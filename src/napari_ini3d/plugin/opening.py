"""Opening of files and folders in napari: runs that are going on are followed, others are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_ini3d.plugin.layers import LayerData
from napari_ini3d.plugin.reader import Reader, get_reader as get_file_reader, read_layers
from napari_ini3d.runs import is_locked


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the function that opens `path`; napari calls it.

    The folder of a run that is going on is followed, also before it has written maps; everything
    else is read by `plugin.reader`.
    """
    folder = _one_folder(path)
    if folder is not None and is_locked(folder):
        return follow_run
    return get_file_reader(path)


def follow_run(path: str | Sequence[str]) -> list[LayerData]:
    """Follow the run in a folder in the current window, which shows its maps as they come.

    If a run is in progress in this window, or there is none, the maps that are written are read.

    Raises
    ------
    InputError
        If there are none yet.
    """
    from napari import current_viewer

    from napari_ini3d.plugin.session import RunSession

    folder, viewer = _one_folder(path), current_viewer()
    if folder is None or viewer is None:
        return read_layers(path)
    session = RunSession.of(viewer)
    if session.busy and session.run_folder != folder.absolute():
        return read_layers(path)
    if not session.busy:
        session.follow(folder)
    return [(None,)]  # type: ignore[list-item]  # for napari: opened, but no layer to add


def _one_folder(path: str | Sequence[str]) -> Path | None:
    paths = [path] if isinstance(path, str) else list(path)
    folder = Path(paths[0]) if len(paths) == 1 else None
    return folder if folder is not None and folder.is_dir() else None
