"""Caption on the canvas with the iteration that is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from napari_ini3d.runs import MAP_CRITERION


class Caption:
    """A text on the canvas of a viewer, unless the user has set one.

    Attributes
    ----------
    written : str
        The current text.
    """

    def __init__(self) -> None:
        self.written = ""

    def write(self, viewer: Any, text: str) -> None:
        """Show a text; an empty one hides the caption."""
        overlay = viewer.canvas.overlays.text
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
    return " · ".join(filter(None, parts)) + criterion
