"""Whether a point group holds: in words, as curves, as slices, and side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin.compare import FscPlot, SlicedMap, SlicesView
from napari_ini3d.plugin.viewer import make_text_label, set_tooltip
from napari_ini3d.symmetry import FoundAxis, SymmetryValidation

_MOST_AXES = 12


class ValidationPanel(QWidget):
    """What is said and drawn about a map beside the imposed one.

    Signals
    -------
    side_by_side : bool
        The comparison in the viewer is wanted, or not.
    """

    side_by_side = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.verdict = make_text_label()
        self.numbers = make_text_label()
        self.compare = QPushButton("Side by side")
        self.compare.setCheckable(True)
        self.difference = QCheckBox("with difference map")
        self.plot = FscPlot()
        self.axis = QComboBox()
        self.slices = SlicesView()
        self._axes: tuple[FoundAxis, ...] = ()
        self._lay_out()
        self.compare.clicked.connect(self.side_by_side)
        self.difference.toggled.connect(self._on_difference)
        self.axis.currentIndexChanged.connect(self._on_axis)
        self.clear()

    def clear(self) -> None:
        """Say that nothing was imposed yet."""
        self.verdict.setText("Press Impose: the map is averaged over its point group, and shown "
                             "beside what it was.")  # fmt: skip
        self.numbers.setText("")
        self.plot.clear()
        self.slices.clear()
        self._axes = ()
        self.setEnabled(False)

    def show_validation(self, validation: SymmetryValidation, aligned: FloatArray) -> None:
        """Show how a map (n, n, n) compares with itself imposed."""
        self.setEnabled(True)
        mark = "✓" if validation.holds else "✗"
        self.verdict.setText(f"<b>{mark} {validation.verdict}</b>")
        self.numbers.setText(describe(validation))
        curves = {
            "map with its other copies": validation.copies_fsc,
            "same, were the symmetry true": validation.expected_fsc,
            "before with imposed": validation.fsc,
        }
        self.plot.show_curves(validation.frequency, curves)
        self._offer_axes(validation.axes)
        low, high = float(aligned.min()), float(aligned.max())
        half = (high - low) / 2
        maps = [
            SlicedMap("before", aligned, (low, high)),
            SlicedMap("imposed", validation.imposed, (low, high)),
            SlicedMap("difference", validation.difference, (-half, half)),
        ]
        self.slices.show_maps(maps, self._direction())

    def _offer_axes(self, axes: Sequence[FoundAxis]) -> None:
        self._axes = tuple(axes[:_MOST_AXES])
        with QSignalBlocker(self.axis):
            self.axis.clear()
            for found in self._axes:
                x, y, z = (round(value, 2) + 0.0 for value in found.direction)
                self.axis.addItem(f"{found.order}-fold ({x:g}, {y:g}, {z:g}): {found.score:.2f}")

    def _direction(self) -> Sequence[float]:
        row = self.axis.currentIndex()
        return self._axes[row].direction if 0 <= row < len(self._axes) else (0.0, 0.0, 1.0)

    def _on_axis(self, _: int) -> None:
        self.slices.show_axis(self._direction())

    def _on_difference(self, _: bool) -> None:
        if self.compare.isChecked():
            self.side_by_side.emit(True)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.compare)
        row.addWidget(self.difference)
        row.addStretch(1)
        choice = QHBoxLayout()
        choice.addWidget(QLabel("Slices about"))
        choice.addWidget(self.axis, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.verdict)
        layout.addWidget(self.numbers)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        layout.addLayout(choice)
        layout.addWidget(self.slices, 1)
        set_tooltip(self.compare, "Show the original, the aligned and the imposed map in linked cells at "
            "one level. Press again to go back to what was shown before.")  # fmt: skip
        set_tooltip(self.difference, "One more cell: orange where the map is denser than the imposed one, "
            "blue where it is less dense.")  # fmt: skip
        set_tooltip(self.axis, "Slices through the rotation centre, across and along this axis; the "
            "number is the correlation of the map with itself turned about it.")  # fmt: skip


def describe(validation: SymmetryValidation) -> str:
    """Return the numbers of a validation in one line."""
    worst = min((axis.score for axis in validation.axes), default=float("nan"))
    share = f"{max(validation.agreement, 0):.0%} of what noise allows"
    text = f"Correlation before and after {validation.correlation:.3f} · copies reach {share}"
    return text if np.isnan(worst) else f"{text} · worst axis {worst:.2f}"
