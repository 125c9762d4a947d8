"""Button that shows the mask as a circle on the average of the particles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ReferenceType

from qtpy.QtWidgets import QPushButton

from napari_ini3d.plugin.viewer import MaskCircle, set_tooltip

if TYPE_CHECKING:
    import napari

    from napari_ini3d.preflight import Preview

_SHOW, _BUSY = "Show mask on average", "Preparing the circle … (click to cancel)"


class MaskButton(QPushButton):
    """Shows and hides the circle; checked while it is shown or prepared.

    Parameters
    ----------
    viewer : weak reference to a napari viewer
    diameter : callable
        Returns the mask diameter (Å).

    Attributes
    ----------
    circle : MaskCircle
    """

    def __init__(self, viewer: ReferenceType[napari.Viewer], diameter: Callable[[], float]) -> None:
        super().__init__(_SHOW)
        self.circle = MaskCircle(viewer)
        self._diameter = diameter
        self._preview: Preview | None = None
        self.setCheckable(True)
        set_tooltip(
            self,
            "Show the average of the particles with the mask as a circle. Drag its handles to "
            "change the mask diameter (Å).",
        )
        self.clicked.connect(self._on_clicked)
        self.circle.changed.connect(self._show_state)
        self.choose(None)

    def choose(self, preview: Preview | None) -> None:
        """Offer the circle for other particles; None while there are none, or no average."""
        if preview is None:
            self.circle.hide()
        self._preview = preview
        self.setEnabled(preview is not None and preview.average is not None)

    def _on_clicked(self, wanted: bool) -> None:
        if wanted and self._preview is not None:
            self.circle.show(self._preview, self._diameter())
        else:
            self.circle.hide()

    def _show_state(self) -> None:
        self.setText(_BUSY if self.circle.busy else _SHOW)
        self.setChecked(self.circle.shown or self.circle.busy)
