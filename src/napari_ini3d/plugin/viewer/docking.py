"""Docking of the plugin's widgets: they share one place, as tabs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from weakref import ref

from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_ini3d.plugin.viewer.layer_controls import LowControls
from napari_ini3d.plugin.viewer.tab_order import set_tab_order

_PLUGIN, _MARK = "napari-ini3d", "ini3d dock"
_LEAST = QSize(280, 200)  # pixels; below the size of its content, a dock scrolls
_USUAL = QSize(410, 600)
_MOST = QSize(480, 640)  # beside the controls of napari and a canvas, on a screen of 1280 x 800


class FittingWidget(QWidget):
    """A dock that fits a small screen: its content scrolls where it needs more room.

    It becomes a tab beside the other docks of the plugin when it is first shown: stacked, they
    would not fit.
    """

    def showEvent(self, event: object) -> None:
        """Share a place with the other docks of the plugin."""
        super().showEvent(event)
        if not self.property(_MARK):
            self.setProperty(_MARK, True)
            set_tab_order(self)
            window = main_window_of(self)
            if window is not None:
                LowControls.install(window)
            later = ref(self)  # after napari has placed it
            QTimer.singleShot(0, lambda: _tabify(later()))

    def sizeHint(self) -> QSize:
        """Return a size that shows most docks whole, and fits beside a canvas."""
        return super().sizeHint().expandedTo(_USUAL).boundedTo(_MOST)

    def minimumSizeHint(self) -> QSize:
        """Return a size that grows no window."""
        return _LEAST


def open_dock(viewer: Any, name: str) -> Any:
    """Open a dock of the plugin in front of the others, and return its widget.

    Parameters
    ----------
    viewer : napari viewer
    name : str
        As in the menu, such as "Export".
    """
    dock, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()  # it may be open behind another
    return widget


def is_dock_hidden(widget: QWidget) -> bool:
    """Tell whether the dock of a widget is hidden."""
    dock = _dock_of(widget)
    return dock is not None and dock.isHidden()


def main_window_of(widget: QWidget) -> QMainWindow | None:
    """Return the main window of a widget, also if its dock floats; None if there is none."""
    dock = _dock_of(widget)
    window = widget.window() if dock is None else dock.parentWidget()
    return window if isinstance(window, QMainWindow) else None


def _tabify(widget: QWidget | None) -> None:
    dock = None if widget is None else _dock_of(widget)
    window = None if dock is None else dock.parentWidget()
    if dock is None or dock.isFloating() or not isinstance(window, QMainWindow):
        return
    if any(_is_ours(other) for other in window.tabifiedDockWidgets(dock)):
        return  # Qt takes a dock that joins its own tabs again out of them
    for other in window.findChildren(QDockWidget):
        if other is dock or other.isFloating() or not _is_ours(other):
            continue
        if window.dockWidgetArea(other) == window.dockWidgetArea(dock):
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def _dock_of(widget: QWidget) -> QDockWidget | None:
    above: QWidget | None = widget
    with suppress(RuntimeError):  # deleted meanwhile
        while above is not None and not isinstance(above, QDockWidget):
            above = above.parentWidget()
        return above
    return None


def _is_ours(dock: QDockWidget) -> bool:
    return any(bool(child.property(_MARK)) for child in dock.findChildren(QWidget))
