"""Buttons for the classes of a run: side by side, and two of them compared."""

from __future__ import annotations

import functools
from itertools import combinations
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QMenu, QPushButton, QWidget
from superqt import QFlowLayout

from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin.compare import compare_layers
from napari_ini3d.plugin.session import LiveLayers
from napari_ini3d.plugin.viewer import get_metadata, set_tooltip

if TYPE_CHECKING:
    from napari.layers import Image

_PAIR = "Compare class {} with class {}"


class ClassPanel(QWidget):
    """Shows the classes of a run side by side, and compares two; hidden if there is only one.

    Parameters
    ----------
    layers : LiveLayers
    parent : QWidget
        Without one, a panel that becomes visible would open a window of its own.
    """

    def __init__(self, layers: LiveLayers, parent: QWidget) -> None:
        super().__init__(parent)
        self._layers = layers
        self._pairs: list[tuple[int, int]] = []
        self.side_by_side = QPushButton("Classes side by side")
        self.side_by_side.setCheckable(True)
        self.compare = QPushButton("Compare")
        self.compare.setMenu(QMenu(self.compare))
        row = QFlowLayout(self)  # wraps where large fonts need more room than there is
        row.setContentsMargins(4, 2, 4, 0)
        row.addWidget(self.side_by_side)
        row.addWidget(self.compare)
        set_tooltip(
            self.side_by_side,
            "Show each class in a cell of its own, with its share of the particles (%) and its "
            "resolution (Å). The cells rotate together. If off, the classes are drawn over each "
            "other.",
        )
        set_tooltip(
            self.compare,
            "Align one class to another, and show their FSC and both maps in the dock Compare "
            "maps.",
        )
        self.side_by_side.clicked.connect(self._on_side_by_side)
        layers.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the buttons that the maps of the run allow."""
        classes = [int(get_metadata(layer, "class_index")) for layer in self._layers.maps]
        pairs = list(combinations(sorted(classes), 2))
        self.side_by_side.setChecked(self._layers.side_by_side)
        if pairs != self._pairs:
            self._pairs = pairs
            menu: Any = self.compare.menu()
            menu.clear()
            for first, second in pairs:
                text = _PAIR.format(first + 1, second + 1)
                menu.addAction(text, functools.partial(self._on_compare, first, second))
        self.setVisible(bool(pairs))

    def _on_side_by_side(self, wanted: bool) -> None:
        self._layers.side_by_side = wanted

    def _on_compare(self, first: int, second: int) -> None:
        viewer = self._layers.viewer
        maps: dict[int, Image] = {
            int(get_metadata(layer, "class_index")): layer for layer in self._layers.maps
        }
        if viewer is None or first not in maps or second not in maps:
            return
        try:
            compare_layers(viewer, maps[first], maps[second])
        except Ini3dError as error:
            show_error(str(error))
