"""The runs that were started before: opened again, resumed, or taken as a start for others."""

from __future__ import annotations

import math
from pathlib import Path

from qtpy.QtCore import QItemSelectionModel, Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin.initial_model.user_config import forget_run, known_runs
from napari_ini3d.plugin.initial_model.validation import is_resumable
from napari_ini3d.runs import RunEntry, RunFolder, read_entry, run_files

COLUMNS = ("Run", "State", "Resolution", "Started", "Particles")


class RunHistory(QWidget):
    """A table of runs, the newest first, and what can be done with those that are chosen.

    Signals
    -------
    open_clicked, clone_clicked, resume_clicked : Path
        The folder of the run whose maps are to be shown, whose settings are to be taken, or that
        is to go on.
    compare_clicked : tuple of Path
        The folders of two runs, the older one first.
    delete_confirmed : Path
        The folder of the run that is to be deleted; the user was asked.
    """

    open_clicked = Signal(object)
    clone_clicked = Signal(object)
    resume_clicked = Signal(object)
    compare_clicked = Signal(object)
    delete_confirmed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.table = QTableWidget(0, len(COLUMNS))
        self.open = QPushButton("Show maps")
        self.clone = QPushButton("Use its settings")
        self.resume = QPushButton("Resume")
        self.compare = QPushButton("Compare")
        self.report = QPushButton("Report")
        self.browse = QPushButton("Open folder")
        self.remove = QPushButton("Remove from list")
        self.delete = QPushButton("Delete …")
        self._entries: list[RunEntry] = []
        self._lay_out()
        self._connect()
        self._on_selection()

    @property
    def chosen(self) -> RunEntry | None:
        """The run that is chosen; None where there are several."""
        entries = self.all_chosen
        return entries[0] if len(entries) == 1 else None

    @property
    def all_chosen(self) -> list[RunEntry]:
        """The runs that are chosen, the newest first."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        return [self._entries[row] for row in sorted(rows)]

    def refresh(self) -> None:
        """Read the list again; runs whose folders are gone are left out."""
        chosen = {entry.folder for entry in self.all_chosen}
        self._entries = []
        for folder in known_runs():
            try:
                self._entries.append(read_entry(folder))
            except RunFolderError:
                continue
        self.table.setRowCount(len(self._entries))
        for row, entry in enumerate(self._entries):
            self._fill(row, entry)
        self.table.resizeColumnsToContents()
        there = [entry.folder for entry in self._entries]
        self.choose(*(chosen.intersection(there) or there[:1]))
        self._on_selection()

    def choose(self, *folders: Path) -> None:
        """Choose runs, and no others."""
        self.table.clearSelection()
        mode = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row, entry in enumerate(self._entries):
            if entry.folder in folders:
                self.table.selectionModel().select(self.table.model().index(row, 0), mode)

    def showEvent(self, event: object) -> None:
        """Look at the folders when the list is seen."""
        self.refresh()
        super().showEvent(event)

    def _fill(self, row: int, entry: RunEntry) -> None:
        resolution = f"{entry.resolution:.1f} Å" if math.isfinite(entry.resolution) else "–"
        started = entry.record.started[:16].replace("T", " ")
        particles = Path(entry.record.particles)
        texts = (
            entry.folder.name,
            f"{entry.outcome} ({entry.iterations})",
            resolution,
            started,
            f"{particles.parent.name}/{particles.name}",
        )
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            item.setToolTip(str(particles if column == len(texts) - 1 else entry.folder))
            self.table.setItem(row, column, item)

    def _on_selection(self) -> None:
        entry = self.chosen
        for button in (self.open, self.clone, self.browse, self.remove, self.delete):
            button.setEnabled(entry is not None)
        self.compare.setEnabled(len(self.all_chosen) == 2)
        self.resume.setEnabled(entry is not None and is_resumable(entry.folder))
        has_report = entry is not None and RunFolder(entry.folder).report_path.is_file()
        self.report.setEnabled(has_report)

    def _on_report(self) -> None:
        if self.chosen is not None:
            path = RunFolder(self.chosen.folder).report_path
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _on_browse(self) -> None:
        if self.chosen is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.chosen.folder)))

    def _on_compare(self) -> None:
        newer, older = (entry.folder for entry in self.all_chosen)
        self.compare_clicked.emit((older, newer))

    def _on_delete(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        question = deletion_question(entry)
        if QMessageBox.question(self, "Delete a run", question, yes | no, no) == yes:
            self.delete_confirmed.emit(entry.folder)

    def _on_remove(self) -> None:
        if self.chosen is not None:
            forget_run(self.chosen.folder)
            self.refresh()

    def _emit(self, signal: object) -> None:
        if self.chosen is not None:
            signal.emit(self.chosen.folder)  # type: ignore[attr-defined]

    def _connect(self) -> None:
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.table.itemDoubleClicked.connect(lambda _: self._emit(self.open_clicked))
        self.open.clicked.connect(lambda: self._emit(self.open_clicked))
        self.clone.clicked.connect(lambda: self._emit(self.clone_clicked))
        self.resume.clicked.connect(lambda: self._emit(self.resume_clicked))
        self.compare.clicked.connect(self._on_compare)
        self.report.clicked.connect(self._on_report)
        self.browse.clicked.connect(self._on_browse)
        self.delete.clicked.connect(self._on_delete)
        self.remove.clicked.connect(self._on_remove)

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.verticalHeader().hide()
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Runs")
        buttons = QGridLayout()
        places = (
            self.open,
            self.clone,
            self.resume,
            self.compare,
            self.report,
            self.browse,
            self.remove,
            self.delete,
        )
        for place, button in enumerate(places):
            buttons.addWidget(button, place // 3, place % 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.table, 1)
        layout.addLayout(buttons)
        self.compare.setToolTip(
            "<p>Lay the maps of two runs upon each other; choose them with Ctrl held down.</p>"
        )
        self.remove.setToolTip("<p>The folder and its files stay.</p>")
        self.delete.setToolTip("<p>Delete the files of the run, after a question.</p>")


def deletion_question(entry: RunEntry) -> str:
    """Return what a user is asked before a run is deleted."""
    files = run_files(RunFolder(entry.folder))
    size = sum(path.stat().st_size for path in files) / 1e6
    lines = [
        f"Delete the run {entry.folder.name}, {len(files)} files of {size:.1f} MB?",
        str(entry.folder),
        "This cannot be undone. Other files in the folder stay.",
    ]
    if entry.outcome == "not ended":
        lines.append("It has not ended: make sure that it does not go on somewhere else.")
    return "\n\n".join(lines)
