"""Table of runs: sorted by any column, searched by words, with a note that can be edited."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtWidgets import (
    QAbstractItemDelegate,
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.fourier import MAP_CRITERION
from napari_ini3d.plugin.viewer import set_tooltip
from napari_ini3d.runs import RunEntry, describe_resolution

_BREAK = " ↵ "  # a line break of a note, in its editor
_MOST_WIDTH = 220  # pixels of a column
_MARKS = {"reliable": "✓", "uncertain": "⚠", "failed": "✗"}
_RANKS = {"reliable": 0, "uncertain": 1, "failed": 2, "": 3}


@dataclass(frozen=True)
class _Column:
    """A column: its heading, its text, what it is sorted by, and its tooltip."""

    heading: str
    text: Callable[[RunEntry], str]
    key: Callable[[RunEntry], Any]
    tip: Callable[[RunEntry], str] = lambda entry: str(entry.folder)


def _resolution(entry: RunEntry) -> float:
    validated = entry.validated_resolution
    return validated if math.isfinite(validated) else entry.resolution


def _resolution_text(entry: RunEntry) -> str:
    value = _resolution(entry)
    if not math.isfinite(value):
        return "–"
    if math.isfinite(entry.validated_resolution):
        return f"{value:.1f} Å (FSC 0.143)"
    return f"≈ {describe_resolution(value)}"


def _resolution_tip(entry: RunEntry) -> str:
    if math.isfinite(entry.validated_resolution):
        return "FSC 0.143 of independent half-sets"
    return (
        f"{MAP_CRITERION}, of the best class in the last iteration; the run was not validated, "
        "and half-sets that are aligned to one map agree too well"
    )


COLUMNS = (
    _Column("Run", lambda e: e.folder.name, lambda e: e.folder.name.lower()),
    _Column("State", lambda e: f"{e.outcome} ({e.iterations})", lambda e: e.outcome),
    _Column(
        "Resolution",
        _resolution_text,
        lambda e: _resolution(e) if math.isfinite(_resolution(e)) else math.inf,
        _resolution_tip,
    ),
    _Column(
        "Verdict",
        lambda e: f"{_MARKS.get(e.verdict, '')} {e.verdict}".strip() or "–",
        lambda e: _RANKS.get(e.verdict, len(_RANKS)),
        lambda e: "Of the validation by independent half-sets" if e.verdict else "Not validated",
    ),
    _Column("K", lambda e: str(e.n_classes), lambda e: e.n_classes, lambda _: "Number of classes"),
    _Column(
        "Symmetry",
        lambda e: e.symmetry,
        lambda e: e.symmetry,
        lambda e: f"Requested: {e.record.settings.symmetry}",
    ),
    _Column(
        "N",
        lambda e: f"{e.n_particles:,}",
        lambda e: e.n_particles,
        lambda e: f"Particles, without {len(e.record.excluded)} that are excluded",
    ),
    _Column(
        "Started",
        lambda e: e.record.started[:16].replace("T", " "),
        lambda e: e.record.started,
    ),
    _Column(
        "Note",
        lambda e: " ".join(e.note.split()),
        lambda e: (not e.note, e.note.lower()),
        lambda e: e.note or "Double-click to write a note; it is kept in the run folder",
    ),
    _Column(
        "Particles",
        lambda e: "/".join(Path(e.record.particles).parts[-2:]),
        lambda e: e.record.particles.lower(),
        lambda e: e.record.particles,
    ),
)
HEADINGS = tuple(column.heading for column in COLUMNS)
NOTE = HEADINGS.index("Note")
_TIPS = {
    "State": "How the run ended, and its number of iterations",
    "K": "Number of classes",
    "N": "Number of particles",
    "Resolution": "FSC 0.143 of independent half-sets; with ≈ FSC 0.5 of the last iteration",
}


def _in_one_line(note: str) -> str:
    """Return a note for an editor of one line, with signs for its line breaks."""
    return _BREAK.join(note.splitlines())


def _in_lines(text: str) -> str:
    """Return the note of an edited line."""
    return text.replace(_BREAK, "\n").replace(_BREAK.strip(), "\n")


class _RunModel(QAbstractTableModel):
    """Runs as rows.

    Signals
    -------
    note_edited : RunEntry, str
    """

    note_edited = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[RunEntry] = []

    def fill(self, entries: Iterable[RunEntry]) -> None:
        self.beginResetModel()
        self.entries = list(entries)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.entries)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return HEADINGS[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return _TIPS.get(HEADINGS[section], "Click to sort")
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        if not index.isValid():
            return None
        entry, column = self.entries[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.EditRole and index.column() == NOTE:
            return _in_one_line(entry.note)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return column.text(entry)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip(entry)
        return None

    def flags(self, index: QModelIndex) -> Any:
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == NOTE else flags

    def setData(self, index: QModelIndex, value: Any, _role: int = 0) -> bool:
        if not index.isValid() or index.column() != NOTE:
            return False
        entry = self.entries[index.row()]
        if str(value) == _in_one_line(entry.note):
            return False
        self.note_edited.emit(entry, _in_lines(str(value)))
        return True


class _Sorted(QSortFilterProxyModel):
    """Rows that hold all words of a search, sorted by the keys of the columns."""

    def __init__(self, model: _RunModel) -> None:
        super().__init__()
        self._model = model
        self._words: list[str] = []
        self.setSourceModel(model)

    def search(self, text: str) -> None:
        self._words = text.lower().split()
        self.invalidate()

    def filterAcceptsRow(self, row: int, _parent: QModelIndex) -> bool:
        entry = self._model.entries[row]
        texts = [column.text(entry) for column in COLUMNS]
        whole = " ".join([*texts, str(entry.folder), entry.record.particles]).lower()
        return all(word in whole for word in self._words)

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        column = COLUMNS[left.column()]
        keys = (column.key(self._model.entries[index.row()]) for index in (left, right))
        return bool(next(keys) < next(keys))


class _Table(QTableView):
    """A table that tells when an editor is closed.

    Signals
    -------
    edited
    """

    edited = Signal()

    @property
    def is_editing(self) -> bool:
        return bool(self.state() == QAbstractItemView.State.EditingState)

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        super().closeEditor(editor, hint)
        self.edited.emit()


class RunTable(QWidget):
    """Table of runs with a search field.

    Signals
    -------
    selection_changed
    opened : RunEntry
        A run was double-clicked.
    note_edited : RunEntry, str
        A run and its new note.

    Attributes
    ----------
    view : QTableView
    search : QLineEdit
    """

    selection_changed = Signal()
    opened = Signal(object)
    note_edited = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self._model = _RunModel()
        self._sorted = _Sorted(self._model)
        self._waiting: list[RunEntry] | None = None
        self.view = _Table()
        self.search = QLineEdit()
        self.count = QLabel()
        self._lay_out()
        self._model.note_edited.connect(self.note_edited)
        self.search.textChanged.connect(self._on_search)
        self.view.edited.connect(self._on_edited)
        self.view.doubleClicked.connect(self._on_double_click)
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._on_selection())

    @property
    def entries(self) -> list[RunEntry]:
        """All runs, as they were given."""
        return self._model.entries

    @property
    def selected(self) -> list[RunEntry]:
        """The selected runs, in the order in which they were given."""
        rows = {
            self._sorted.mapToSource(index).row()
            for index in self.view.selectionModel().selectedRows()
        }
        return [self.entries[row] for row in sorted(rows)]

    def fill(self, entries: Iterable[RunEntry]) -> None:
        """Show other runs; the selection, the order and the search stay.

        While a note is being edited, they are shown when that is done.
        """
        if self.view.is_editing:
            self._waiting = list(entries)
            return
        chosen = [entry.folder for entry in self.selected]
        self._model.fill(entries)
        there = [entry.folder for entry in self.entries]
        self.choose(*([folder for folder in chosen if folder in there] or there[:1]))
        self.view.resizeColumnsToContents()
        for column in range(len(COLUMNS)):
            width = min(self.view.columnWidth(column), _MOST_WIDTH)
            self.view.setColumnWidth(column, width)
        self._update_count()

    def choose(self, *folders: Path) -> None:
        """Select these runs only."""
        selection = self.view.selectionModel()
        selection.clearSelection()
        mode = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row, entry in enumerate(self.entries):
            if entry.folder in folders:
                index = self._sorted.mapFromSource(self._model.index(row, 0))
                if index.isValid():
                    selection.select(index, mode)

    def text(self, row: int, heading: str) -> str:
        """Return the text of a cell, as it is sorted and searched now."""
        return str(self._sorted.index(row, HEADINGS.index(heading)).data())

    @property
    def n_shown(self) -> int:
        """Number of rows that the search leaves."""
        return int(self._sorted.rowCount())

    def sort(self, heading: str, *, descending: bool = False) -> None:
        """Sort the rows by a column."""
        order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
        self.view.sortByColumn(HEADINGS.index(heading), order)

    def edit_note(self) -> None:
        """Edit the note of the selected run."""
        rows = self.view.selectionModel().selectedRows(NOTE)
        if len(rows) == 1:
            self.view.setCurrentIndex(rows[0])
            self.view.edit(rows[0])

    def _on_search(self, text: str) -> None:
        self._sorted.search(text)
        self._update_count()

    def _on_edited(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.fill(waiting)

    def _on_double_click(self, index: QModelIndex) -> None:
        if index.column() != NOTE:
            self.opened.emit(self.entries[self._sorted.mapToSource(index).row()])

    def _on_selection(self) -> None:
        self.selection_changed.emit()

    def _update_count(self) -> None:
        shown, there = self.n_shown, len(self.entries)
        runs = "run" if there == 1 else "runs"
        self.count.setText(f"{there} {runs}" if shown == there else f"{shown} of {there} {runs}")

    def _lay_out(self) -> None:
        view, triggers = self.view, QAbstractItemView.EditTrigger
        view.setModel(self._sorted)
        view.setSortingEnabled(True)
        self.sort("Started", descending=True)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        view.setWordWrap(False)
        view.verticalHeader().hide()
        view.setTabKeyNavigation(False)
        view.setAccessibleName("Runs")
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search runs")
        set_tooltip(
            self.search,
            "Show only runs with these words in their name, folder, particles, symmetry, verdict "
            "or note.",
        )
        row = QHBoxLayout()
        row.addWidget(self.search, 1)
        row.addWidget(self.count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(view, 1)
