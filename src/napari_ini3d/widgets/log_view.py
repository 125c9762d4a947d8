"""The log of a run as it grows."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d.widgets.log_tail import LINES, LogTail

_UPDATE_MS = 250


class LogView(QWidget):
    """Shows the last lines of a log; it scrolls along where the reader is at its end."""

    def __init__(self, tail: LogTail) -> None:
        super().__init__()
        self._tail = tail
        self._seen = 0
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(LINES)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName("Log of the run")
        self.text.setPlaceholderText("What the run says appears here.")
        self.copy = QPushButton("Copy all")
        self.copy.clicked.connect(self._on_copy)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.text, 1)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(_UPDATE_MS)
        self._timer.timeout.connect(self.refresh)

    def refresh(self) -> None:
        """Add the lines that have come."""
        count = self._tail.count
        lines = self._tail.lines_after(self._seen)
        self._seen = count
        if lines:
            self.text.appendPlainText("\n".join(lines))

    def showEvent(self, event: object) -> None:
        """Look for lines while the log is seen, and only then."""
        self.refresh()
        self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: object) -> None:
        """Rest while nobody looks."""
        self._timer.stop()
        super().hideEvent(event)

    def _on_copy(self) -> None:
        self.refresh()
        QApplication.clipboard().setText(self.text.toPlainText())
