"""Panel *Show axes* of the dock *Symmetry*, and axes in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGroupBox, QVBoxLayout

from napari_ini3d.plugin.viewer import (
    FRAME_COLOURS,
    MapAxes,
    difference_colour,
    make_flow,
    make_text_label,
    order_colour,
    set_tooltip,
)
from napari_ini3d.symmetry import FoundAxis, Subunit

_MARKS = {2: "◆", 3: "▲", 4: "■", 5: "⬟", 6: "⬢"}
_MOST_NAMED = 5  # subunits


class AxesPanel(QGroupBox):
    """Choice of the axes to show, with a legend.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("2  Show axes")
        self.frame = QCheckBox("X, Y, Z")
        self.symmetry = QCheckBox("Symmetry axes")
        self.through = QCheckBox("Through the map")
        self.through.setChecked(True)
        self.ideal = QCheckBox("Ideal axes")
        self.subunits = QCheckBox("Subunits by density")
        self.subunits.setChecked(True)
        self.legend = make_text_label()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        boxes = (self.frame, self.symmetry, self.subunits, self.through, self.ideal)
        column = QVBoxLayout(self)
        column.addLayout(make_flow(*boxes))
        column.addWidget(self.legend)
        for box in boxes:
            box.toggled.connect(self._on_toggled)
        set_tooltip(
            self.frame,
            "Show X, Y and Z through the rotation centre of the map, as in RELION's convention for "
            "symmetry axes.",
        )
        set_tooltip(
            self.symmetry,
            "Show the axes that were found in this map by Detect or Align. Solid: the group holds. "
            "Dashed: it does not.",
        )
        set_tooltip(
            self.ideal,
            "Show where the axes of the point group chosen below would be in RELION's convention: "
            "dashed and grey. They say nothing about this map.",
        )
        set_tooltip(
            self.subunits,
            "Of a pseudo-symmetry: show the equivalent places where its copies differ most, with "
            "the difference in density from their mean.",
        )
        set_tooltip(self.through, "Show the axes inside the map, too.")
        self.explain(None, None)

    def explain(self, found: MapAxes | None, ideal: MapAxes | None) -> None:
        """Update the legend: colours and marks, and on which grounds the axes are drawn."""
        letters = [f'<span style="color:{c}"><b>{name}</b></span>' for name, c in
                   FRAME_COLOURS.items()]  # fmt: skip
        orders = sorted({axis.order for axis in found.axes} if found else (), reverse=True)
        marks = [
            f'<span style="color:{order_colour(n)}">{_MARKS.get(n, "⬤")}</span> {n}-fold'
            for n in orders
        ]
        self.symmetry.setEnabled(found is not None)
        self.subunits.setEnabled(found is not None and bool(found.subunits))
        grounds = [
            "No symmetry axes found in this map." if found is None else describe_grounds(found)
        ]
        if found is not None and found.subunits:
            grounds.append(describe_subunits(found.subunits))
        grounds += [] if ideal is None else [describe_grounds(ideal)]
        self.legend.setText("<br>".join(["&nbsp; ".join([*letters, *marks]), *grounds]))

    def withdraw_ideal(self) -> None:
        """Uncheck the ideal axes, without a signal: they were asked for another map."""
        with QSignalBlocker(self.ideal):
            self.ideal.setChecked(False)

    def _on_toggled(self, _: bool) -> None:
        self.changed.emit()


def describe_grounds(axes: MapAxes) -> str:
    """Return on which grounds axes are drawn, as a sentence."""
    return {
        "detected": f"Solid: {axes.group}, found in this map.",
        "rejected": f"Dashed: best fit of {axes.group}, which does not hold.",
        "imposed": f"Solid: {axes.group}, imposed on this map.",
        "ideal": f"Dashed and grey: ideal axes of {axes.group}, not found in this map.",
    }[axes.status]


def describe_subunits(subunits: Sequence[Subunit]) -> str:
    """Return how the densities of the copies differ from their mean, as rich text."""
    shown = [
        f'<span style="color:{difference_colour(one.difference)}">●</span> {one.difference:+.0%}'
        for one in subunits[:_MOST_NAMED]
    ]
    more = " …" if len(subunits) > _MOST_NAMED else ""
    return f"Density of the copies: {'&nbsp; '.join(shown)}{more}"


def describe_axes(axes: Sequence[FoundAxis]) -> str:
    """Return the number of axes of each order as text."""
    counts = Counter(axis.order for axis in axes)
    return "  ".join(f"{counts[n]} × {n}{_MARKS.get(n, '')}" for n in sorted(counts, reverse=True))
