"""Opens MRC maps in napari, with their voxel size; napari looks for `get_reader`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_ini3d.io.maps import read_map
from napari_ini3d.layers import LayerData, map_layer

Reader = Callable[[str | Sequence[str]], list[LayerData]]

_ENDINGS = (".mrc", ".map", ".mrc.gz", ".map.gz")


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the function that reads `path`, or None where it is not a map."""
    paths = [path] if isinstance(path, str) else list(path)
    if paths and all(str(p).lower().endswith(_ENDINGS) for p in paths):
        return read_layers
    return None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read one map or several, each as a layer of its own.

    Raises
    ------
    MapError
        If a file is not a cubic map.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [_read_layer(Path(p)) for p in paths]


def _read_layer(path: Path) -> LayerData:
    found = read_map(path)
    return map_layer(found.data, found.voxel_size, path.name.partition(".")[0])
