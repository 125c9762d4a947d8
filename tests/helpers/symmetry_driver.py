"""Actions of a user in the dock *Symmetry*."""

from qtpy.QtCore import Qt

POSES_STAR = """data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginXAngst #5
_rlnOriginYAngst #6
1@a.mrcs 10.0 20.0 30.0 1.0 2.0
2@a.mrcs -50.0 80.0 170.0 -3.0 0.0
"""


def press(widget, qtbot, button):
    assert button.isEnabled(), button.text()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.controller.tasks.busy, timeout=120_000)


def choose(widget, name):
    """Choose a map in the list of the dock, as a user does."""
    combo = widget.controller.layer_combo
    combo.setCurrentIndex(combo.findText(name))
    combo.activated.emit(combo.currentIndex())
