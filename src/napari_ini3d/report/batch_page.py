"""Page of a batch: one row for each job, with a link to its report."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path
from napari_ini3d.report.html import duration, fill_template, section
from napari_ini3d.runs import JobSummary

_MARK = "<!-- ini3d batch -->"

BATCH_COLUMNS = (
    "job",
    "state",
    "particles",
    "K",
    "symmetry",
    "verdict",
    "resolution",
    "criterion",
    "time",
)
"""Headings of the cells of `batch_cells`."""


def batch_cells(summary: JobSummary) -> tuple[str, ...]:
    """Return the texts of a job in the table of a batch; empty where nothing is known."""
    entry, (resolution, criterion) = summary.entry, summary.resolution
    known = math.isfinite(resolution)
    return (
        summary.name,
        summary.state,
        f"{entry.n_particles:,}".replace(",", " ") if entry else "",
        str(entry.n_classes) if entry else "",
        entry.symmetry if entry else "",
        entry.verdict if entry else "",
        f"{resolution:.1f} Å" if known else "",
        criterion,
        duration(summary.seconds) if summary.seconds else "",
    )


def check_batch_page(path: Path) -> None:
    """Raise `RunFolderError` if a file that is no page of a batch would be replaced."""
    if not path.parent.is_dir():
        raise RunFolderError(f"{path.parent} is no folder; create it, or give another --page")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"no permission to write in {path.parent}; give a file in another folder by --page"
        )
    if not path.exists():
        return
    try:
        is_ours = path.is_file() and _MARK in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        is_ours = False
    if not is_ours:
        raise RunFolderError(
            f"{path} exists and is no page of a batch; give another file by --page, or rename it"
        )


def write_batch_page(path: Path, title: str, summaries: Sequence[JobSummary]) -> None:
    """Write the table of a batch as one HTML file that needs no other.

    Parameters
    ----------
    path : Path
        Of the page; links are relative to its folder.
    title : str
    summaries : sequence of JobSummary
    """
    header = "".join(f"<th>{escape(name)}</th>" for name in (*BATCH_COLUMNS, "report"))
    rows = "".join(_row(path, summary) for summary in summaries)
    counts = Counter(summary.state for summary in summaries)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    errors = "".join(
        f"<h3>{escape(each.name)}</h3><p>{escape(each.error)}</p>"
        for each in summaries
        if each.error
    )
    table = f"<table class='jobs'><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
    body = (
        f"{_MARK}<header><h1>{escape(title)}</h1><p>{len(summaries)} jobs: {states}.</p></header>"
        + section("Results", table)
        + (section("Errors", errors) if errors else "")
    )
    with atomic_path(path) as temporary:
        temporary.write_text(fill_template(title, body), encoding="utf-8")


def _row(page: Path, summary: JobSummary) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in batch_cells(summary))
    report = summary.report_path
    link = f"<a href='{escape(_link(page, report))}'>report</a>" if report else ""
    return f"<tr>{cells}<td>{link}</td></tr>"


def _link(page: Path, target: Path) -> str:
    """Return the address of a file relative to a page; absolute on another drive of Windows."""
    try:
        return quote(Path(os.path.relpath(target, page.parent)).as_posix())
    except ValueError:
        return target.absolute().as_uri()
