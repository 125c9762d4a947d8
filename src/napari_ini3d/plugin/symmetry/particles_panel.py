"""Panel *Particles* of the dock *Symmetry*: relax a run, expand and fold a STAR file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.plugin.viewer import make_flow, make_text_label, set_tooltip

_NO_RUN = "The chosen map is not of a run; Relax asks for its folder."


class ParticlesPanel(QWidget):
    """Choice of a point group, and buttons for what can be done to particles with it.

    Parameters
    ----------
    groups : tuple of str
        That are offered; others can be typed.
    """

    def __init__(self, groups: tuple[str, ...]) -> None:
        super().__init__()
        self.group = QComboBox()
        self.group.setEditable(True)
        self.group.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.group.addItems(groups)
        self.run = make_text_label(_NO_RUN)
        self.impose_subgroup = QCheckBox("Impose the subgroup")
        self.relax = QPushButton("Relax a run …")
        self.result = make_text_label()
        self.expand = QPushButton("Expand …")
        self.fold = QPushButton("Fold …")
        self.written = make_text_label()
        self._lay_out()
        self._explain()

    @property
    def chosen_group(self) -> str:
        """The name of the chosen group, as typed."""
        return str(self.group.currentText()).strip()

    def show_run(self, folder: Path | None) -> None:
        """Show which run will be relaxed; None if the map is not of one."""
        self.run.setText(_NO_RUN if folder is None else f"Run: {folder}")

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(QLabel("Point group"))
        top.addWidget(self.group, 1)
        relaxation = QGroupBox("Relax")
        rows = QVBoxLayout(relaxation)
        rows.addWidget(make_text_label("One asymmetric unit for each particle."))
        for widget in (self.run, self.impose_subgroup):
            rows.addWidget(widget)
        rows.addWidget(self.relax, 0, Qt.AlignmentFlag.AlignLeft)
        rows.addWidget(self.result)
        poses = QGroupBox("Equivalent poses")
        column = QVBoxLayout(poses)
        column.addWidget(make_text_label("Of the particles in a STAR file."))
        column.addLayout(make_flow(self.expand, self.fold))
        column.addWidget(self.written)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addLayout(top)
        for box in (relaxation, poses):
            layout.addWidget(box)
        layout.addStretch(1)

    def _explain(self) -> None:
        set_tooltip(
            self.group,
            "Cn, Dn, T, O, I, or I1 to I4, in RELION's convention. Proposed: the group that is "
            "chosen in Detect and align.",
        )
        set_tooltip(
            self.relax,
            "If the group is only a pseudo-symmetry: compare each particle of the finished run in "
            "all asymmetric units, keep the best, and write the map that follows without symmetry, "
            "what differs, and a STAR file. Takes minutes; nothing is written if it is cancelled.",
        )
        set_tooltip(
            self.impose_subgroup,
            "Rotate the map to the axes of the subgroup that is left, and impose it.",
        )
        set_tooltip(
            self.expand,
            "Write each particle once in every asymmetric unit, as RELION's symmetry expansion "
            "does. The particles must be those of a map on the axes of the group: align it first.",
        )
        set_tooltip(
            self.fold,
            "Write the particles with equivalent poses brought into one asymmetric unit. The "
            "particles must be those of a map on the axes of the group: align it first.",
        )
