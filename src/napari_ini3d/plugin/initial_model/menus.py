"""Menus below the form: copy the run as text; save, load and reset the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin.initial_model.form import SettingsForm
from napari_ini3d.plugin.initial_model.preferences import preferred_settings
from napari_ini3d.plugin.initial_model.user_config import load_form_state, save_form_state
from napari_ini3d.plugin.viewer import make_flow, set_tooltip
from napari_ini3d.runs import run_command, run_python
from napari_ini3d.settings import InitialModelSettings

MakeCommand = Callable[[str, str, InitialModelSettings, str], str]

_JSON = "Settings (*.json)"


class SettingsMenus(QWidget):
    """Buttons with menus for a form, and others beside them.

    Parameters
    ----------
    form : SettingsForm
    *others : QWidget

    Signals
    -------
    loaded : FormState
        Content of a file, for the form.
    """

    loaded = Signal(object)

    def __init__(self, form: SettingsForm, *others: QWidget) -> None:
        super().__init__()
        self._form = form
        self.copy_as = _menu_button(
            "Copy as",
            "Copy this run as a command line, or as Python, for a script or a cluster.",
            {"Command": lambda: self._copy(run_command), "Python": lambda: self._copy(run_python)},
        )
        self.settings = _menu_button(
            "Settings",
            "Save the settings to a file, load them, or reset them to the defaults.",
            {"Save …": self._save, "Load …": self._load, "Reset to defaults": self._reset},
        )
        row = QVBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.addLayout(make_flow(self.copy_as, self.settings, *others))

    def _copy(self, make: MakeCommand) -> None:
        try:
            state = self._form.state()
        except Ini3dError as error:
            show_error(str(error))
            return
        text = make(state.particles, state.output, state.settings, state.cluster)
        QApplication.clipboard().setText(text)
        show_info("Copied")

    def _save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save settings", "ini3d.json", _JSON)
        if name:
            _show_errors(lambda: save_form_state(Path(name), self._form.state()))

    def _load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", "", _JSON)
        if name:
            _show_errors(lambda: self.loaded.emit(load_form_state(Path(name))))

    def _reset(self) -> None:
        self._form.set_settings(preferred_settings())
        self._form.set_cluster("")


def _show_errors(action: Callable[[], object]) -> None:
    try:
        action()
    except Ini3dError as error:
        show_error(str(error))


def _menu_button(title: str, tooltip: str, actions: dict[str, Callable[[], object]]) -> QPushButton:
    button = QPushButton(title)
    set_tooltip(button, tooltip)
    menu = QMenu(button)
    for name, action in actions.items():
        menu.addAction(name, action)
    button.setMenu(menu)
    return button
