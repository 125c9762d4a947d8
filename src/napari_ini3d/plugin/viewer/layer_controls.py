"""Height of napari's layer controls, which with large fonts need more than a small screen has.

The controls of a map that is shown as a mesh have twelve rows: at 18 points the window would grow
beyond a screen of 800 pixels. There they are made a little lower than they ask for, and nowhere
else.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

_NAME = "layer controls"  # of napari's dock
_SETTLED_MS = 50
_LEAST = 0.85  # of the height that the controls ask for, in which no text is cut


class LowControls(QObject):
    """Keeps a window within its screen, while the layer controls can be lower.

    Parameters
    ----------
    window : QMainWindow
        Of napari; the owner.
    dock : QDockWidget
        With the layer controls.
    """

    def __init__(self, window: QMainWindow, dock: QDockWidget) -> None:
        super().__init__(window)
        self._window, self._dock = window, dock
        self._timer = QTimer(self)  # the window knows what its parts ask for later than they do
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLED_MS)
        self._timer.timeout.connect(self.fit)
        dock.installEventFilter(self)
        self._timer.start()

    @classmethod
    def install(cls, window: QMainWindow) -> None:
        """Watch the layer controls of a window, once."""
        dock = window.findChild(QDockWidget, _NAME)
        if dock is not None and window.findChild(cls) is None:
            cls(window, dock)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Fit the controls after they have got new rows, or another font."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._timer.start()
        return bool(super().eventFilter(watched, event))

    def fit(self) -> None:
        """Make the controls as low as the screen demands, or as high as they ask for."""
        window, controls = self._window, self._dock.widget()
        if controls is None or self._dock.isFloating():
            return
        asked, available = controls.minimumSizeHint().height(), available_height(window)
        least = window.minimumSizeHint().height()
        excess = least - (controls.minimumHeight() or asked) + asked - available
        wanted = max(asked - excess, round(_LEAST * asked)) if excess > 0 else 0
        if wanted != controls.minimumHeight():
            controls.setMinimumHeight(wanted)
            for height in (1, 0):  # else the dock keeps the height that it asked for
                self._dock.setMinimumHeight(height)
            self._timer.start()
        elif window.height() > available >= least:
            window.resize(window.width(), available)


def available_height(window: QMainWindow) -> int:
    """Return the height that a window can have on its screen, without its frame."""
    frame = window.frameGeometry().height() - window.geometry().height()
    screen = window.screen()
    return int(screen.availableGeometry().height() - frame)
