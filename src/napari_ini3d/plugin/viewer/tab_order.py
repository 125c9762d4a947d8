"""Order in which the Tab key goes through a dock: as it is read, not as it was constructed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLayout, QScrollArea, QStackedWidget, QTabWidget, QWidget


def set_tab_order(widget: QWidget) -> None:
    """Let the Tab key go through the controls of a widget in the order of its layouts.

    It does not stop at areas that scroll: they scroll to the control that has the focus.
    """
    for area in widget.findChildren(QScrollArea):
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    for before, after in pairwise(controls_in_order(widget)):
        QWidget.setTabOrder(before, after)


def controls_in_order(widget: QWidget) -> Iterator[QWidget]:
    """Return the controls of a widget that take the focus, row by row, hidden ones included."""
    layout = widget.layout()
    if isinstance(widget, QTabWidget):  # it takes the focus for its bar
        yield widget.tabBar()
        for number in range(widget.count()):
            yield from controls_in_order(widget.widget(number))
    elif isinstance(widget, QStackedWidget):
        for number in range(widget.count()):
            yield from controls_in_order(widget.widget(number))
    elif isinstance(widget, QScrollArea):
        yield from controls_in_order(widget.widget())
    elif widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    elif layout is not None:
        yield from _of_layout(layout)


def _of_layout(layout: QLayout) -> Iterator[QWidget]:
    numbers = list(range(layout.count()))
    if isinstance(layout, QGridLayout):  # filled in any order
        numbers.sort(key=lambda number: layout.getItemPosition(number)[:2])
    for number in numbers:
        item = layout.itemAt(number)
        inner, widget = item.layout(), item.widget()
        if widget is not None:
            yield from controls_in_order(widget)
        elif inner is not None:
            yield from _of_layout(inner)
