"""A line of text in the picture that says which iteration it shows."""

from __future__ import annotations

import math
from typing import Any


class Caption:
    """Writes on the canvas of a viewer, unless the user has text of their own there.

    Attributes
    ----------
    written : str
        What stands there.
    """

    def __init__(self) -> None:
        self.written = ""

    def write(self, viewer: Any, text: str) -> None:
        """Show a text; nothing, where it is empty."""
        overlay = viewer.canvas.overlays.text
        if overlay.text not in ("", self.written):  # the user's
            return
        if text and not self.written:
            overlay.position = "bottom_left"  # notifications come at the right
        if overlay.text != text:
            overlay.text = text
        overlay.visible = bool(text)
        self.written = text


def caption_of(name: str, iteration: int, resolution: float | None) -> str:
    """Return what stands under a map of a run, such as ``ini3d_001 · iteration 40 · 12.3 Å``."""
    known = f" · {resolution:.1f} Å" if resolution and math.isfinite(resolution) else ""
    return f"{name} · iteration {iteration}{known}"
