"""Colours as text."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ini3d._types import FloatArray


def hex_colour(colour: Sequence[float] | FloatArray) -> str:
    """Return red, green and blue from 0 to 1 as ``#rrggbb``; what follows them is left out."""
    red, green, blue = (round(255 * float(part)) for part in colour[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
