"""Figure of a scene for print: a picture with scale bar, directions of the axes and a caption."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_ini3d._types import AnyArray, FloatArray
from napari_ini3d.errors import InputError
from napari_ini3d.io import atomic_path

FORMATS = (".png", ".svg")

_DPI = 200
_WIDTH = 6.0  # inches
_BAR = 0.22  # longest length of the scale bar, as a share of the width
_TRIAD = 0.07  # length of the axes, as a share of the width
_LINE = 0.2  # inches
_LETTERS_PER_LINE = 86


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePicture:
    """A picture of a scene, and what it shows.

    Attributes
    ----------
    pixels : (h, w, 3) uint8
    pixel_size : float
        Å.
    axes : (3, 3) float
        Unit vectors of X, Y and Z (rows): to the right, up, and towards the viewer.
    axis_colours : tuple of str
    caption : tuple of str
        Lines of text below the picture.
    in_perspective : bool
        The pixel size is that at the centre of the scene.
    """

    pixels: AnyArray
    pixel_size: float
    axes: FloatArray
    axis_colours: tuple[str, str, str]
    caption: tuple[str, ...] = ()
    in_perspective: bool = False


def save_scene_figure(picture: ScenePicture, path: Path) -> None:
    """Write a figure as PNG or SVG; in SVG, all but the picture itself is text and lines.

    Raises
    ------
    InputError
        If the name has another ending.
    RunFolderError
        If it cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path.name} is no picture; expected a name that ends with {' or '.join(FORMATS)}"
        )
    lines = _wrap(picture.caption)
    height, width = picture.pixels.shape[:2]
    below = _LINE * (len(lines) + 0.5) if lines else 0.0
    above = _WIDTH * height / width
    figure = Figure(figsize=(_WIDTH, above + below), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, below / (above + below), 1.0, above / (above + below)))
    axes.set_axis_off()
    axes.imshow(picture.pixels, interpolation="none", extent=(0, width, height, 0), aspect="auto")
    colour = _readable_colour(picture.pixels)
    _draw_scale_bar(axes, picture, colour)
    _draw_axes(axes, picture)
    for number, line in enumerate(lines):
        place = 1 - (number + 0.75) * _LINE / (above + below) - above / (above + below)
        figure.text(0.02, place, line, fontsize=8, color="black", va="center")
    with (
        atomic_path(path) as temporary,
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ini3d"}),
    ):
        figure.savefig(temporary, dpi=_DPI, facecolor="white")


def scale_bar_length(width: float) -> float:
    """Return the length of a scale bar, 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    width : float
        Of the picture, Å.
    """
    longest = _BAR * width
    power = 10.0 ** math.floor(math.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest))


def _draw_scale_bar(axes: Axes, picture: ScenePicture, colour: str) -> None:
    height, width = picture.pixels.shape[:2]
    length = scale_bar_length(width * picture.pixel_size)
    right, bottom = 0.96 * width, height - 0.04 * width
    left = right - length / picture.pixel_size
    axes.plot((left, right), (bottom, bottom), color=colour, linewidth=3, solid_capstyle="butt",
              gid="scale bar")  # fmt: skip
    above = bottom - 0.015 * width
    if picture.in_perspective:
        text = f"{length:g} Å at the centre"
        axes.text(right, above, text, color=colour, fontsize=9, ha="right", va="bottom")
    else:
        middle = (left + right) / 2
        axes.text(
            middle, above, f"{length:g} Å", color=colour, fontsize=9, ha="center", va="bottom"
        )


def _draw_axes(axes: Axes, picture: ScenePicture) -> None:
    """Draw X, Y and Z in a corner, the one that is furthest away first."""
    height, width = picture.pixels.shape[:2]
    centre = np.array([0.1 * width, height - 0.1 * width])
    for row in np.argsort(picture.axes[:, 2]):
        right, up, _ = picture.axes[row]
        tip = centre + _TRIAD * width * np.array([right, -up])
        colour = picture.axis_colours[row]
        axes.plot(*zip(centre, tip, strict=True), color=colour, linewidth=2)
        x, y = centre + 1.25 * (tip - centre)
        axes.text(x, y, "XYZ"[row], color=colour, fontsize=9, ha="center", va="center",
                  weight="bold")  # fmt: skip


def _readable_colour(pixels: AnyArray) -> str:
    """Return white or black, whichever is seen better on the lower border of a picture."""
    return "white" if float(np.mean(pixels[-max(len(pixels) // 10, 1) :])) < 128 else "black"


def _wrap(lines: tuple[str, ...]) -> list[str]:
    """Break lines that are longer than the figure is wide, at spaces."""
    broken: list[str] = []
    for line in lines:
        broken.append("")
        for word in line.split():
            if broken[-1] and len(broken[-1]) + 1 + len(word) > _LETTERS_PER_LINE:
                broken.append("")
            broken[-1] = f"{broken[-1]} {word}".strip()
    return broken
