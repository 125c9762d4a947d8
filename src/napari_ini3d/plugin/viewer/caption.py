"""Caption on the canvas with the iteration that is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from weakref import ReferenceType, ref

from napari_ini3d.fourier import MAP_CRITERION
from napari_ini3d.report import SEPARATOR, break_caption

_CHARACTER = 0.85  # mean width, pixels per point of the font
_MARGIN = 24  # pixels


class Caption:
    """A text on the canvas of a viewer, unless the user has set one; it wraps with the canvas.

    Attributes
    ----------
    written : str
        The current text, as it is wrapped.
    """

    def __init__(self) -> None:
        self.written = ""
        self._text = ""
        self._viewer: ReferenceType[Any] | None = None

    def write(self, viewer: Any, text: str) -> None:
        """Show a text; an empty one hides the caption."""
        if self._viewer is None:
            self._viewer = ref(viewer)
            viewer.canvas.events.size.connect(self._wrap_again)
        self._text = text
        self._show(viewer)

    def _wrap_again(self, _event: object) -> None:
        viewer = None if self._viewer is None else self._viewer()
        if viewer is not None and self._text:
            self._show(viewer)

    def _show(self, viewer: Any) -> None:
        overlay = viewer.canvas.overlays.text
        _, width = viewer.canvas.size
        room = int((width - _MARGIN) / (_CHARACTER * overlay.font_size))
        text = "\n".join(break_caption(self._text, lambda line: len(line) <= room))
        if overlay.text not in ("", self.written):  # the user's
            return
        if text and not self.written:
            overlay.position = "bottom_left"  # notifications appear at the right
        if overlay.text != text:
            overlay.text = text
        overlay.visible = bool(text)
        self.written = text


def caption_of(name: str, iteration: int, resolution: Mapping[str, float]) -> str:
    """Return the caption for maps of a run, such as ``run · iteration 40 · 12.3 Å (FSC 0.5)``.

    Parameters
    ----------
    name : str
        Of the run.
    iteration : int
    resolution : mapping
        From the name of each class that is shown, empty if there is only one, to its resolution
        (Å); NaN if it has none.
    """
    parts = [name, f"iteration {iteration}"]
    for of_class, value in resolution.items():
        number = f"{value:.1f} Å" if math.isfinite(value) else ""
        parts.append(" ".join(filter(None, (of_class, number))))
    criterion = f" ({MAP_CRITERION})" if any(map(math.isfinite, resolution.values())) else ""
    return SEPARATOR.join(filter(None, parts)) + criterion
