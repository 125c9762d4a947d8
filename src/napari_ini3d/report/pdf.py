"""The report of a run as a PDF file, which RELION shows as the log of a job."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imread

from napari_ini3d import __version__
from napari_ini3d.io import atomic_path
from napari_ini3d.report import run_figures as figures
from napari_ini3d.report.page import (
    RunHistory,
    final_views,
    key_figures,
    read_history,
    setting_rows,
)
from napari_ini3d.runs import (
    Outcome,
    RunFolder,
    SymmetryFiles,
    ValidationFiles,
    describe_junk,
    describe_resolution,
    describe_verdict,
)

_PAPER = (8.27, 11.69)  # A4, inches
_LINE = 0.022  # of the height of a page
_MARGIN = 0.08
_WRAP = 88
_MOST_CLASSES = 12


def write_pdf(folder: RunFolder, path: Path, *, outcome: Outcome | None = None) -> None:
    """Write the pages of the report of a run to a PDF file, completely or not at all.

    Parameters
    ----------
    folder : RunFolder
    path : Path
        File to write.
    outcome : {"SUCCESS", "FAILURE", "ABORTED"}, optional
        How the run ended, where it is not marked yet. Default: as it is marked.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    history = read_history(folder, outcome)
    info = {"Title": f"Initial model {folder.path.name}", "Creator": f"napari-ini3d {__version__}"}
    with atomic_path(path) as temporary, PdfPages(temporary, metadata=info) as pdf:
        pages = _pages(folder, history) if history else [_text_page(["No iteration was done."])]
        for page in pages:
            page.savefig(pdf, format="pdf")


def _pages(folder: RunFolder, history: RunHistory) -> Iterator[Figure]:
    yield _text_page(_summary(folder, history))
    facts = ValidationFiles(folder).read_facts()
    if facts is not None:
        yield _titled(figures.draw_half_maps(facts), "FSC of the independent half-sets")
    order = np.argsort(history.last.class_shares)[::-1][:_MOST_CLASSES].tolist()
    for k in order:
        views = final_views(folder, history, k)
        if views is not None:
            yield _titled(figures.draw_views(*views), f"Class {k + 1}: slices and projections")
    yield from _symmetry_page(folder)
    yield _titled(figures.draw_convergence(history.summaries), "Convergence by iteration")
    yield _titled(figures.draw_shells(history.last), "FSC and SSNR of the last iteration")
    pictures = history.strip.get(history.last.iteration) or {}
    for k, row in enumerate(pictures.get("view_counts", ())[:_MOST_CLASSES]):
        yield _titled(figures.draw_directions(row), f"Viewing directions of class {k + 1}")
    if "junk_counts" in pictures and math.isfinite(history.last.junk):
        junk = figures.draw_junk(pictures["junk_counts"])
        yield _titled(junk, "Images by their probability of junk")
    yield _text_page(_settings(history))


def _summary(folder: RunFolder, history: RunHistory) -> list[str]:
    last = history.last
    lines = [f"Initial model: {folder.path.name}", "", f"particles: {history.record.particles}"]
    lines += [f"status: {history.status}", ""]
    lines += [f"{name}: {value}" for name, value in key_figures(history).items()]
    facts = ValidationFiles(folder).read_facts()
    if facts is not None:
        lines += ["", f"verdict: {describe_verdict(facts)}"]
    symmetry = SymmetryFiles(folder).read_facts()
    if symmetry is not None:
        lines += ["", f"symmetry: {symmetry['verdict']}"]
    if junk := describe_junk(last):
        lines += ["", junk]
    lines.append("")
    for k, (share, resolution) in enumerate(zip(last.class_shares, last.resolution, strict=True)):
        shown = describe_resolution(resolution)
        lines.append(f"class {k + 1}: {share:.0%} of the particles, {shown}")
    return lines


def _settings(history: RunHistory) -> list[str]:
    rows = setting_rows(history.record)
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {value}" + " *" * bool(changed) for name, value, changed in rows]
    return ["Settings (* changed)", "", *lines, "", f"command: {history.record.command}"]


def _symmetry_page(folder: RunFolder) -> Iterator[Figure]:
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    if facts is None or not files.picture_path.is_file():
        return
    picture = imread(files.picture_path)
    height, width = picture.shape[:2]
    figure = Figure(figsize=(10.2, 10.2 * height / width))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(picture)
    axis.set_axis_off()
    yield _titled(figure, f"Symmetry: {facts['group']}")


def _text_page(lines: Sequence[str]) -> Figure:
    """Return a page of text, its first line as the title; long lines are wrapped."""
    figure = Figure(figsize=_PAPER)
    wrapped = [part for line in lines for part in (_wrap(line) or [""])]
    for i, line in enumerate(wrapped):
        place = (_MARGIN, 1 - _MARGIN - i * _LINE)
        text = figure.text(*place, line, va="top", size=9, family="monospace", parse_math=False)
        if i == 0:
            text.set(size=14, weight="bold", family="sans-serif")
    return figure


def _wrap(line: str) -> list[str]:
    """Break a line at blanks, and within words that are longer than a line."""
    return textwrap.wrap(line, _WRAP, subsequent_indent="    ", drop_whitespace=False)


def _titled(figure: Figure, title: str) -> Figure:
    """Return a figure on a higher page, with a title above it."""
    width, height = figure.get_size_inches()
    extra = 0.5  # inches
    figure.set_size_inches(width, height + extra)
    scale = height / (height + extra)
    for axis in figure.axes:
        box = axis.get_position()
        axis.set_position((box.x0, box.y0 * scale, box.width, box.height * scale))
    figure.text(0.02, 1 - 0.15 / (height + extra), title, va="top", size=12, weight="bold")
    return figure
