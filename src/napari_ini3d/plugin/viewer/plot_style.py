"""Style of the plots: colours and axes for napari's dark and light themes.

Classes and iterations differ in lightness and dashes as well as in hue, so that the colour-blind
can read the plots.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QFont

from napari_ini3d.plugin import CLASS_COLOURS

FONT_POINTS = 8
RESOLUTIONS = (2, 2.5, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 100, 200)
"""Possible labels of an axis of resolution, Å."""

_LEAST_CONTRAST = 3.0  # of lines to their background, by WCAG 2.1 for graphics
_TICK_PIXELS = {"left": 14, "bottom": 28}  # between labels
_EDGE = 0.4
_DASHES = (
    Qt.PenStyle.SolidLine,
    Qt.PenStyle.DashLine,
    Qt.PenStyle.DotLine,
    Qt.PenStyle.DashDotLine,
)
_ITERATION_RANGE = {True: (0.3, 1.0), False: (0.85, 0.0)}  # of viridis, first to last


@dataclass(frozen=True, slots=True)
class PlotStyle:
    """Colours as ``#rrggbb``."""

    background: str
    text: str
    dark: bool

    @classmethod
    def of_theme(cls, name: str) -> Self:
        """Return the style for a theme of napari."""
        theme = get_theme(name)
        background, text = (QColor(c.as_hex(format="long")) for c in (theme.background, theme.text))
        dark = _luminance(background) < _luminance(text)
        return cls(background.name(), text.name(), dark)

    @property
    def faint(self) -> str:
        """The colour of axes: between text and background."""
        return _mix(self.text, self.background, 0.4)

    @property
    def mark(self) -> str:
        """The colour of the chosen iteration."""
        return readable("#e69f00", self.background)

    def shade(self, share: float) -> QColor:
        """Return the colour of a shaded band, 0 to 1."""
        colour = QColor(self.text)
        colour.setAlphaF(share)
        return colour

    def class_colour(self, class_index: int, n_classes: int) -> str:
        """Return the colour of a class: that of its layer, adjusted for contrast."""
        if n_classes == 1:
            return readable(CLASS_COLOURS[0], self.background)
        return readable(CLASS_COLOURS[class_index % len(CLASS_COLOURS)], self.background)

    def class_pen(self, class_index: int, n_classes: int, width: float = 2.0) -> Any:
        """Return the pen of a class, with its colour and dashes."""
        style = _DASHES[class_index % len(_DASHES)]
        return pg.mkPen(self.class_colour(class_index, n_classes), width=width, style=style)

    def iteration_colours(self, n: int) -> npt.NDArray[np.uint8]:
        """Return colours (n, 3) of iterations; the last ones have the highest contrast."""
        first, last = _ITERATION_RANGE[self.dark]
        places = np.linspace(first, last, n) if n > 1 else np.array([last])
        colours = pg.colormap.get("viridis").map(places, mode="byte")
        return np.asarray(colours[:, :3], dtype=np.uint8)


def readable(colour: str, background: str) -> str:
    """Lighten or darken a colour until its contrast to a background is sufficient."""
    towards = "#ffffff" if _luminance(QColor(background)) < 0.2 else "#000000"
    for share in np.linspace(0, 1, 21):
        mixed = _mix(colour, towards, float(share))
        if contrast(mixed, background) >= _LEAST_CONTRAST:
            return mixed
    return towards


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours by WCAG 2.1, 1 to 21."""
    low, high = sorted(_luminance(QColor(colour)) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def small_font() -> QFont:
    """Return the font of labels in plots."""
    font = QFont()
    font.setPointSize(FONT_POINTS)
    return font


class ChosenTicks(pg.AxisItem):
    """An axis with chosen labels, for transformed data.

    Parameters
    ----------
    orientation : str
        As for `pyqtgraph.AxisItem`.
    values : sequence of float
        Possible labels.
    transform : callable
        From a value to its position on the axis.
    """

    def __init__(
        self, orientation: str, values: Sequence[float], transform: Callable[[float], float]
    ) -> None:
        super().__init__(orientation)
        self.enableAutoSIPrefix(False)
        self._places = [(transform(value), f"{value:g}") for value in values]

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """Return the positions of the labels, with enough distance between them."""
        pixels = _TICK_PIXELS[self.orientation]
        least = (high - low) * pixels / max(size, pixels)
        edge = least * _EDGE  # pyqtgraph draws no labels there
        kept: list[float] = []
        for place, _ in sorted(self._places):
            if low + edge <= place <= high - edge and (not kept or place - kept[-1] >= least):
                kept.append(place)
        return [(1.0, kept)]

    def tickStrings(self, values: Sequence[float], _scale: float, _spacing: float) -> list[str]:
        """Return the labels at some positions."""
        labels = dict(self._places)
        return [labels.get(value, "") for value in values]


def log_position(value: float) -> float:
    """Return the position of a value on a logarithmic axis."""
    return math.log10(value) if value > 0 else math.nan


def frequency_position(resolution: float) -> float:
    """Return the position of a resolution (Å) on an axis of spatial frequency (1/Å)."""
    return 1 / resolution


def style_plot(plot: Any, title: str, style: PlotStyle) -> None:
    """Set title, axes and fonts of a pyqtgraph plot."""
    plot.setTitle(title, size=f"{FONT_POINTS}pt", color=style.text, justify="left")
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(style.faint)
        axis.setTextPen(style.text)
        axis.setStyle(tickFont=small_font(), tickLength=-4, tickTextOffset=2)
    plot.getAxis("left").setWidth(34)
    plot.getAxis("bottom").setHeight(18)


def fix_plot(plot: Any) -> None:
    """Disable zoom and menus of a plot, because clicks choose iterations."""
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    plot.setMenuEnabled(False)
    plot.showGrid(x=False, y=True, alpha=0.15)


def _mix(first: str, second: str, share: float) -> str:
    """Return a mixture of two colours."""
    a, b = QColor(first), QColor(second)
    mixed = (
        round((1 - share) * x + share * y)
        for x, y in zip(a.getRgb()[:3], b.getRgb()[:3], strict=True)
    )
    return str(QColor(*mixed).name())


def _luminance(colour: QColor) -> float:
    """Return the relative luminance of sRGB by WCAG 2.1."""
    values = np.array(colour.getRgbF()[:3])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
