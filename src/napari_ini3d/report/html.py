"""Parts of the HTML pages: the frame, sections and tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from string import Template


def fill_template(title: str, body: str) -> str:
    """Return a page that needs no server, network or other file.

    Parameters
    ----------
    title : str
        Plain text.
    body : str
        HTML.
    """
    template = resources.files("napari_ini3d.report").joinpath("template.html").read_text("utf-8")
    return Template(template).substitute(title=escape(title), body=body)


def section(title: str, content: str, note: str = "") -> str:
    """Return a section; title, content and note are HTML."""
    tail = f"<p class='note'>{note}</p>" if note else ""
    return f"<section><h2>{title}</h2>{content}{tail}</section>"


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return a table of plain texts."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header) if any(header) else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def duration(seconds: float) -> str:
    """Return a duration as text: ``40 s``, ``12 min 05 s``, ``3 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
