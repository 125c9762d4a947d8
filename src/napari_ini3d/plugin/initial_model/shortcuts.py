"""Keyboard shortcuts of a run, for the whole window.

They are Qt's: napari ignores the key bindings of a plugin's manifest, and passes keys to a viewer
only while its canvas has the focus.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton, QMainWindow, QShortcut, QWidget

from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin.initial_model.keys import NEXT, PAUSE, PREVIOUS, RESET_VIEW, RUN, STOP
from napari_ini3d.plugin.session import RunSession
from napari_ini3d.plugin.viewer import centre_camera, is_dock_hidden, main_window_of
from napari_ini3d.runs import RunFolder, history_iterations

if TYPE_CHECKING:
    from napari_ini3d.plugin.initial_model.run_panel import RunPanel

_NAME = "ini3d shortcut "
_installed: WeakKeyDictionary[QMainWindow, ReferenceType[RunPanel]] = WeakKeyDictionary()


def install_shortcuts(window: QMainWindow, panel: RunPanel, session: RunSession) -> None:
    """Install the shortcuts in a window, in place of those of another dock, until it is destroyed.

    Parameters
    ----------
    window : QMainWindow
    panel : RunPanel
        Its buttons are pressed, if they are enabled and its dock is open.
    session : RunSession
        Whose iterations are shown.
    """
    installed = _installed.get(window)
    if installed is not None and installed() is panel:
        return
    _installed[window] = ref(panel)
    actions: dict[str, Callable[[], object]] = {
        RUN: functools.partial(_press, panel, panel.run),
        PAUSE: functools.partial(_press, panel, panel.pause),
        STOP: functools.partial(_press, panel, panel.stop),
        PREVIOUS: functools.partial(step_iteration, session, -1),
        NEXT: functools.partial(step_iteration, session, 1),
        RESET_VIEW: lambda: reset_view(session.layers.viewer),
    }
    for keys in actions:
        _remove(find_shortcut(window, keys))
    made = []
    for keys, action in actions.items():
        shortcut = QShortcut(QKeySequence(keys), window)
        shortcut.setObjectName(_NAME + keys)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        shortcut.activated.connect(action)
        made.append(shortcut)
    panel.destroyed.connect(functools.partial(_remove_all, made))


def find_shortcut(window: QWidget, keys: str) -> QShortcut | None:
    """Return the installed shortcut with these keys; None if there is none."""
    found: QShortcut | None = window.findChild(QShortcut, _NAME + keys)
    return found


def step_iteration(session: RunSession, step: int) -> None:
    """Show the next (1) or the previous (-1) iteration of the run that has a map."""
    folder = session.run_folder
    kept = [] if folder is None else history_iterations(RunFolder(folder))
    if not kept:
        return
    shown = session.layers.shown_iteration()
    place = len(kept) - 1 if shown is None else bisect_left(kept, shown)
    try:
        session.layers.show_iteration(kept[min(max(place + step, 0), len(kept) - 1)])
    except Ini3dError as error:
        show_error(str(error))


def reset_view(viewer: Any) -> None:
    """Fit the view to the maps, seen along Z, about the rotation centre."""
    if viewer is not None:
        viewer.reset_view()
        viewer.scene.camera.angles = (0.0, 0.0, 0.0)
        centre_camera(viewer)


def _press(panel: QWidget, button: QAbstractButton) -> None:
    """Press a button, unless its dock is closed: napari keeps the widget of a closed dock."""
    if main_window_of(panel) is not None and not is_dock_hidden(panel) and button.isEnabled():
        button.click()


def _remove_all(shortcuts: Sequence[QShortcut], *_destroyed: object) -> None:
    for shortcut in shortcuts:
        with suppress(RuntimeError):  # deleted, with its window or by another dock
            _remove(shortcut)


def _remove(shortcut: QShortcut | None) -> None:
    if shortcut is not None:
        shortcut.setParent(None)
        shortcut.deleteLater()
