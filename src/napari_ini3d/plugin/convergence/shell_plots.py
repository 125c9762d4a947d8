"""FSC and SSNR by Fourier shell: the iterations of one class, or the classes of one iteration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter
from qtpy.QtWidgets import QWidget

from napari_ini3d.plugin.convergence.panel import PlotPanel, write
from napari_ini3d.plugin.viewer import (
    RESOLUTIONS,
    ChosenTicks,
    PlotStyle,
    fix_plot,
    frequency_position,
    log_position,
    small_font,
    style_plot,
)
from napari_ini3d.runs import IterationSummary

MOST_CURVES = 24
"""Largest number of iterations that are drawn."""

_RATIOS = tuple(10.0**e for e in range(-3, 5))
_LEAST_RATIO = 1e-3
_THRESHOLDS = (0.5, 0.143)
_CORRELATIONS = (0, *_THRESHOLDS, 1)
_MIDDLE = Qt.AlignmentFlag.AlignVCenter


class ShellPanel(PlotPanel):
    """FSC and SSNR; hover to read a curve, click to choose its iteration."""

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self.fsc = self._make_plot(0, {"left": ChosenTicks("left", _CORRELATIONS, float)})
        self.ssnr = self._make_plot(1, {"left": ChosenTicks("left", _RATIOS, log_position)})
        self.key = IterationKey(style)
        self.curves: list[tuple[IterationSummary, int, Any]] = []
        self._items: list[tuple[Any, Any]] = []
        self._levels = [pg.InfiniteLine(level, angle=0) for level in _THRESHOLDS]
        for line in self._levels:
            self.fsc.addItem(line, ignoreBounds=True)
        self.fsc.setYRange(-0.1, 1.08, padding=0)
        self.column.addWidget(self.key)
        self.follow_mouse(self.on_moved, self.on_clicked)
        self.apply_style()

    def apply_style(self) -> None:
        """Colour background, axes and levels."""
        self.graphics.setBackground(self.plot_style.background)
        style_plot(self.fsc, "FSC between half-sets", self.plot_style)
        style_plot(self.ssnr, "SSNR", self.plot_style)
        for plot in (self.fsc, self.ssnr):
            plot.setLabel("bottom", "resolution / Å", color=self.plot_style.text, size="8pt")
            plot.getAxis("bottom").setHeight(34)
        for line in self._levels:
            line.setPen(pg.mkPen(self.plot_style.faint, style=Qt.PenStyle.DashLine))
        self.key.set_style(self.plot_style)

    def draw(self) -> None:
        """Draw all iterations of one class, or all classes of the shown iteration."""
        for item, plot in self._items:
            plot.removeItem(item)
        self._items, self.curves = [], []
        shown = self.view.shown
        if shown is None:
            self.key.show_nothing()
            return
        for plot in (self.fsc, self.ssnr):
            plot.setXRange(0, 0.5 / shown.voxel_size, padding=0)
        single = self.view.single_class
        if single is None:
            self._draw_classes(shown)
        else:
            self._draw_iterations(shown, single)

    def curve_at(self, scene_position: Any) -> tuple[IterationSummary, int, int] | None:
        """Return iteration, class and shell of the curve nearest to a position of the scene."""
        for plot in (self.fsc, self.ssnr):
            box = plot.getViewBox()
            if box.sceneBoundingRect().contains(scene_position) and self.curves:
                point = box.mapSceneToView(scene_position)
                return self._nearest(plot is self.fsc, point.x(), point.y())
        return None

    def _make_plot(self, row: int, axes: dict[str, Any]) -> Any:
        ticks = ChosenTicks("bottom", RESOLUTIONS, frequency_position)
        plot = self.graphics.addPlot(row=row, col=0, axisItems={**axes, "bottom": ticks})
        fix_plot(plot)
        return plot

    def _draw_iterations(self, shown: IterationSummary, k: int) -> None:
        summaries = spread([s for s in self.view.summaries if k < len(s.fsc)], MOST_CURVES)
        colours = self.plot_style.iteration_colours(len(summaries))
        for summary, colour in zip(summaries, colours, strict=True):
            self._add(summary, k, pg.mkPen(QColor(*map(int, colour)), width=1))
        if self.view.chosen is not None and k < len(shown.fsc):
            self._add(shown, k, pg.mkPen(self.plot_style.mark, width=3))
        elif summaries:
            self._add(summaries[-1], k, pg.mkPen(QColor(*map(int, colours[-1])), width=3))
        if summaries:
            chosen = None if self.view.chosen is None else shown.iteration
            self.key.show_iterations(summaries[0].iteration, summaries[-1].iteration, chosen)

    def _draw_classes(self, shown: IterationSummary) -> None:
        n = len(shown.fsc)
        for k in range(n):
            self._add(shown, k, self.plot_style.class_pen(k, self.view.n_classes))
        self.key.show_classes(self.view.n_classes, shown.iteration)

    def _add(self, summary: IterationSummary, k: int, pen: Any) -> None:
        x = np.arange(len(summary.fsc[k])) / _width(summary)
        for plot, values in (
            (self.fsc, np.array(summary.fsc[k], float)),
            (self.ssnr, _log_ratios(summary.ssnr[k])),
        ):
            item = pg.PlotCurveItem(x[1:], values[1:], pen=pen, connect="finite", antialias=True)
            plot.addItem(item)
            self._items.append((item, plot))
        self.curves.append((summary, k, pen))

    def _nearest(
        self, is_fsc: bool, frequency: float, height: float
    ) -> tuple[IterationSummary, int, int]:
        first = self.curves[0][0]
        n = len(first.fsc[0])
        shell = int(np.clip(round(frequency * _width(first)), 1, n - 1))

        def distance(entry: tuple[IterationSummary, int, Any]) -> float:
            summary, k, _ = entry
            value = summary.fsc[k][shell] if is_fsc else _log_ratios(summary.ssnr[k])[shell]
            return abs(value - height) if math.isfinite(value) else math.inf

        summary, k, _ = min(reversed(self.curves), key=distance)
        return summary, k, shell

    def on_moved(self, scene_position: Any) -> None:
        """Read the curve under the mouse."""
        found = self.curve_at(scene_position)
        self.hovered.emit("" if found is None else _describe(*found, self.view.n_classes))

    def on_clicked(self, event: Any) -> None:
        """Choose the iteration of the curve under the mouse."""
        found = self.curve_at(event.scenePos())
        if found is not None:
            self.iteration_clicked.emit(found[0].iteration)


class IterationKey(QWidget):
    """Legend: colours of the iterations, or lines of the classes."""

    def __init__(self, style: PlotStyle) -> None:
        super().__init__()
        self._style = style
        self._ends: tuple[int, int] | None = None
        self._marked: int | None = None
        self._n_classes = 0
        self.setFixedHeight(22)
        self.setFont(small_font())

    def sizeHint(self) -> QSize:
        """Return a small width."""
        return QSize(200, 22)

    def set_style(self, style: PlotStyle) -> None:
        """Change the colours."""
        self._style = style
        self.update()

    def show_nothing(self) -> None:
        """Hide the legend."""
        self._ends, self._n_classes = None, 0
        self.update()

    def show_iterations(self, first: int, last: int, marked: int | None) -> None:
        """Show the colours of the first to the last iteration, and the marked one."""
        self._ends, self._marked, self._n_classes = (first, last), marked, 0
        self.update()

    def show_classes(self, n_classes: int, iteration: int) -> None:
        """Show the lines of the classes."""
        self._ends, self._marked, self._n_classes = None, iteration, n_classes
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Paint the legend."""
        painter = QPainter(self)
        painter.setPen(QColor(self._style.text))
        if self._n_classes:
            self._paint_classes(painter)
        elif self._ends is not None:
            self._paint_iterations(painter, *self._ends)
        painter.end()

    def _paint_iterations(self, painter: QPainter, first: int, last: int) -> None:
        box = QRectF(self.rect()).adjusted(8, 0, -8, 0)
        left, right = f"iteration {first} ", f" {last}"
        if self._marked is not None:
            right += f"   thick line: {self._marked}"
        metrics = painter.fontMetrics()
        begin = box.left() + metrics.horizontalAdvance(left)
        end = box.right() - metrics.horizontalAdvance(right)
        write(painter, box, left, _MIDDLE | Qt.AlignmentFlag.AlignLeft)
        write(painter, box, right, _MIDDLE | Qt.AlignmentFlag.AlignRight)
        gradient = QLinearGradient(begin, 0, end, 0)
        colours = self._style.iteration_colours(16)
        for place, colour in zip(np.linspace(0, 1, 16), colours, strict=True):
            gradient.setColorAt(float(place), QColor(*map(int, colour)))
        painter.fillRect(QRectF(begin, box.center().y() - 5, end - begin, 10), gradient)

    def _paint_classes(self, painter: QPainter) -> None:
        x, y = 8.0, self.height() / 2
        metrics = painter.fontMetrics()
        texts = [f"class {k + 1}" for k in range(self._n_classes)]
        for k, text in enumerate(texts):
            painter.setPen(self._style.class_pen(k, self._n_classes))
            painter.drawLine(int(x), int(y), int(x) + 22, int(y))
            painter.setPen(QColor(self._style.text))
            width = metrics.horizontalAdvance(text)
            place = QRectF(x + 26, 0, width + 4, self.height())
            write(painter, place, text, _MIDDLE | Qt.AlignmentFlag.AlignLeft)
            x += width + 40


def spread(summaries: Sequence[IterationSummary], most: int) -> list[IterationSummary]:
    """Return at most `most` evenly spaced summaries, including the first and the last."""
    if len(summaries) <= most:
        return list(summaries)
    places = np.linspace(0, len(summaries) - 1, most).round().astype(int)
    return [summaries[place] for place in places]


def _describe(summary: IterationSummary, k: int, shell: int, n_classes: int) -> str:
    of = f", class {k + 1}" if n_classes > 1 else ""
    return (
        f"{_width(summary) / shell:.1f} Å: FSC {summary.fsc[k][shell]:.2f}, "
        f"SSNR {summary.ssnr[k][shell]:.3g} at iteration {summary.iteration}{of}"
    )


def _width(summary: IterationSummary) -> float:
    """Return the width of the box in Å."""
    return summary.box_size * summary.voxel_size


def _log_ratios(values: Sequence[float]) -> Any:
    """Return the logarithm of ratios; NaN if they are too small."""
    ratios = np.array(values, float)
    return np.log10(ratios, out=np.full(ratios.shape, np.nan), where=ratios >= _LEAST_RATIO)
