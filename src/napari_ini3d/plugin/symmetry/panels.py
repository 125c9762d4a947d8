"""Panels of the dock *Symmetry*: buttons, table and spin boxes."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_ini3d.geometry import PointGroup, RigidTransform
from napari_ini3d.plugin.symmetry.axes_panel import describe_axes
from napari_ini3d.plugin.symmetry.tasks import (
    CRITERION,
    Detected,
    is_by_construction,
    warn_of_imposed,
)
from napari_ini3d.plugin.viewer import (
    make_flow,
    make_labelled,
    make_text_label,
    set_tooltip,
    transform_by_hand,
)
from napari_ini3d.symmetry import GroupCandidate, SymmetryReport

COMMON_GROUPS = ("C2", "C3", "C4", "C5", "C6", "C7", "D2", "D3", "D4", "D5", "D7", "T", "O", "I")
_ROWS = 6
_SHORT = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
_STEP = 0.5  # degrees, Å
_NOT_DETECTED = "Press Detect to find the symmetry of the map."
_COLUMNS = ("Group", "Score", "Holds", "Axes")


class DetectPanel(QGroupBox):
    """Table of the point groups that were tried, and the self-rotation function.

    Signals
    -------
    row_chosen : GroupCandidate
        A group of the table was selected.
    sphere_wanted : int
        The order of the self-rotation function to show; 0 for none.
    """

    row_chosen = Signal(object)
    sphere_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__("1  Detect")
        self.detect = QPushButton("Detect")
        self.verdict = make_text_label(_NOT_DETECTED)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.sphere = QCheckBox("Self-rotation function")
        self.order = QComboBox()
        self.order.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self._candidates: tuple[GroupCandidate, ...] = ()
        self._lay_out()
        self.table.itemSelectionChanged.connect(self._on_row)
        self.sphere.toggled.connect(self._on_sphere)
        self.order.currentIndexChanged.connect(self._on_sphere)
        self.show_report(None)

    @property
    def wanted_order(self) -> int:
        """The order of the self-rotation function to show; 0 for none."""
        chosen = self.order.currentData()
        return int(chosen) if self.sphere.isChecked() and chosen is not None else 0

    def show_report(self, detected: Detected | None) -> None:
        """Show the result of a detection; None clears the panel."""
        report = None if detected is None else detected.report
        self._candidates = () if report is None else report.candidates
        with QSignalBlocker(self.table), QSignalBlocker(self.order), QSignalBlocker(self.sphere):
            self.table.setRowCount(len(self._candidates))
            for row, candidate in enumerate(self._candidates):
                self._fill_row(
                    row, candidate, holds=detected is not None and detected.holds(candidate)
                )
            self.table.clearSelection()
            self.table.setCurrentCell(-1, -1)
            self._offer_orders(report)
        self.table.setVisible(bool(self._candidates))
        self.show_verdict(detected)

    def show_verdict(self, detected: Detected | None) -> None:
        """Show the verdict of a detection; None clears it."""
        self.verdict.setText(_NOT_DETECTED if detected is None else describe_detected(detected))

    def _offer_orders(self, report: SymmetryReport | None) -> None:
        self.order.clear()
        self.sphere.setEnabled(report is not None)
        self.order.setEnabled(report is not None)
        if report is None:
            self.sphere.setChecked(False)
            return
        found = report.self_rotation
        best = found.values.max(axis=1)
        for order, peak in zip(found.orders, best, strict=True):
            self.order.addItem(f"{order}-fold, max. {peak:.2f}", order)
        main = max((a.order for c in self._candidates[:1] for a in c.axes), default=2)
        self.order.setCurrentIndex(max(self.order.findData(main), 0))

    def _fill_row(self, row: int, candidate: GroupCandidate, *, holds: bool) -> None:
        cells = (
            candidate.group,
            f"{candidate.score:.3f}",
            "✓ yes" if holds else "✗ pseudo" if candidate.pseudo is not None else "✗ no",
            describe_axes(candidate.axes),
        )
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            self.table.setItem(row, column, item)

    def _on_row(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._candidates):
            self.row_chosen.emit(self._candidates[row])

    def _on_sphere(self, _: object = None) -> None:
        self.sphere_wanted.emit(self.wanted_order)

    def _lay_out(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(_COLUMNS)
        table.verticalHeader().setVisible(False)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        height = table.verticalHeader().defaultSectionSize()
        table.verticalHeader().setDefaultSectionSize(min(height, 24))
        table.setFixedHeight(24 * _ROWS + 34)
        grid = QGridLayout(self)
        grid.addWidget(self.detect, 0, 0, 1, 2)
        grid.addWidget(table, 1, 0, 1, 2)
        grid.addWidget(self.verdict, 2, 0, 1, 2)
        grid.addLayout(make_flow(self.sphere, self.order), 3, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        set_tooltip(
            self.detect,
            "Search all directions for symmetry axes, and find the largest point group that they "
            "form. The map is not changed.",
        )
        set_tooltip(
            table,
            "Select a row to show the axes of that group in the map, and to align to it. Score: "
            "agreement of the map with its rotated copies, 1 if the group holds. Axes of a "
            "group that does not hold are dashed.",
        )
        set_tooltip(
            self.order,
            "Order of the self-rotation function that is shown, with its largest value (1: a "
            "symmetry axis).",
        )
        set_tooltip(
            self.sphere,
            "Show the self-rotation function on a sphere around the map: bright in the directions "
            "of symmetry axes of this order.",
        )


class AlignPanel(QGroupBox):
    """Controls to align a map to the axes of a group, automatically and by hand.

    Signals
    -------
    adjusted
        A rotation or shift by hand was changed.
    group_changed
    """

    adjusted = Signal()
    group_changed = Signal()

    def __init__(self) -> None:
        super().__init__("3  Align to the axes")
        self.group = QComboBox()
        self.group.setEditable(True)
        self.group.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.group.addItems(COMMON_GROUPS)
        self.group.setCurrentText("D2")
        self.align = QPushButton("Align")
        self.score = make_text_label()
        self.rotations = [self._spin(180.0) for _ in range(3)]
        self.shifts = [self._spin(999.0) for _ in range(3)]
        self.apply_new = QPushButton("Apply to a new layer")
        self.apply_here = QPushButton("Apply in place")
        self.reset = QPushButton("Reset")
        self.undo = QPushButton("Undo")
        self._lay_out()
        self.group.currentTextChanged.connect(lambda _: self.group_changed.emit())

    @property
    def chosen_group(self) -> str:
        """The name of the chosen group, as typed."""
        return str(self.group.currentText()).strip()

    def choose_group(self, group: str) -> None:
        """Choose a group, without a signal."""
        with QSignalBlocker(self.group):
            self.group.setCurrentText(group)

    def by_hand(self, voxel_size: float) -> RigidTransform:
        """Return the motion by hand."""
        degrees = np.array([spin.value() for spin in self.rotations])
        return transform_by_hand(degrees, np.array([s.value() for s in self.shifts]) / voxel_size)

    def clear(self) -> None:
        """Set rotations and shifts to 0, without a signal."""
        for spin in (*self.rotations, *self.shifts):
            with QSignalBlocker(spin):
                spin.setValue(0.0)

    def _spin(self, most: float) -> QDoubleSpinBox:
        spin = QDoubleSpinBox()
        spin.setRange(-most, most)
        spin.setSingleStep(_STEP)
        spin.setDecimals(2)
        spin.setKeyboardTracking(False)
        spin.setMinimumWidth(64)
        spin.valueChanged.connect(self._on_spin)
        return spin

    def _on_spin(self, _: float) -> None:
        self.adjusted.emit()

    def _lay_out(self) -> None:
        self.group.setSizeAdjustPolicy(_SHORT)
        self.group.setMinimumContentsLength(5)
        top = make_flow(make_labelled("Point group", self.group), self.align)
        grid = QGridLayout()  # without a column of labels, which would need a scrollbar
        grid.addWidget(make_text_label("Rotation about X, Y and Z (°)"), 0, 0, 1, 3)
        grid.addWidget(make_text_label("Shift along X, Y and Z (Å)"), 2, 0, 1, 3)
        for column, letter in enumerate("XYZ"):
            grid.addWidget(self.rotations[column], 1, column)
            grid.addWidget(self.shifts[column], 3, column)
            self.rotations[column].setAccessibleName(f"rotation about {letter}, degrees")
            self.shifts[column].setAccessibleName(f"shift along {letter}, ångström")
        buttons = make_flow(self.apply_new, self.apply_here, self.reset, self.undo)
        layout = QVBoxLayout(self)
        for part in (top, grid):
            layout.addLayout(part)
        layout.addWidget(self.score)
        layout.addLayout(buttons)
        self._explain()

    def _explain(self) -> None:
        set_tooltip(self.group, "Cn, Dn, T, O, I, or I1 to I4, in RELION's convention.")
        set_tooltip(
            self.align,
            "Find the rotation and shift that align the map to the axes, and show a preview. The "
            "map is resampled when you press Apply.",
        )
        set_tooltip(
            self.apply_new,
            "Resample the map as shown into a new layer. The original map is interpolated only "
            "once, also after several changes.",
        )
        set_tooltip(self.apply_here, "Resample the map as shown into this layer. Can be undone.")
        set_tooltip(self.reset, "Remove the preview of rotation and shift.")
        set_tooltip(self.undo, "Undo the last change of this layer.")
        for spin in (*self.rotations, *self.shifts):
            set_tooltip(
                spin,
                "Rotate about X, then Y, then Z, then shift, in addition to the result of Align. "
                "The score is updated.",
            )


class FilePanel(QGroupBox):
    """Buttons to impose a group, flip the hand, and save map and particles."""

    def __init__(self) -> None:
        super().__init__("4  Impose, hand, files")
        self.impose = QPushButton("Impose")
        self.flip = QPushButton("Flip hand")
        self.particles = QPushButton("Rotate the particles too …")
        self.save = QPushButton("Save map …")
        QVBoxLayout(self).addLayout(make_flow(self.impose, self.flip, self.particles, self.save))
        set_tooltip(
            self.impose,
            "Impose the point group on the map as shown, in a new layer. Show both side by side, "
            "and validate whether the group holds.",
        )
        set_tooltip(self.flip, "Mirror the map (z to -z). Can be undone.")
        set_tooltip(
            self.particles,
            "Write a STAR file with the angles and shifts of the particles for the map as shown: "
            "flipped, rotated and shifted.",
        )
        set_tooltip(self.save, "Write the map as shown to an MRC file.")


def describe_detected(detected: Detected) -> str:
    """Return the verdict on the symmetry of a map, with its warnings, line by line.

    The resolution to which the group holds is that of the validation.
    """
    report = detected.report
    lines = [f"{detected.verdict}."]
    order = PointGroup.parse(report.group).order
    lines += [
        f"{candidate.verdict}."
        for candidate in report.candidates
        if candidate.pseudo is not None
        and candidate.group != report.group
        and PointGroup.parse(candidate.group).order > order
    ]
    if detected.imposed is not None:
        lines.append(CRITERION)
    if is_by_construction(detected.group, detected.imposed_before):
        lines.append(warn_of_imposed(detected.group))
    if detected.from_halves:
        lines.append("The noise was measured from the half-maps of the run.")
    return "\n".join([*lines, *(f"⚠ {warning}" for warning in report.warnings)])
