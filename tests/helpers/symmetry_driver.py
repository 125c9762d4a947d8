"""Actions of a user in the dock *Symmetry*."""

from qtpy.QtCore import Qt


def press(widget, qtbot, button):
    assert button.isEnabled(), button.text()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.controller.tasks.busy, timeout=120_000)


def choose(widget, name):
    """Choose a map in the list of the dock, as a user does."""
    combo = widget.controller.layer_combo
    combo.setCurrentIndex(combo.findText(name))
    combo.activated.emit(combo.currentIndex())
