"""Commands for ChimeraX that show maps, lines and a view; and the program itself.

Coordinates are (x, y, z) in Å with the rotation centre of the maps at the origin. In an MRC file
written by RELION or here, voxel 0 is at the origin; ``originIndex`` moves the rotation centre,
voxel n // 2, there. A position in ChimeraX is a matrix of three rows and four columns: the columns
are the axes x, y and z, and the origin. A camera looks along its -z axis, with y up.

The syntax is that of ChimeraX's User Guide: the commands *open*, *volume*, *view*, *camera*,
*cofr*, *lighting* and *set*, and the BILD format. A command file is executed in its own folder, so
that paths in it may be relative to it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64, FloatArray, Vector
from napari_ini3d.errors import InputError

_FIELD_OF_VIEW = 30.0  # degrees, the default of ChimeraX
_FAR = 10.0  # distance of a parallel projection, in widths of the view
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ChimeraMap:
    """A map to show.

    Attributes
    ----------
    path : str
        Of the MRC file, absolute, or relative to the command file.
    name : str
    box_size : int
        Voxels per side.
    level : float
        Density.
    colour : str
        Such as ``#56b4e9``.
    colour_below : str
        Of a second surface at minus the level, as a difference has it; empty without one.
    position : (3, 4) float64 or None
        From the map to the scene, Å; None if it was not moved.
    """

    path: str
    name: str
    box_size: int
    level: float
    colour: str
    colour_below: str = ""
    position: Float64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChimeraLines:
    """Lines, such as symmetry axes, in a file of BILD format.

    Attributes
    ----------
    path : str
        Of the file, absolute, or relative to the command file.
    name : str
    """

    path: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChimeraView:
    """A view of a scene.

    Attributes
    ----------
    centre : tuple of float
        Point in the middle of the view, Å.
    direction, up : tuple of float
        Unit vectors: along which the viewer looks, and that which points up on the screen.
    width : float
        Of the view at its centre, Å.
    perspective : float
        Horizontal field of view, degrees; 0 for a parallel projection.
    """

    centre: Vector
    direction: Vector
    up: Vector
    width: float
    perspective: float = 0.0


def format_bild(
    starts: FloatArray, ends: FloatArray, radius: float, colours: FloatArray, comment: str
) -> str:
    """Return lines as cylinders in BILD format.

    Parameters
    ----------
    starts, ends : (N, 3)
        (x, y, z), Å.
    radius : float
        Å.
    colours : (N, 3)
        Red, green and blue from 0 to 1.
    comment : str
        First line.
    """
    lines = [f".comment {' '.join(comment.split())}"]
    for start, end, colour in zip(starts, ends, colours, strict=True):
        lines.append(f".color {' '.join(f'{part:.3f}' for part in colour)}")
        places = " ".join(f"{value:.3f}" for value in (*start, *end))
        lines.append(f".cylinder {places} {radius:.3f}")
    return "".join(f"{line}\n" for line in lines)


def format_chimerax(
    maps: Sequence[ChimeraMap],
    lines: Sequence[ChimeraLines] = (),
    view: ChimeraView | None = None,
    *,
    background: str = "black",
    first: int = 1,
) -> str:
    """Return the commands that show maps, lines and a view in ChimeraX.

    If one of the model numbers is taken there, ChimeraX makes the new model a part of the one that
    has it, and the commands change both.

    Parameters
    ----------
    maps : sequence of ChimeraMap
        They get the model numbers from `first` on.
    lines : sequence of ChimeraLines
        They get the next numbers.
    view : ChimeraView, optional
        Default: everything.
    background : str
        A colour.
    first : int
        Model number. Default: for an empty session.

    Raises
    ------
    InputError
        If a path cannot be quoted.
    """
    commands = [
        f"# written by napari-ini3d for ChimeraX, if none of its models has the number {first} or "
        "a higher one",
        f"set bgColor {background}",
    ]
    for number, shown in enumerate(maps, start=first):
        commands += _map_commands(number, shown)
    for number, drawn in enumerate(lines, start=first + len(maps)):
        commands.append(f"open {_quote(drawn.path)} name {_quote(drawn.name)} id {number}")
    commands.append("lighting soft")
    commands += ["view"] if view is None else _view_commands(view)
    return "".join(f"{command}\n" for command in commands)


def camera_position(view: ChimeraView, distance: float) -> Float64:
    """Return the position (3, 4) of a camera that looks at the centre of a view.

    Parameters
    ----------
    view : ChimeraView
    distance : float
        From the centre, Å.
    """
    z = -_unit(view.direction)
    x = _unit(np.cross(view.up, z))
    return np.column_stack([x, np.cross(z, x), z, np.asarray(view.centre) + distance * z])


def safe_name(text: str) -> str:
    """Return a file name without characters that need quoting, from any text."""
    return _UNSAFE.sub("_", text).strip("._") or "map"


def find_chimerax(preferred: str = "") -> Path | None:
    """Return the program ChimeraX; None if it is not found.

    Parameters
    ----------
    preferred : str
        Path of the program; empty to look for it on the PATH, and where its installers put it.

    Raises
    ------
    InputError
        If there is no program at the preferred path.
    """
    if preferred:
        chosen = Path(preferred).expanduser()
        if chosen.suffix == ".app":  # macOS: the folder of an application
            chosen = chosen / "Contents" / "MacOS" / "ChimeraX"
        if not (chosen.is_file() and os.access(chosen, os.X_OK)):
            raise InputError(
                f"{chosen} is not a program; expected that of ChimeraX; change its path in "
                "napari's Preferences, or leave it empty"
            )
        return chosen
    for name in ("chimerax", "ChimeraX", "chimerax-daily"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    return max(_installed(), key=_version, default=None)


def _installed() -> list[Path]:
    """Return the programs where the installers of ChimeraX put them; the names have versions."""
    if sys.platform == "darwin":
        return [*Path("/Applications").glob("ChimeraX*.app/Contents/MacOS/ChimeraX")]
    if sys.platform == "win32":
        files = Path(os.environ.get("PROGRAMFILES", r"C:\Program Files"))
        return [*files.glob("ChimeraX*/bin/ChimeraX.exe")]
    return [*Path("/usr/libexec").glob("UCSF-ChimeraX*/bin/ChimeraX")]


def _version(program: Path) -> tuple[tuple[int, ...], str]:
    """Return the numbers in a path of ChimeraX, by which 1.10 is newer than 1.9."""
    return tuple(int(digits) for digits in re.findall(r"\d+", str(program))), str(program)


def _map_commands(number: int, shown: ChimeraMap) -> list[str]:
    centre = shown.box_size // 2
    lines = [
        f"open {_quote(shown.path)} name {_quote(shown.name)} id {number}",
        f"volume #{number} originIndex {centre},{centre},{centre} step 1 region all",
        f"volume #{number} style surface level {shown.level:.6g} color {shown.colour}"
        f"{_level_below(shown)} show",
    ]
    if shown.position is not None:
        lines.append(f"view matrix models #{number},{_matrix(shown.position)}")
    return lines


def _level_below(shown: ChimeraMap) -> str:
    if not shown.colour_below:
        return ""
    return f" level {-shown.level:.6g} color {shown.colour_below}"


def _view_commands(view: ChimeraView) -> list[str]:
    pivot = f"cofr {_numbers(view.centre)}"
    if view.perspective > 0:
        half = math.radians(view.perspective) / 2
        near = camera_position(view, view.width / (2 * math.tan(half)))
        return [
            f"camera mono fieldOfView {view.perspective:.4g}",
            pivot,
            f"view matrix camera {_matrix(near)}",
        ]
    # "camera ortho" takes the width that the perspective camera shows at the pivot, for which
    # ChimeraX multiplies its distance by the angle. Then the camera is moved out of the map.
    near = camera_position(view, view.width / math.radians(_FIELD_OF_VIEW))
    far = camera_position(view, _FAR * view.width)
    return [
        f"camera mono fieldOfView {_FIELD_OF_VIEW:g}",
        pivot,
        f"view matrix camera {_matrix(near)}",
        "camera ortho",
        f"view matrix camera {_matrix(far)}",
    ]


def rigid_position(matrix: FloatArray, name: str) -> Float64:
    """Return the position (3, 4) of a map in the scene.

    Parameters
    ----------
    matrix : (4, 4)
        From (x, y, z, 1) of the map to the scene, both in Å.
    name : str
        Of the map, for the error.

    Raises
    ------
    InputError
        If it is not a rotation and a shift, as when the map is sheared, scaled or mirrored.
    """
    rotation = np.asarray(matrix, dtype=np.float64)[:3, :3]
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=_TOLERANCE)
    if not (is_rotation and np.linalg.det(rotation) > 0):
        raise InputError(
            f"{name} is sheared, scaled or mirrored in the window, which ChimeraX does not do with "
            "a map; reset the transform of its layer, or resample the map (Apply in the dock "
            "Symmetry)"
        )
    return np.asarray(matrix, dtype=np.float64)[:3]


def _unit(vector: FloatArray | Vector) -> Float64:
    values = np.asarray(vector, dtype=np.float64)
    return np.asarray(values / np.linalg.norm(values))


def _matrix(position: Float64) -> str:
    return _numbers(position.ravel())


def _numbers(values: Float64 | Sequence[float]) -> str:
    """Return numbers without spaces; one that is rounded to 0 has no sign."""
    return ",".join(f"{0.0 if abs(value) < 5e-7 else value:.6g}" for value in values)


def _quote(text: str) -> str:
    """Return a text as one word of a command."""
    if any(ord(letter) < 32 for letter in text):
        raise InputError(f"{text!r} has a control character, which no command can hold; rename it")
    if re.fullmatch(r"[A-Za-z0-9_./-]+", text):
        return text
    for mark in ('"', "'"):
        if mark not in text and "\\" not in text:
            return f"{mark}{text}{mark}"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
