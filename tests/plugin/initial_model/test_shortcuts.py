"""Keyboard shortcuts of a run, in a real window."""

import numpy as np
import pytest
from dock_driver import until
from napari.settings import get_settings
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDockWidget

from napari_ini3d.plugin.initial_model.keys import (
    NEXT,
    PAUSE,
    PREVIOUS,
    RESET_VIEW,
    RUN,
    STOP,
)
from napari_ini3d.plugin.initial_model.run_panel import RunPanel
from napari_ini3d.plugin.initial_model.shortcuts import find_shortcut, install_shortcuts
from napari_ini3d.plugin.viewer.docking import main_window_of

KEYS = [
    RUN,
    PAUSE,
    STOP,
    PREVIOUS,
    NEXT,
    RESET_VIEW,
]


def press_keys(widget, keys):
    found = find_shortcut(main_window_of(widget), keys)
    assert found is not None
    found.activated.emit()


def test_no_shortcut_is_taken_from_napari(widget):
    used = {
        QKeySequence(str(keys)).toString()
        for bound in get_settings().shortcuts.shortcuts.values()
        for keys in bound
    }
    assert "Ctrl+R" in used, "napari resets its view by it"
    assert not used & {QKeySequence(keys).toString() for keys in KEYS}


def test_a_run_is_started_paused_and_stopped_by_keys(
    widget, viewer, few_particles, tmp_path, slow_engine, qtbot
):
    widget.form.set_particles(few_particles)
    widget.form.output.text = str(tmp_path / "run")
    widget.form.fields["iterations"].value = 60
    press_keys(widget, RUN)
    until(qtbot, lambda: len(widget.session.summaries) > 1)
    press_keys(widget, PAUSE)
    assert widget.session.state == "paused"
    press_keys(widget, PAUSE)
    assert widget.session.state == "running"
    press_keys(widget, STOP)
    until(qtbot, lambda: not widget.session.busy)
    last = widget.session.summaries[-1].iteration
    assert last < 60
    press_keys(widget, PREVIOUS)
    assert widget.session.layers.shown_iteration() == last - 1
    press_keys(widget, NEXT)
    press_keys(widget, NEXT)  # there is none after the last
    assert widget.session.layers.shown_iteration() == last


def test_keys_of_buttons_that_are_disabled_do_nothing(widget, qtbot):
    press_keys(widget, STOP)
    press_keys(widget, PREVIOUS)
    assert widget.session.state == "idle"


def test_the_view_is_reset_about_the_rotation_centre(widget, viewer, qtbot):
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles = (10, 20, 30)
    viewer.scene.camera.center = (5, 5, 5)
    press_keys(widget, RESET_VIEW)
    np.testing.assert_allclose(viewer.scene.camera.angles, 0)
    assert tuple(viewer.scene.camera.center) == pytest.approx((0, 0, 0))


def test_keys_press_no_button_of_a_dock_that_is_closed(widget, qtbot):
    window = main_window_of(widget)
    clicked = []
    widget.panel.run.clicked.disconnect()
    widget.panel.run.clicked.connect(lambda: clicked.append("run"))
    widget.panel.run.setEnabled(True)
    dock = next(d for d in window.findChildren(QDockWidget) if d.isAncestorOf(widget))
    dock.hide()
    find_shortcut(window, RUN).activated.emit()
    assert clicked == []
    dock.show()
    find_shortcut(window, RUN).activated.emit()
    assert clicked == ["run"]


def test_a_dock_that_is_shown_again_keeps_its_shortcuts(widget):
    window = main_window_of(widget)
    before = [find_shortcut(window, keys) for keys in KEYS]
    install_shortcuts(window, widget.panel, widget.session)
    assert [find_shortcut(window, keys) for keys in KEYS] == before


def test_the_shortcuts_end_with_their_dock(widget):
    window = main_window_of(widget)
    other = RunPanel(widget.session)
    install_shortcuts(window, other, widget.session)
    assert find_shortcut(window, RUN) is not None
    other.destroyed.emit()
    assert all(find_shortcut(window, keys) is None for keys in KEYS)
    install_shortcuts(window, widget.panel, widget.session)
    assert find_shortcut(window, RUN) is not None
    other.deleteLater()
