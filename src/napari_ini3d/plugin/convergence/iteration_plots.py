"""Plots of resolution, map change and other values over the iterations, with a shared cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QTimer

from napari_ini3d._types import FloatArray
from napari_ini3d.fourier import MAP_CRITERION
from napari_ini3d.plugin.convergence.panel import PlotPanel
from napari_ini3d.plugin.session import describe_iteration, phase_spans
from napari_ini3d.plugin.viewer import (
    RESOLUTIONS,
    ChosenTicks,
    PlotStyle,
    fix_plot,
    log_position,
    small_font,
    style_plot,
)
from napari_ini3d.runs import IterationSummary

_CHANGES = tuple(m * 10.0**e for e in range(-5, 2) for m in (1, 2, 5))
_SHADES = {"starts": 0.14, "search": 0.0, "refine": 0.08, "final": 0.22}
_PHASE_LABELS = {"starts": "starts", "search": "search", "refine": "refine", "final": "last"}
_LABEL_WIDTH = 38  # pixels that the name of a phase needs
_LABELLED = 2  # plots of the first row, which show the names of the phases
_HEAD_ROOM, _FOOT_ROOM = 0.2, 0.05  # fractions of an axis; the names are in the head room
_RESIZE_MS = 50
_POINTS_UP_TO = 3  # iterations, drawn as points


@dataclass(frozen=True, slots=True)
class Curve:
    """A value that is plotted over the iterations.

    Attributes
    ----------
    title : str
    values : callable
        Takes a summary; returns one value, or one per class.
    ticks : tuple of float
        Labels of a logarithmic axis; empty for a linear one.
    limits : tuple of float or None
        Of a linear axis; None: from the data.
    """

    title: str
    values: Callable[[IterationSummary], Sequence[float]]
    ticks: tuple[float, ...] = ()
    limits: tuple[float | None, float | None] = (None, None)

    def of_run(self, n_classes: int) -> Curve:
        """Return the curve to plot: with one class, the angular step instead of class shares."""
        return ANGULAR_STEP if self is SHARES and n_classes == 1 else self

    def places(self, summaries: Sequence[IterationSummary]) -> FloatArray:
        """Return the positions on the axis, (classes, iterations); NaN if unknown."""
        rows = [self.values(summary) for summary in summaries]
        count = max(map(len, rows), default=0)
        values = np.full((count, len(rows)), np.nan)
        for column, row in enumerate(rows):
            values[: len(row), column] = [log_position(v) if self.ticks else v for v in row]
        return values

    def range_of(self, places: FloatArray) -> tuple[float, float]:
        """Return the ends of an axis that contains all positions."""
        finite = places[np.isfinite(places)]
        found = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        low, high = (
            own if limit is None else limit for own, limit in zip(found, self.limits, strict=True)
        )
        return low, high if high > low else low + (0.1 if self.ticks else 1.0)


SHARES = Curve("Class shares", lambda s: s.class_shares, limits=(0, 1))
ANGULAR_STEP = Curve("Angular step / °", lambda s: [s.angular_step], limits=(0, None))
CURVES = (
    Curve(f"Resolution / Å, {MAP_CRITERION}", lambda s: s.resolution, ticks=RESOLUTIONS),
    Curve("Map change", lambda s: s.map_change, ticks=_CHANGES),
    Curve("Mean max. prob.", lambda s: [s.mean_max_probability], limits=(0, 1)),
    SHARES,
    Curve("Subset / particles", lambda s: [s.subset_size], limits=(0, None)),
    Curve("Step size", lambda s: [s.step_size], limits=(0, 1)),
)


class ConvergencePlots(PlotPanel):
    """Six plots over the iterations; hover to read values, click to choose an iteration."""

    def __init__(self, style: PlotStyle) -> None:
        super().__init__(style)
        self.graphics.ci.layout.setSpacing(2)
        for column in range(2):
            self.graphics.ci.layout.setColumnStretchFactor(column, 1)
            self.graphics.ci.layout.setColumnPreferredWidth(column, 10)
        self.plots = [self._make_plot(number, curve) for number, curve in enumerate(CURVES)]
        self.lines: list[list[Any]] = [[] for _ in CURVES]
        self._bands: list[list[PhaseBand]] = [[] for _ in CURVES]
        self._resized = QTimer(self)
        self._resized.setSingleShot(True)
        self._resized.setInterval(_RESIZE_MS)
        self._resized.timeout.connect(self._draw_phases)
        self.marks = [_add_line(plot, 2) for plot in self.plots]
        self._cursors = [_add_line(plot, 1) for plot in self.plots]
        self.follow_mouse(self.on_moved, self.on_clicked)
        self.apply_style()

    def apply_style(self) -> None:
        """Colour background, axes and cursors."""
        self.graphics.setBackground(self.plot_style.background)
        for plot, curve in zip(self.plots, CURVES, strict=True):
            style_plot(plot, curve.title, self.plot_style)
        for mark, cursor in zip(self.marks, self._cursors, strict=True):
            mark.setPen(pg.mkPen(self.plot_style.mark, width=2))
            cursor.setPen(pg.mkPen(self.plot_style.faint, width=1))

    def draw(self) -> None:
        """Draw the curves, the phases and the chosen iteration."""
        iterations = np.array([s.iteration for s in self.view.summaries], dtype=float)
        for number, plot in enumerate(self.plots):
            plot.setXRange(
                iterations.min(initial=1) - 0.5, iterations.max(initial=1) + 0.5, padding=0
            )
            self._draw_curve(number, iterations)
        self._draw_phases()
        for mark in self.marks:
            mark.setVisible(self.view.chosen is not None)
            mark.setPos(self.view.chosen or 0)

    def iteration_at(self, scene_position: Any) -> int | None:
        """Return the iteration at a position of the scene; None outside the plots."""
        for plot in self.plots:
            box = plot.getViewBox()
            if box.sceneBoundingRect().contains(scene_position):
                summary = self.view.find(round(box.mapSceneToView(scene_position).x()))
                return None if summary is None else summary.iteration
        return None

    def resizeEvent(self, event: object) -> None:
        """Redraw the names of the phases, which need room."""
        super().resizeEvent(event)
        self._resized.start()

    def _make_plot(self, number: int, curve: Curve) -> Any:
        ticks = {"left": ChosenTicks("left", curve.ticks, log_position)} if curve.ticks else {}
        plot = self.graphics.addPlot(row=number // 2, col=number % 2, axisItems=ticks)
        fix_plot(plot)
        plot.showAxis("bottom", number // 2 == (len(CURVES) - 1) // 2)
        return plot

    def _draw_curve(self, number: int, iterations: FloatArray) -> None:
        curve = CURVES[number].of_run(self.view.n_classes)
        plot, lines = self.plots[number], self.lines[number]
        if plot.titleLabel.text != curve.title:
            plot.setTitle(curve.title)
        plot.titleLabel.setMinimumWidth(0)  # otherwise a long title widens its column
        places = curve.places(self.view.summaries)
        while len(lines) < len(places):
            lines.append(plot.plot([], [], connect="finite", antialias=True))
        while len(lines) > len(places):
            plot.removeItem(lines.pop())
        for k, line in enumerate(lines):
            line.setData(iterations, places[k])
            self._style_line(line, k, len(places))
        low, high = curve.range_of(places)
        head = _HEAD_ROOM if number < _LABELLED else _FOOT_ROOM
        plot.setYRange(low - _FOOT_ROOM * (high - low), high + head * (high - low), padding=0)

    def _style_line(self, line: Any, k: int, count: int) -> None:
        colour = self.plot_style.class_colour(k, count)
        line.setPen(self.plot_style.class_pen(k, count))
        few = len(self.view.summaries) <= _POINTS_UP_TO
        line.setSymbol("o" if few else None)
        line.setSymbolSize(6)
        line.setSymbolBrush(colour)
        line.setSymbolPen(colour)
        alone = self.view.single_class
        line.setOpacity(1.0 if count == 1 or alone in (None, k) else 0.25)

    def _draw_phases(self) -> None:
        spans = phase_spans(self.view.summaries)
        for number, plot in enumerate(self.plots):
            bands = self._bands[number]
            while len(bands) < len(spans):
                bands.append(PhaseBand(plot))
            for band in bands[len(spans) :]:
                band.hide()
            for band, span in zip(bands, spans, strict=False):
                has_room = self._width_of(plot, *span[1:]) > _LABEL_WIDTH
                band.show(*span, self.plot_style, named=number < _LABELLED and has_room)

    @staticmethod
    def _width_of(plot: Any, begin: float, end: float) -> float:
        """Return the distance of two iterations in pixels."""
        box = plot.getViewBox()
        low, high = box.viewRange()[0]
        return float(box.width() * (end - begin) / max(high - low, 1e-9))

    def on_moved(self, scene_position: Any) -> None:
        """Show the cursor at the iteration under the mouse."""
        self._show_cursor(self.iteration_at(scene_position))

    def on_left(self) -> None:
        """Hide the cursor after the mouse has left the plots."""
        self._show_cursor(None)

    def on_clicked(self, event: Any) -> None:
        """Choose the iteration under the mouse."""
        iteration = self.iteration_at(event.scenePos())
        if iteration is not None:
            self.iteration_clicked.emit(iteration)

    def _show_cursor(self, iteration: int | None) -> None:
        summary = None if iteration is None else self.view.find(iteration)
        for cursor in self._cursors:
            cursor.setVisible(summary is not None)
            cursor.setPos(iteration or 0)
        self.hovered.emit("" if summary is None else describe_iteration(summary))


class PhaseBand:
    """A shaded phase in a plot, with its name at the top if there is room."""

    def __init__(self, plot: Any) -> None:
        self.region = pg.LinearRegionItem(movable=False, pen=pg.mkPen(None))
        self.region.setZValue(-20)
        place = {"position": 0.93, "anchors": [(0, 0.5)] * 2}
        self.line = pg.InfiniteLine(pen=pg.mkPen(None), label="", labelOpts=place)
        self.line.label.setFont(small_font())
        for item in (self.region, self.line):
            plot.addItem(item, ignoreBounds=True)

    def show(self, phase: str, begin: float, end: float, style: PlotStyle, *, named: bool) -> None:
        """Show a phase from `begin` to `end`."""
        self.region.setVisible(True)
        self.region.setBrush(style.shade(_SHADES.get(phase, 0.0)))
        self.region.setRegion((begin, end))
        self.line.setVisible(named)
        if named:
            self.line.setValue(begin)
            self.line.label.setColor(style.text)
            self.line.label.setFormat(_PHASE_LABELS.get(phase, phase))

    def hide(self) -> None:
        """Hide the band."""
        self.region.setVisible(False)
        self.line.setVisible(False)


def _add_line(plot: Any, width: float) -> Any:
    line = pg.InfiniteLine(0, angle=90, movable=False, pen=pg.mkPen(width=width))
    line.setVisible(False)
    plot.addItem(line, ignoreBounds=True)
    return line
