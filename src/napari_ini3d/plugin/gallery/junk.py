"""Probability of junk: its histogram, and its mean per micrograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin.viewer import PlotStyle, fix_plot, make_text_label, style_plot
from napari_ini3d.runs import RunParticles

_BINS = 20
_AXIS_HEIGHT = 38  # pixels, with the label
_JUNK = 0.5  # probability above which an image counts as junk in the text
_COLUMNS = ("Micrograph", "Particles", "Junk")


class JunkPanel(QWidget):
    """Histograms of the probability of junk, and a table of micrographs.

    Signals
    -------
    micrograph_chosen : int
        A micrograph was double-clicked.
    """

    micrograph_chosen = Signal(int)

    def __init__(self, style: PlotStyle) -> None:
        super().__init__()
        self.plot_style = style
        self.graphics = pg.GraphicsLayoutWidget()
        self.particles: Any = self.graphics.addPlot(row=0, col=0)
        self.micrographs: Any = self.graphics.addPlot(row=0, col=1)
        self.summary = make_text_label()
        self.table = QTableWidget(0, len(_COLUMNS))
        self._lay_out()
        self.set_style(style)
        self.table.itemDoubleClicked.connect(self._on_double_click)

    def set_style(self, style: PlotStyle) -> None:
        """Change the colours."""
        self.plot_style = style
        self.graphics.setBackground(style.background)
        for plot, title, label in (
            (self.particles, "Particles", "Junk probability"),
            (self.micrographs, "Micrographs", "Mean junk probability"),
        ):
            style_plot(plot, title, style)
            axis = plot.getAxis("bottom")
            axis.setLabel(label, color=style.text)
            axis.setHeight(_AXIS_HEIGHT)
            for item in plot.items:
                if isinstance(item, pg.BarGraphItem):
                    item.setOpts(brush=style.class_colour(0, 1), pen=style.background)

    def show_run(self, run: RunParticles) -> None:
        """Show the particles of a run."""
        junk = run.assignments.junk_probability[run.is_assigned]
        counts, means = run.micrograph_table()
        known = counts > 0
        self._draw(self.particles, junk)
        self._draw(self.micrographs, means[known] if run.micrographs else np.zeros(0))
        self.summary.setText(self._describe(run, junk))
        self._fill(run, counts, means)

    @staticmethod
    def _describe(run: RunParticles, junk: FloatArray) -> str:
        if not len(junk):
            return "No particle has been used yet."
        share = 100 * float(junk.mean(dtype=np.float64))
        text = (
            f"{np.count_nonzero(junk > _JUNK):,} of {len(junk):,} particles are probably junk "
            f"(probability above {100 * _JUNK:.0f} %); the expected share is {share:.1f} %."
        )
        if not run.micrographs:
            text += " The particle file names no micrographs."
        return text

    def _draw(self, plot: Any, values: FloatArray) -> None:
        plot.clear()
        counts, edges = np.histogram(values, _BINS, (0.0, 1.0))
        colour = self.plot_style.class_colour(0, 1)
        bars = pg.BarGraphItem(
            x0=edges[:-1], x1=edges[1:], height=counts, brush=colour, pen=self.plot_style.background
        )
        plot.addItem(bars)
        plot.setXRange(0, 1)
        plot.setYRange(0, max(int(counts.max()), 1))

    def _fill(self, run: RunParticles, counts: Any, means: FloatArray) -> None:
        self.table.setSortingEnabled(False)
        self.table.setRowCount(len(run.micrographs))
        for row, name in enumerate(run.micrographs):
            percent = 100 * float(means[row])
            cells = (name, int(counts[row]), None if np.isnan(percent) else round(percent, 1))
            for column, value in enumerate(cells):
                item = QTableWidgetItem()
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                if value is not None:
                    item.setData(Qt.ItemDataRole.DisplayRole, value)
                item.setData(Qt.ItemDataRole.UserRole, row)
                item.setToolTip(f"{name}; double-click to see its particles")
                self.table.setItem(row, column, item)
        self.table.setSortingEnabled(True)
        self.table.sortItems(_COLUMNS.index("Junk"), Qt.SortOrder.DescendingOrder)

    def _on_double_click(self, item: QTableWidgetItem) -> None:
        self.micrograph_chosen.emit(int(item.data(Qt.ItemDataRole.UserRole)))

    def _lay_out(self) -> None:
        for column, plot in enumerate((self.particles, self.micrographs)):
            fix_plot(plot)
            self.graphics.ci.layout.setColumnStretchFactor(column, 1)
        self.graphics.setMinimumHeight(100)
        self.table.setMinimumHeight(80)
        self.table.setHorizontalHeaderLabels(["Micrograph", "Particles", "Junk (%)"])
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Micrographs")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        layout.addWidget(self.graphics, 1)
        layout.addWidget(self.table, 1)
