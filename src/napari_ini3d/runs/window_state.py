"""State of a window that shows a run: layers, levels, camera and docks, as JSON.

It is kept as `window.json` in the run folder. What cannot be read is left out and named, so that a
file of another version, or one that was edited, restores the rest.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_ini3d._types import Vector
from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.removal import adopt_outputs
from napari_ini3d.runs.storage import explain_os_errors

WINDOW_NAME = "window.json"
_VERSION = 1
_MOST_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerState:
    """A layer.

    Attributes
    ----------
    path : str
        Of the file, relative to the run folder or absolute; ``.`` for the maps of the run.
    class_index : int
        Class of the run, from 0; 0 for a file.
    name, colormap : str
    visible : bool
    opacity : float
        0 to 1.
    sigma : float or None
        Level of a map, standard deviations above its mean; None for images.
    """

    path: str
    name: str
    class_index: int = 0
    colormap: str = "gray"
    visible: bool = True
    opacity: float = 1.0
    sigma: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """A camera, with the units and axes of napari."""

    angles: Vector
    center: Vector
    zoom: float
    perspective: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """What a window shows.

    Attributes
    ----------
    layers : tuple of LayerState
        From bottom to top.
    camera : CameraState or None
    iteration : int or None
        That is shown; None for the newest.
    docks : tuple of str
        Names of the docks that are open.
    layout : str or None
        Where the docks are, which are in front, and their sizes: Qt's state of the main window,
        in base64.
    problems : tuple of str
        What could not be read, in words.
    """

    layers: tuple[LayerState, ...] = ()
    camera: CameraState | None = None
    iteration: int | None = None
    docks: tuple[str, ...] = ()
    layout: str | None = None
    problems: tuple[str, ...] = field(default=(), compare=False)


def write_window_state(folder: RunFolder, state: WindowState) -> Path:
    """Write the state of a window to a run folder, and return the file.

    Raises
    ------
    RunFolderError
        If it cannot be written.
    """
    path = folder.path / WINDOW_NAME
    values = {"version": _VERSION, **asdict(state)}
    del values["problems"]
    with explain_os_errors(path):
        adopt_outputs(folder)
        folder.claim(path)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return path


def read_window_state(folder: RunFolder) -> WindowState:
    """Read the state of a window; parts that cannot be used are left out, see its `problems`.

    Raises
    ------
    RunFolderError
        If there is none, or the file is not one.
    """
    path = folder.path / WINDOW_NAME
    if not path.is_file():
        raise RunFolderError(
            f"{folder.path} has no {WINDOW_NAME}: no session was saved with this run; save one "
            "first"
        )
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(_MOST_BYTES).decode())
        if not isinstance(values, dict) or values.get("version") != _VERSION:
            raise ValueError(f"expected a table with version {_VERSION}")
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{path} cannot be used ({error}); save the session again to replace it"
        ) from error
    return _parse(values)


def _parse(values: dict[str, Any]) -> WindowState:
    problems: list[str] = []

    def parsed(name: str, make: Callable[[Any], Any], value: Any) -> Any:
        try:
            return make(value)
        except KeyError as error:
            problems.append(f"{name} (no {error})")
            return None
        except (ValueError, TypeError) as error:
            problems.append(f"{name} ({error})")
            return None

    listed = values.get("layers", [])
    rows = parsed("the list of layers", _list, listed) or []
    layers = [parsed(f"layer {row}", _layer, value) for row, value in enumerate(rows, start=1)]
    camera = values.get("camera")
    iteration = values.get("iteration")
    docks = parsed("the list of docks", _texts, values.get("docks", []))
    layout = values.get("layout")
    return WindowState(
        layers=tuple(layer for layer in layers if layer is not None),
        camera=None if camera is None else parsed("the camera", _camera, camera),
        iteration=None if iteration is None else parsed("the iteration", _count, iteration),
        docks=docks or (),
        layout=None if layout is None else parsed("the layout of the docks", _base64, layout),
        problems=tuple(problems),
    )


def _layer(values: Any) -> LayerState:
    table = _table(values)
    sigma = table.get("sigma")
    return LayerState(
        path=_text(table["path"]),
        name=_text(table["name"]),
        class_index=_count(table.get("class_index", 0)),
        colormap=_text(table.get("colormap", "gray")),
        visible=_truth(table.get("visible", True)),
        opacity=_number(table.get("opacity", 1.0), 0.0, 1.0),
        sigma=None if sigma is None else _number(sigma),
    )


def _camera(values: Any) -> CameraState:
    table = _table(values)
    return CameraState(
        angles=_vector(table["angles"]),
        center=_vector(table["center"]),
        zoom=_number(table["zoom"], 1e-6, 1e6),
        perspective=_number(table.get("perspective", 0.0), 0.0, 179.0),
    )


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, found {value!r:.40}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, found {value!r:.40}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, found {value!r:.40}")
    return value


def _base64(value: Any) -> str:
    text = _text(value)
    base64.b64decode(text, validate=True)
    return text


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(text) for text in _list(value))


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {value!r:.40}")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a count, found {value!r:.40}")
    return value


def _number(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond the range of floats
            number = float(value)
    if not math.isfinite(number) or not low <= number <= high:
        raise ValueError(f"expected a number from {low:g} to {high:g}, found {value!r:.40}")
    return number


def _vector(value: Any) -> Vector:
    x, y, z = (_number(part) for part in _list(value))
    return (x, y, z)
