"""List of earlier runs: show, resume, compare, reuse settings, or delete."""

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
from napari_ini3d.runs import KILLED, RUNNING, RunEntry, RunFolder, read_entry, run_files

COLUMNS = ("Run", "State", "Resolution", "Started", "Particles")


class RunHistory(QWidget):
    """Table of runs, newest first, with actions on the selected ones.

    Signals
    -------
    open_clicked, clone_clicked, resume_clicked : Path
        Folder of the run: show its maps, reuse its settings, resume it.
    compare_clicked : tuple of Path
        Folders of two runs, the older one first.
    delete_confirmed : Path
        Folder of the run to delete; the user has confirmed.
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
        self.clone = QPushButton("Use settings")
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
    def selected(self) -> RunEntry | None:
        """The selected run; None if there are several."""
        entries = self.selected_runs
        return entries[0] if len(entries) == 1 else None

    @property
    def selected_runs(self) -> list[RunEntry]:
        """The selected runs, newest first."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        return [self._entries[row] for row in sorted(rows)]

    def refresh(self) -> None:
        """Read the list again, without runs whose folders are gone."""
        chosen = {entry.folder for entry in self.selected_runs}
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
        """Select these runs only."""
        self.table.clearSelection()
        mode = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row, entry in enumerate(self._entries):
            if entry.folder in folders:
                self.table.selectionModel().select(self.table.model().index(row, 0), mode)

    def showEvent(self, event: object) -> None:
        """Update the list when it is shown."""
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
        entry = self.selected
        is_running = entry is not None and entry.outcome == RUNNING
        self.open.setText("Follow" if is_running else "Show maps")
        for button in (self.open, self.clone, self.browse, self.remove, self.delete):
            button.setEnabled(entry is not None)
        self.compare.setEnabled(len(self.selected_runs) == 2)
        self.resume.setEnabled(entry is not None and is_resumable(entry.folder))
        has_report = entry is not None and RunFolder(entry.folder).report_path.is_file()
        self.report.setEnabled(has_report)

    def _on_report(self) -> None:
        if self.selected is not None:
            path = RunFolder(self.selected.folder).report_path
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _on_browse(self) -> None:
        if self.selected is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.selected.folder)))

    def _on_compare(self) -> None:
        newer, older = (entry.folder for entry in self.selected_runs)
        self.compare_clicked.emit((older, newer))

    def _on_delete(self) -> None:
        entry = self.selected
        if entry is None:
            return
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        question = deletion_question(entry)
        if QMessageBox.question(self, "Delete run", question, yes | no, no) == yes:
            self.delete_confirmed.emit(entry.folder)

    def _on_remove(self) -> None:
        if self.selected is not None:
            forget_run(self.selected.folder)
            self.refresh()

    def _emit(self, signal: object) -> None:
        if self.selected is not None:
            signal.emit(self.selected.folder)  # type: ignore[attr-defined]

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
            "<p>Align and compare the maps of two runs. Select both with Ctrl.</p>"
        )
        self.remove.setToolTip("<p>Remove the run from this list. Its files stay.</p>")
        self.delete.setToolTip("<p>Delete the files of the run, after confirmation.</p>")


def deletion_question(entry: RunEntry) -> str:
    """Return the question before a run is deleted."""
    files = run_files(RunFolder(entry.folder))
    size = sum(path.stat().st_size for path in files) / 1e6
    lines = [
        f"Delete the run {entry.folder.name}, {len(files)} files of {size:.1f} MB?",
        str(entry.folder),
        "This cannot be undone. Other files in the folder stay.",
    ]
    if entry.outcome == KILLED:
        lines.append("It was killed before it ended, and could be resumed.")
    return "\n\n".join(lines)
