"""The docks of the plugin among the others of a window."""

from __future__ import annotations

from contextlib import suppress
from weakref import ref

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

_OURS = "ini3d dock"


def share_place(widget: QWidget) -> None:
    """Let a dock share its place with the plugin's others, as tabs; call it when it is first shown.

    One above the other they would not fit on a small screen.
    """
    if widget.property(_OURS):
        return
    widget.setProperty(_OURS, True)
    later = ref(widget)  # napari has not placed it yet
    QTimer.singleShot(0, lambda: _stand_with_ours(later()))


def is_put_away(widget: QWidget) -> bool:
    """Tell whether the dock of a widget was hidden."""
    dock = _dock_of(widget)
    return dock is not None and dock.isHidden()


def _stand_with_ours(widget: QWidget | None) -> None:
    dock = None if widget is None else _dock_of(widget)
    window = None if dock is None else dock.parentWidget()
    if dock is None or dock.isFloating() or not isinstance(window, QMainWindow):
        return
    for other in window.findChildren(QDockWidget):
        if other is dock or other.isFloating() or not _is_ours(other):
            continue
        if window.dockWidgetArea(other) == window.dockWidgetArea(dock):
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def _dock_of(widget: QWidget) -> QDockWidget | None:
    above: QWidget | None = widget
    with suppress(RuntimeError):  # it was deleted meanwhile
        while above is not None and not isinstance(above, QDockWidget):
            above = above.parentWidget()
        return above
    return None


def _is_ours(dock: QDockWidget) -> bool:
    return any(bool(child.property(_OURS)) for child in dock.findChildren(QWidget))
