"""Captions of maps, which break between their parts where a picture or a canvas is narrow."""

from __future__ import annotations

from collections.abc import Callable

SEPARATOR = " · "
"""Between the parts of a caption."""


def break_caption(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return a caption as lines, as few as fit; a part that is too long alone has its own line."""
    lines: list[str] = []
    for part in text.split(SEPARATOR):
        longer = f"{lines[-1]}{SEPARATOR}{part}" if lines else part
        if lines and fits(longer):
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
