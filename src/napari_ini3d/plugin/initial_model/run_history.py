"""List of earlier runs: show, resume, compare, reuse settings, or delete."""

from __future__ import annotations

from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_ini3d.errors import Ini3dError, RunFolderError
from napari_ini3d.plugin.initial_model.run_table import RunTable
from napari_ini3d.plugin.initial_model.user_config import forget_run, known_runs
from napari_ini3d.plugin.initial_model.validation import is_resumable
from napari_ini3d.plugin.viewer import make_flow, set_tooltip
from napari_ini3d.runs import (
    KILLED,
    RUNNING,
    RunEntry,
    RunFolder,
    read_entry,
    run_files,
    write_note,
)


class RunHistory(QWidget):
    """Table of runs with actions on the selected ones.

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
        self.table = RunTable()
        self.open = QPushButton("Show maps")
        self.clone = QPushButton("Use settings")
        self.resume = QPushButton("Resume")
        self.compare = QPushButton("Compare")
        self.report = QPushButton("Report")
        self.browse = QPushButton("Open folder")
        self.note = QPushButton("Note …")
        self.remove = QPushButton("Remove from list")
        self.delete = QPushButton("Delete …")
        self._for_one = (
            self.open,
            self.clone,
            self.browse,
            self.note,
            self.remove,
            self.delete,
        )
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
        return self.table.selected

    def refresh(self) -> None:
        """Read the list again, without runs whose folders are gone."""
        entries = []
        for folder in known_runs():
            try:
                entries.append(read_entry(folder))
            except RunFolderError:
                continue
        self.table.fill(entries)
        self._on_selection()

    def choose(self, *folders: Path) -> None:
        """Select these runs only."""
        self.table.choose(*folders)

    def showEvent(self, event: object) -> None:
        """Update the list when it is shown."""
        self.refresh()
        super().showEvent(event)

    def _on_selection(self) -> None:
        entry = self.selected
        is_running = entry is not None and entry.outcome == RUNNING
        self.open.setText("Follow" if is_running else "Show maps")
        for button in self._for_one:
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
        # of two that began in the same second, the one that is listed last is the older
        listed = reversed(self.selected_runs)
        older, newer = sorted(listed, key=lambda entry: entry.record.started)
        self.compare_clicked.emit((older.folder, newer.folder))

    def _on_note(self, entry: RunEntry, text: str) -> None:
        try:
            write_note(RunFolder(entry.folder), text)
        except Ini3dError as error:
            show_error(f"The note was not saved. {error}")
        self.refresh()

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
        self.table.selection_changed.connect(self._on_selection)
        self.table.opened.connect(lambda entry: self.open_clicked.emit(entry.folder))
        self.table.note_edited.connect(self._on_note)
        self.note.clicked.connect(self.table.edit_note)
        self.open.clicked.connect(lambda: self._emit(self.open_clicked))
        self.clone.clicked.connect(lambda: self._emit(self.clone_clicked))
        self.resume.clicked.connect(lambda: self._emit(self.resume_clicked))
        self.compare.clicked.connect(self._on_compare)
        self.report.clicked.connect(self._on_report)
        self.browse.clicked.connect(self._on_browse)
        self.delete.clicked.connect(self._on_delete)
        self.remove.clicked.connect(self._on_remove)

    def _lay_out(self) -> None:
        buttons = make_flow(
            self.open,
            self.clone,
            self.resume,
            self.compare,
            self.report,
            self.browse,
            self.note,
            self.remove,
            self.delete,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.table, 1)
        layout.addLayout(buttons)
        self._explain()

    def _explain(self) -> None:
        for button, text in (
            (self.open, "Show the maps of the run; a run that is still going is followed."),
            (self.clone, "Fill in the form with the particles and settings of this run."),
            (self.resume, "Continue the run from its last iteration."),
            (self.compare, "Align and compare the maps of two runs. Select both with Ctrl."),
            (self.report, "Open the report in the browser."),
            (self.browse, "Open the folder in the file manager."),
            (
                self.note,
                "Write a note on the run, which is kept in its folder; also by a double-click on "
                "the column <i>Note</i>.",
            ),
            (self.remove, "Remove the run from this list. Its files stay."),
            (self.delete, "Delete the files of the run, after confirmation."),
        ):
            set_tooltip(button, text)


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
