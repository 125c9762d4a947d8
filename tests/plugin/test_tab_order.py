"""The Tab key goes through each dock as it is read: from top to bottom, from left to right."""

from itertools import pairwise

import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt

DOCKS = (
    "Initial model",
    "Convergence",
    "Symmetry",
    "Compare maps",
    "Map display",
    "Particles",
    "Export",
)


def visited(widget):
    """The visible controls of a dock in the order of the Tab key, from the first of the dock."""
    found, current = [], widget.nextInFocusChain()
    while current is not widget:
        takes_focus = current.focusPolicy() & Qt.FocusPolicy.TabFocus
        of_another = current.parentWidget() in found  # such as the text of a spin box
        seen = current.isVisibleTo(widget) and not of_another
        if widget.isAncestorOf(current) and takes_focus and seen:
            found.append(current)
        current = current.nextInFocusChain()
    return found


def place(control, widget):
    return control.mapTo(widget, QPoint(0, 0)), control.height()


def is_before(first, second, widget):
    """Whether a control is above another, or in the same row to its left, or around it."""
    if first.isAncestorOf(second) or second.isAncestorOf(first):
        return True
    (a, height), (b, _) = place(first, widget), place(second, widget)
    same_row = abs(a.y() - b.y()) < max(height // 2, 8)
    return a.x() < b.x() if same_row else a.y() < b.y()


def is_in_view(control):
    """Whether a control is not scrolled away: what is below an area that scrolls is above it."""
    return not control.visibleRegion().isEmpty()


@pytest.mark.parametrize("name", DOCKS)
def test_the_tab_key_goes_through_the_dock_as_it_is_read(viewer, own_config, qtbot, name):
    _, widget = viewer.window.add_plugin_dock_widget("napari-ini3d", name)
    qtbot.wait(100)
    controls = visited(widget)
    assert len(controls) > 1
    wrong = [
        (type(a).__name__, place(a, widget), type(b).__name__, place(b, widget))
        for a, b in pairwise(controls)
        if not is_before(a, b, widget) and is_in_view(a) and is_in_view(b)
    ]
    assert len(wrong) <= 1, wrong  # where the chain begins anew
