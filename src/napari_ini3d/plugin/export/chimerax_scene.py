"""The scene of a viewer for ChimeraX: maps with their levels, axes and the view."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from napari.layers import Image, Layer

from napari_ini3d._types import Float64, FloatArray, Vector
from napari_ini3d.errors import InputError, RunProcessError
from napari_ini3d.io import (
    ChimeraLines,
    ChimeraMap,
    ChimeraView,
    atomic_path,
    detached_options,
    find_chimerax,
    format_bild,
    format_chimerax,
    rigid_position,
    safe_name,
    write_error,
    write_map,
)
from napari_ini3d.plugin import density_scale_of
from napari_ini3d.plugin.compare import DIFFERENCE_COLOURS
from napari_ini3d.plugin.viewer import (
    axes_lines,
    get_metadata,
    hex_colour,
    is_map_layer,
    read_preference,
    scene_from_map,
    shown_volume,
    voxel_size_of,
)

COMMAND_FILE = "open_in_chimerax.cxc"
_FIRST_OF_COPIED = 101  # model number: they may be pasted beside models that are open there


@dataclass(frozen=True, eq=False)
class MapOfScene:
    """A map, with what ChimeraX needs to know of its layer."""

    name: str
    volume: FloatArray
    scale: float
    voxel_size: float
    level: float
    colour: str
    position: Float64 | None
    colour_below: str = ""


@dataclass(frozen=True, eq=False)
class Scene:
    """What a viewer shows; independent of the viewer, so that a thread can write it.

    Attributes
    ----------
    maps : tuple of MapOfScene
        The last may be the difference of two.
    lines : tuple of (str, str)
        Name and BILD text of the axes.
    view : ChimeraView
    """

    maps: tuple[MapOfScene, ...]
    lines: tuple[tuple[str, str], ...]
    view: ChimeraView

    @classmethod
    def of(cls, viewer: Any) -> Self:
        """Return the scene of a viewer.

        Raises
        ------
        InputError
            If no map is shown, or a map cannot be expressed in ChimeraX.
        """
        axes = filter(_are_axes, viewer.layers)
        maps = [_map_of(viewer, layer) for layer in shown_maps(viewer)]
        maps += [_difference_of(layer) for layer in viewer.layers if _is_difference(layer)]
        return cls(
            tuple(maps),
            tuple((layer.name, _bild(viewer, layer)) for layer in axes),
            view_of(viewer),
        )

    def write(self, folder: Path) -> Path:
        """Write maps, axes and a command file to a folder; return the command file.

        The folder is created, files in it are replaced, and paths in the command file are
        relative, so that the folder can be copied to another machine.

        Raises
        ------
        Ini3dError
            If a file cannot be written.
        """
        path = folder / COMMAND_FILE
        text = self._write_files(folder, lambda name: name)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    def commands(self, folder: Path) -> str:
        """Write maps and axes to a folder, and return the commands that open them from anywhere.

        Raises
        ------
        Ini3dError
            If a file cannot be written.
        """
        return self._write_files(
            folder, lambda name: str(folder.absolute() / name), first=_FIRST_OF_COPIED
        )

    def _write_files(self, folder: Path, in_script: Callable[[str], str], *, first: int = 1) -> str:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        names = _different([safe_name(found.name) for found in self.maps])
        maps = []
        for found, name in zip(self.maps, names, strict=True):
            densities = np.asarray(found.volume) / np.float32(found.scale)
            write_map(folder / f"{name}.mrc", densities, found.voxel_size)
            maps.append(
                ChimeraMap(
                    path=in_script(f"{name}.mrc"),
                    name=found.name,
                    box_size=densities.shape[0],
                    level=found.level,
                    colour=found.colour,
                    colour_below=found.colour_below,
                    position=found.position,
                )
            )
        lines = []
        names = _different([safe_name(name) for name, _ in self.lines])
        for (title, text), name in zip(self.lines, names, strict=True):
            with atomic_path(folder / f"{name}.bild") as temporary:
                temporary.write_text(text, encoding="utf-8")
            lines.append(ChimeraLines(path=in_script(f"{name}.bild"), name=title))
        return format_chimerax(maps, lines, self.view, first=first)


def open_in_chimerax(path: Path) -> bool:
    """Open a command file in ChimeraX, which goes on by itself; False if it is not found.

    Raises
    ------
    InputError
        If there is no program at the path in napari's Preferences.
    RunProcessError
        If it cannot be started.
    """
    program = find_chimerax(preferred_program())
    if program is None:
        return False
    try:
        subprocess.Popen(
            [os.fspath(program), os.fspath(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **detached_options(),
        )
    except OSError as error:
        raise RunProcessError(
            f"{program} cannot be started ({error}); check its path in napari's Preferences"
        ) from error
    return True


def preferred_program() -> str:
    """Return the path of ChimeraX from napari's Preferences; empty if there is none."""
    return str(read_preference("programs", "chimerax", ""))


def shown_maps(viewer: Any) -> list[Image]:
    """Return the maps that a viewer shows.

    Raises
    ------
    InputError
        If it shows none.
    """
    found = [layer for layer in viewer.layers if layer.visible and is_map_layer(layer)]
    if not found:
        raise InputError("no map is shown; show one in the layer list, or open one")
    return found


def view_of(viewer: Any) -> ChimeraView:
    """Return the view of the camera of a viewer, in (x, y, z) and Å."""
    camera = viewer.scene.camera
    _, width = viewer.canvas.viewbox_size(viewer.layers)
    return ChimeraView(
        centre=_reversed(camera.center),
        direction=_reversed(camera.view_direction),
        up=_reversed(camera.up_direction),
        width=float(width) / float(camera.zoom),
        perspective=float(camera.perspective),
    )


def _reversed(vector: Sequence[float]) -> Vector:
    """Return a vector (z, y, x) as (x, y, z)."""
    z, y, x = (float(value) for value in vector[-3:])
    return (x, y, z)


def _are_axes(layer: Layer) -> bool:
    return bool(get_metadata(layer, "drawn") is not None and layer.visible)


def _map_of(viewer: Any, layer: Image) -> MapOfScene:
    scale = density_scale_of(layer.metadata)
    return MapOfScene(
        name=layer.name,
        volume=shown_volume(viewer, layer),
        scale=scale,
        voxel_size=abs(voxel_size_of(layer)),
        level=float(layer.iso_threshold) / scale,
        colour=_colour(layer),
        position=_position(layer, layer.data.shape[-1]),
    )


def _is_difference(layer: Layer) -> bool:
    return layer.visible and get_metadata(layer, "difference") is not None


def _difference_of(layer: Layer) -> MapOfScene:
    shown = get_metadata(layer, "difference")
    return MapOfScene(
        name="difference",
        volume=shown.volume,
        scale=shown.scale,
        voxel_size=abs(voxel_size_of(layer)),
        level=shown.level / shown.scale,
        colour=DIFFERENCE_COLOURS[1],
        position=_position(layer, len(shown.volume)),
        colour_below=DIFFERENCE_COLOURS[-1],
    )


def _different(names: Sequence[str]) -> list[str]:
    """Return names with numbers added to those that occur again, also in other case."""
    found: list[str] = []
    for wanted in names:
        name, number = wanted, 1
        while name.lower() in (other.lower() for other in found):
            number += 1
            name = f"{wanted}_{number}"
        found.append(name)
    return found


def _position(layer: Layer, box_size: int) -> Float64 | None:
    """Return where a map is in the scene; None if its centre is at the origin, unrotated."""
    voxel_size = abs(voxel_size_of(layer))
    centre = np.full(3, box_size // 2)
    ends = np.vstack([centre, centre + np.eye(3)[::-1]])  # the centre, and one voxel along x, y, z
    world = _world(layer, ends)  # (4, 3) as x, y, z
    matrix = np.eye(4)
    matrix[:3, :3] = (world[1:] - world[0]).T / voxel_size
    matrix[:3, 3] = world[0]
    position = rigid_position(matrix, layer.name)
    return None if np.allclose(position, np.eye(3, 4), atol=1e-4) else position


def _world(layer: Layer, points: FloatArray) -> FloatArray:
    """Return points (N, 3) of a layer, (z, y, x), in the scene: (x, y, z)."""
    padded = np.zeros((len(points), layer.ndim))
    padded[:, -3:] = points
    scene = np.array([layer.data_to_world(point) for point in padded])
    return scene[:, -3:][:, ::-1]


def _colour(layer: Image) -> str:
    """Return the colour of a map, of the brightest surface, as ``#rrggbb``."""
    return hex_colour(layer.colormap.colors[-1])


def _bild(viewer: Any, layer: Layer) -> str:
    """Return the lines of axes as BILD text, in the scene: (x, y, z), Å."""
    of_map = next(x for x in viewer.layers if x.unique_id == get_metadata(layer, "of"))
    lines = axes_lines(layer, of_map)
    matrix = scene_from_map(of_map, moved=False)[:3][::-1, [2, 1, 0, 3]]  # of (x, y, z, 1)
    size = float(np.linalg.norm(matrix[:, 0]))
    starts, ends = (
        np.array([getattr(line, end) for line in lines]) @ matrix[:, :3].T + matrix[:, 3]
        for end in ("start", "end")
    )
    colours = np.array([line.colour[:3] for line in lines])
    return format_bild(starts, ends, size * lines[-1].width / 2, colours, layer.name)
