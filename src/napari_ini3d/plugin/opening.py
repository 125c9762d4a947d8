"""Opening of files and folders in napari.

Runs that are going on are followed, those that have ended become the run of the window; everything
else is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_ini3d.plugin.layers import LayerData
from napari_ini3d.plugin.reader import (
    Reader,
    get_reader as get_file_reader,
    read_files,
    read_layers,
)
from napari_ini3d.runs import RunFolder, history_iterations, is_locked

_LARGE = {".star": 2_000_000, ".cs": 2_000_000, ".gz": 4_000_000}  # bytes, read in about 0.2 s
_LARGE_MAP = 60_000_000


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the function that opens `path`; napari calls it.

    The folder of a run that is going on is followed, also before it has written maps; one that has
    ended is shown as the run of the window. Everything else is read by `plugin.reader`, in a thread
    if it is large and was dropped into a window.
    """
    folder = _one_folder(path)
    if folder is not None and is_locked(folder):
        return follow_run
    if folder is not None and is_run_with_history(folder):
        return show_ended_run
    reader = get_file_reader(path)
    return read_large if reader is not None and is_large(path) else reader


def read_large(path: str | Sequence[str]) -> list[LayerData]:
    """Read files in a thread, without making a window wait; in a script, read them at once.

    Raises
    ------
    InputError
        If one cannot be used, in a script.
    """
    from napari_ini3d.plugin.viewer import open_in_background

    names = ", ".join(found.name for found in _paths(path))
    if open_in_background(f"Reading {names}", lambda _: read_files(path)):
        return [(None,)]  # type: ignore[list-item]  # for napari: opened, layers come later
    return read_layers(path)


def is_large(path: str | Sequence[str]) -> bool:
    """Tell whether reading files takes long enough to be noticed."""
    return any(
        _size(found) > _LARGE.get(found.suffix.lower(), _LARGE_MAP) for found in _paths(path)
    )


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


def is_run_with_history(folder: Path) -> bool:
    """Tell whether a folder has a run of ini3d with the maps and the values of its iterations."""
    run = RunFolder(folder)
    files = (run.settings_path, run.progress_path)
    return all(found.is_file() for found in files) and bool(history_iterations(run))


def show_ended_run(path: str | Sequence[str]) -> list[LayerData]:
    """Show a run that has ended as that of the window: its iterations, state, log and result.

    In a script, or while another run is in progress in the window, its maps are read as layers.

    Raises
    ------
    InputError
        If its maps cannot be read.
    """
    from napari import current_viewer

    from napari_ini3d.plugin.session import RunSession
    from napari_ini3d.plugin.viewer import is_in_event_loop

    folder, viewer = _one_folder(path), current_viewer()
    if folder is None or viewer is None or not is_in_event_loop():
        return read_layers(path)
    session = RunSession.of(viewer)
    if session.busy:
        return read_layers(path)
    session.reopen(folder)
    return [(None,)]  # type: ignore[list-item]  # for napari: opened, but no layer to add


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(found) for found in ([path] if isinstance(path, str) else path)]


def _size(path: Path) -> int:
    """Return the size of a file that is read whole; 0 for others, and if it is unknown."""
    try:
        return 0 if path.is_dir() or path.suffix.lower() == ".mrcs" else path.stat().st_size
    except OSError:
        return 0


def _one_folder(path: str | Sequence[str]) -> Path | None:
    paths = _paths(path)
    folder = paths[0] if len(paths) == 1 else None
    return folder if folder is not None and folder.is_dir() else None
