"""Curves of FSC against resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ini3d.particles import FloatArray

# Okabe and Ito's colours, with dashes besides, so that curves are told apart without colour.
_STYLES = (
    ("#56b4e9", Qt.PenStyle.SolidLine),
    ("#e69f00", Qt.PenStyle.DashLine),
    ("#009e73", Qt.PenStyle.DotLine),
)
_GREY = "#7b8490"
_LEVELS = (0.5, 0.143)


class _ResolutionAxis(pg.AxisItem):  # type: ignore[misc]
    """Labels spatial frequency (1/Å) by resolution (Å)."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [f"{1 / value:.1f}" if value > 1e-9 else "∞" for value in values]


class FscPlot(QWidget):
    """FSC curves with a legend; hovering reads them off."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = pg.PlotWidget(axisItems={"bottom": _ResolutionAxis("bottom")})
        self.plot.setBackground(None)
        self.setFixedHeight(210)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setLabel("bottom", "resolution (Å)")
        self.plot.setLabel("left", "FSC")
        self.plot.showGrid(x=True, y=True, alpha=0.15)
        self._legend = self.plot.addLegend(offset=(8, -8), labelTextSize="8pt")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.curves: dict[str, Any] = {}

    def show_curves(self, frequency: FloatArray, curves: dict[str, FloatArray]) -> None:
        """Draw curves (S,) against their frequency (S,), 1/Å, in place of those before."""
        self.clear()
        for (name, values), (colour, style) in zip(curves.items(), _STYLES, strict=False):
            pen = pg.mkPen(colour, width=2, style=style)
            self.curves[name] = self.plot.plot(frequency[1:], values[1:], pen=pen, name=name)
        for level in _LEVELS:
            pen = pg.mkPen(_GREY, style=Qt.PenStyle.DotLine)
            self.plot.addItem(pg.InfiniteLine(level, angle=0, pen=pen))
        self.plot.setXRange(0, float(frequency[-1]), padding=0)
        self.plot.setYRange(-0.1, 1.05, padding=0)

    def clear(self) -> None:
        """Take the curves away."""
        self.plot.clear()
        self._legend.clear()
        self.curves = {}

    def take_theme(self, name: str) -> None:
        """Write axes and legend in a colour that is read in a theme of napari."""
        colour = str(get_theme(name).text.as_hex())
        for side in ("bottom", "left"):
            axis = self.plot.getAxis(side)
            axis.setPen(_GREY)
            axis.setTextPen(colour)
        self._legend.setLabelTextColor(colour)
