"""FSC curves against resolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin.viewer import RESOLUTIONS, ChosenTicks, PlotStyle, readable, small_font

# Okabe and Ito's colours, and dashes, so that curves differ without colour.
_STYLES = (
    ("#56b4e9", Qt.PenStyle.SolidLine),
    ("#e69f00", Qt.PenStyle.DashLine),
    ("#009e73", Qt.PenStyle.DotLine),
)
_LEVELS = (0.5, 0.143)
_HEIGHT = 215


class FscPlot(QWidget):
    """FSC curves with a legend, in the colours of napari's theme."""

    def __init__(self) -> None:
        super().__init__()
        ticks = ChosenTicks("bottom", RESOLUTIONS, lambda resolution: 1 / resolution)
        self.plot = pg.PlotWidget(axisItems={"bottom": ticks})
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setLabel("bottom", "resolution (Å)")
        self.plot.setLabel("left", "FSC")
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setYRange(-0.1, 1.05, padding=0)
        self.setFixedHeight(_HEIGHT)
        self._legend = self.plot.addLegend(offset=(8, -8), labelTextSize="8pt")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.curves: dict[str, Any] = {}
        self._style: PlotStyle | None = None
        self._shown: tuple[FloatArray, dict[str, FloatArray]] | None = None

    def show_curves(self, frequency: FloatArray, curves: Mapping[str, FloatArray]) -> None:
        """Draw curves (S,) against frequency (S,), 1/Å, in place of the previous ones."""
        self.clear()
        self._shown = (frequency, dict(curves))
        for (name, values), (colour, dashes) in zip(curves.items(), _STYLES, strict=False):
            pen = pg.mkPen(self._readable(colour), width=2, style=dashes)
            self.curves[name] = self.plot.plot(frequency[1:], values[1:], pen=pen, name=name)
        for level in _LEVELS:
            pen = pg.mkPen(self._style.faint if self._style else "#7b8490")
            self.plot.addItem(pg.InfiniteLine(level, angle=0, pen=pen))
        self.plot.setXRange(0, float(frequency[-1]), padding=0)
        self.plot.setYRange(-0.1, 1.05, padding=0)

    def clear(self) -> None:
        """Remove the curves."""
        self.plot.clear()
        self._legend.clear()
        self.curves, self._shown = {}, None

    def apply_theme(self, name: str) -> None:
        """Use the colours of a theme of napari."""
        self._style = style = PlotStyle.of_theme(name)
        self.plot.setBackground(style.background)
        for side in ("bottom", "left"):
            axis = self.plot.getAxis(side)
            axis.setPen(style.faint)
            axis.setTextPen(style.text)
            axis.setStyle(tickFont=small_font())
        self._legend.setLabelTextColor(style.text)
        if self._shown is not None:
            self.show_curves(*self._shown)

    def _readable(self, colour: str) -> str:
        return colour if self._style is None else readable(colour, self._style.background)
