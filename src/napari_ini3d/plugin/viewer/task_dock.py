"""Parts that docks with tasks share: size, place among the docks, progress and *Cancel*."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QWidget,
)
from superqt import QFlowLayout

from napari_ini3d.plugin.viewer.docking import FittingWidget
from napari_ini3d.plugin.viewer.task_runner import TaskRunner

_HEIGHT = 640  # pixels
_SPACING = 6  # pixels


class TaskDock(FittingWidget):
    """A dock whose tasks run in a thread, one at a time.

    Parameters
    ----------
    tasks : TaskRunner
    width : int
        Usual width in pixels.

    Attributes
    ----------
    bar, cancel : QProgressBar, QPushButton
        Of the current task; the dock places them.
    """

    def __init__(self, tasks: TaskRunner, width: int) -> None:
        super().__init__()
        self.tasks = tasks
        self._width = width
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.cancel = QPushButton("Cancel")
        set_tooltip(self.cancel, "Cancel the current task and discard its result.")
        self.cancel.clicked.connect(tasks.cancel)
        tasks.changed.connect(self.refresh)

    def refresh(self, *_: object) -> None:
        """Show the progress of the current task."""
        self.cancel.setEnabled(self.tasks.busy)
        self.bar.setValue(round(100 * self.tasks.share))

    def sizeHint(self) -> QSize:
        """Return a width that leaves room for the canvas on a small screen."""
        return QSize(max(self._width, super().sizeHint().width()), _HEIGHT)


def make_scrollable(widget: QWidget) -> QScrollArea:
    """Return a scroll area around a widget."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(widget)
    return area


def make_tabs() -> QTabWidget:
    """Return pages with tabs whose texts are shortened, not scrolled, where there is no room."""
    tabs = QTabWidget()
    tabs.setUsesScrollButtons(False)
    tabs.setElideMode(Qt.TextElideMode.ElideRight)
    return tabs


def make_flow(*widgets: QWidget) -> QFlowLayout:
    """Return a row of widgets that wraps where large fonts need more room than there is."""
    flow = QFlowLayout()
    flow.setContentsMargins(0, 0, 0, 0)
    flow.setHorizontalSpacing(_SPACING)
    flow.setVerticalSpacing(_SPACING)
    for widget in widgets:
        # the layout leaves out what is false in Python, as a QComboBox without items is
        flow.addWidget(_side_by_side(widget) if isinstance(widget, QComboBox) else widget)
    return flow


def make_labelled(label: str, widget: QWidget) -> QWidget:
    """Return a widget with its label to its left, for a row that wraps."""
    return _side_by_side(QLabel(label), widget)


def _side_by_side(*widgets: QWidget) -> QWidget:
    plain = QWidget()
    row = QHBoxLayout(plain)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, int(not isinstance(widget, QLabel)))
    return plain


def set_tooltip(widget: QWidget, text: str) -> None:
    """Set the tooltip of a control, which wraps, and its description for screen readers."""
    widget.setToolTip(f"<p>{text}</p>")
    widget.setAccessibleDescription(text)


class WrappedLabel(QLabel):
    """A text that wraps, and keeps the height that it needs: layouts would cut its last lines."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setWordWrap(True)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(text)
        self._keep_height()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the height for the new width."""
        super().resizeEvent(event)
        self._keep_height()

    def _keep_height(self) -> None:
        self.setMinimumHeight(0)  # that of a longer text before would count
        self.setMinimumHeight(max(self.heightForWidth(self.width()), 0) if self.text() else 0)


def make_text_label(text: str = "") -> QLabel:
    """Return a label whose text wraps and can be selected."""
    label = WrappedLabel(text)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
