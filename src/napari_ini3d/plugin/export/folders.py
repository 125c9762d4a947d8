"""Folder to which a viewer exports by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_ini3d.io import safe_name
from napari_ini3d.plugin.viewer import get_metadata, is_map_layer

_ELSEWHERE = "ini3d-export"  # in the user's home


def export_folder(viewer: Any, kind: str) -> Path:
    """Return a folder for what a viewer shows: in its run, or beside the file of its map.

    It is in the user's home if neither can be written.

    Parameters
    ----------
    viewer : napari viewer
    kind : str
        Name of the folder, such as ``chimerax``.
    """
    paths = [
        Path(str(get_metadata(layer, "path")))
        for layer in viewer.layers
        if layer.visible and is_map_layer(layer) and get_metadata(layer, "path")
    ]
    for path in paths:
        if path.is_dir() and os.access(path, os.W_OK):
            return path / kind
        if path.is_file() and os.access(path.parent, os.W_OK):
            return path.with_name(f"{safe_name(path.stem)}_{kind}")
    return Path.home() / _ELSEWHERE / kind
