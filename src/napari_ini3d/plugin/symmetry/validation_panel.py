"""Validation of a point group: verdict, FSC curves, slices and maps side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d._types import FloatArray
from napari_ini3d.plugin.compare import FscPlot, SlicedMap, SlicesView
from napari_ini3d.plugin.symmetry.tasks import CRITERION
from napari_ini3d.plugin.viewer import make_flow, make_labelled, make_text_label, set_tooltip
from napari_ini3d.symmetry import FoundAxis, SymmetryValidation

_MOST_AXES = 12


class ValidationPanel(QWidget):
    """Panel *Validate*: the map before and after a group was imposed.

    Signals
    -------
    side_by_side : bool
        Show the comparison in the viewer, or end it.
    """

    side_by_side = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.verdict = make_text_label()
        self.numbers = make_text_label()
        self.compare = QPushButton("Side by side")
        self.compare.setCheckable(True)
        self.difference = QCheckBox("Difference map")
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
        """Clear the panel, before a group is imposed."""
        self.verdict.setText("Press Impose to average the map over its point group and to compare "
                             "it with the original.")  # fmt: skip
        self.numbers.setText("")
        self.plot.clear()
        self.slices.clear()
        self._axes = ()
        self.setEnabled(False)

    def show_validation(self, validation: SymmetryValidation, aligned: FloatArray) -> None:
        """Show the validation of a group imposed on a map (n, n, n)."""
        self.setEnabled(True)
        mark = "✓" if validation.holds else "✗"
        self.verdict.setText(f"<b>{mark} {validation.verdict}</b>")
        self.numbers.setText(f"{describe(validation)}<br>{CRITERION}")
        curves = {
            "map vs. rotated copies": validation.copies_fsc,
            "expected if symmetric": validation.expected_fsc,
            "map vs. imposed map": validation.fsc,
        }
        self.plot.show_curves(validation.frequency, curves)
        self._offer_axes(validation.axes)
        low, high = float(aligned.min()), float(aligned.max())
        half = (high - low) / 2
        maps = [
            SlicedMap("map", aligned, (low, high)),
            SlicedMap("imposed map", validation.imposed, (low, high)),
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
        self.axis.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.axis.setMinimumContentsLength(6)
        row = make_flow(self.compare, self.difference)
        layout = QVBoxLayout(self)
        layout.addWidget(self.verdict)
        layout.addWidget(self.numbers)
        layout.addLayout(row)
        layout.addWidget(self.plot)
        layout.addWidget(make_labelled("Slices", self.axis))
        layout.addWidget(self.slices)
        layout.addStretch(1)
        set_tooltip(
            self.compare,
            "Show the map on its axes and the imposed map side by side, with linked cameras and "
            "levels, and the map before it was aligned if that is another layer. Click again to "
            "end the comparison.",
        )
        set_tooltip(
            self.difference,
            "Add the difference map: orange where the map is denser than the imposed map, blue "
            "where it is less dense.",
        )
        set_tooltip(
            self.axis,
            "Axis of the slices through the rotation centre. The number is the correlation of the "
            "map with itself rotated about this axis.",
        )


def describe(validation: SymmetryValidation) -> str:
    """Return the numbers of a validation in one line."""
    worst = min((axis.score for axis in validation.axes), default=float("nan"))
    agreement = f"agreement of the rotated copies {max(validation.agreement, 0):.2f}"
    text = f"Correlation of map and imposed map {validation.correlation:.3f} · {agreement}"
    return text if np.isnan(worst) else f"{text} · worst axis {worst:.2f}"
