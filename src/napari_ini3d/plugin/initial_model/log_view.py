"""Log of a run, updated during the run."""

from __future__ import annotations

import logging

from qtpy.QtCore import QTimer
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.plugin.session import LINES, LogLine, LogTail
from napari_ini3d.plugin.viewer import make_flow, set_tooltip

_UPDATE_MS = 250
_LEVELS = {"All messages": logging.NOTSET, "Warnings and errors": logging.WARNING}


class LogView(QWidget):
    """The last lines of a log; it scrolls along if its end is visible."""

    def __init__(self, tail: LogTail) -> None:
        super().__init__()
        self._tail = tail
        self._seen = self._resets = 0
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(LINES)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName("Log of the run")
        self.level = QComboBox()
        self.level.addItems(list(_LEVELS))
        self.level.setAccessibleName("Messages to show")
        self.copy = QPushButton("Copy all")
        set_tooltip(self.level, "Show all messages of the run, or only warnings and errors.")
        set_tooltip(self.copy, "Copy the messages that are shown to the clipboard.")
        self._lay_out()
        self._update_placeholder()
        self.level.currentIndexChanged.connect(self._on_level)
        self.copy.clicked.connect(self._on_copy)
        self._timer = QTimer(self)
        self._timer.setInterval(_UPDATE_MS)
        self._timer.timeout.connect(self.refresh)

    def refresh(self) -> None:
        """Append new lines."""
        if self._tail.resets != self._resets:
            self._resets = self._tail.resets
            self._show_all()
            return
        count = self._tail.count
        self._append(self._tail.lines_after(self._seen))
        self._seen = count

    def showEvent(self, event: object) -> None:
        """Update the log while it is visible."""
        self.refresh()
        self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: object) -> None:
        """Stop updating the log."""
        self._timer.stop()
        super().hideEvent(event)

    def _show_all(self) -> None:
        self.text.clear()
        self._seen = self._tail.count
        self._append(self._tail.lines_after(0))

    def _append(self, lines: list[LogLine]) -> None:
        least = _LEVELS[self.level.currentText()]
        texts = [line.text for line in lines if line.level >= least]
        if texts:
            self.text.appendPlainText("\n".join(texts))

    def _on_level(self, _index: int) -> None:
        self._update_placeholder()
        self._show_all()

    def _update_placeholder(self) -> None:
        everything = _LEVELS[self.level.currentText()] == logging.NOTSET
        self.text.setPlaceholderText(
            "The log of the run appears here." if everything else "No warnings or errors."
        )

    def _on_copy(self) -> None:
        self.refresh()
        QApplication.clipboard().setText(self.text.toPlainText())

    def _lay_out(self) -> None:
        row = make_flow(self.level, self.copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.text, 1)
        layout.addLayout(row)
