"""`report.html`: a run as one page that needs no server, no network and no other file."""

from __future__ import annotations

import base64
import dataclasses
import math
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from napari_ini3d._types import AnyArray
from napari_ini3d.io import atomic_path, read_map
from napari_ini3d.report import run_figures as figures
from napari_ini3d.runs import (
    IterationSummary,
    RunFolder,
    RunRecord,
    SymmetryFiles,
    central_slices,
    projections,
)

STRIP_LENGTH = 8
"""Iterations shown side by side."""

_MOST_CLASSES = 12
_PACKAGES = ("napari-ini3d", "numpy", "scipy", "numba", "mrcfile")
_VERDICTS = {"SUCCESS": "finished", "FAILURE": "failed", "ABORTED": "stopped before its end"}

Pictures = dict[str, AnyArray]


@dataclass(frozen=True, slots=True)
class RunHistory:
    """What is on disk about a run.

    Attributes
    ----------
    record : RunRecord
    summaries : tuple of IterationSummary
        In order; at least one.
    strip : dict
        From the iteration to its pictures, for the iterations that are shown.
    verdict : str
        How the run ended, in words.
    """

    record: RunRecord
    summaries: tuple[IterationSummary, ...]
    strip: dict[int, Pictures]
    verdict: str

    @property
    def last(self) -> IterationSummary:
        """The last iteration."""
        return self.summaries[-1]


def write_report(folder: RunFolder) -> Path:
    """Write `report.html` from what is on disk; return its path.

    Before the first iteration there is nothing to show; the page says so.
    """
    history = read_history(folder)
    body = "\n".join(_sections(folder, history)) if history else "<p>No iteration was done.</p>"
    template = Template(
        resources.files("napari_ini3d.report").joinpath("template.html").read_text("utf-8")
    )
    page = template.substitute(title=escape(folder.path.name), body=body)
    with atomic_path(folder.report_path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder.report_path


def read_history(folder: RunFolder) -> RunHistory | None:
    """Read record, summaries and pictures; None where no iteration was done."""
    summaries = tuple(IterationSummary.from_json(line) for line in folder.read_progress())
    if not summaries:
        return None
    shown = choose_iterations([summary.iteration for summary in summaries])
    strip = {i: pictures for i in shown if (pictures := folder.read_pictures(i)) is not None}
    outcome = folder.outcome()
    verdict = "going on, or killed" if outcome is None else _VERDICTS[outcome]
    return RunHistory(folder.read_record(), summaries, strip, verdict)


def choose_iterations(iterations: Sequence[int], count: int = STRIP_LENGTH) -> list[int]:
    """Choose the first, the last, and some between, closer together where more happens: early."""
    n = len(iterations)
    if n <= count:
        return list(iterations)
    spread = np.round((n - 1) * np.linspace(0, 1, count) ** 1.5).astype(int)
    places = np.maximum(spread, np.arange(count))  # no place twice
    return [iterations[place] for place in places]


def _sections(folder: RunFolder, history: RunHistory) -> Iterator[str]:
    yield _heading(folder, history)
    yield _maps(folder, history)
    yield _symmetry(folder)
    yield _section(
        "Course of the run",
        _image(figures.draw_course(history.summaries), "Numbers of the run over its iterations"),
        "Shaded: the phase of several starts, the refinement and the last pass. "
        + _legend(len(history.last.resolution)),
    )
    yield _section(
        "Fourier shells",
        _image(figures.draw_shells(history.last), "FSC and SSNR of the last iteration"),
        "Last iteration. The halves of a gradient run share their map, so that this FSC guides "
        "the run; it is no gold-standard resolution. Dotted: 0.5 and 0.143.",
    )
    yield _directions(history)
    yield _messages(history)
    yield _timings(history)
    yield _settings_table(history.record)
    yield _origin(history.record)


def _heading(folder: RunFolder, history: RunHistory) -> str:
    last, record = history.last, history.record
    seconds = math.fsum(summary.total_seconds for summary in history.summaries)
    used = record.n_particles - len(record.excluded)
    resolution = last.best_resolution
    tiles = {
        "resolution": f"{resolution:.1f} Å" if math.isfinite(resolution) else "none yet",
        "iterations": _describe_iterations(last),
        "particles": f"{used:,}".replace(",", " "),
        "set aside": f"{len(record.excluded)}",
        "classes": f"{len(last.resolution)}",
        "time": _duration(seconds),
    }
    cells = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in tiles.items())
    return (
        f"<header><h1>{escape(folder.path.name)}</h1>"
        f"<p>Initial model from <code>{escape(record.particles)}</code>{_working_box(history)}. "
        f"The run {escape(history.verdict)}.</p><dl class='tiles'>{cells}</dl></header>"
    )


def _working_box(history: RunHistory) -> str:
    """Say in which box the particles were worked on, where it is not their own."""
    pixel_size = history.record.working_pixel_size
    if pixel_size is None:
        return ""
    return f", worked on in {history.last.box_size} pixels of {pixel_size:.4g} Å"


def _describe_iterations(last: IterationSummary) -> str:
    early = last.converged and last.iteration < last.n_iterations
    return f"{last.iteration}, converged" if early else f"{last.iteration} of {last.n_iterations}"


def _maps(folder: RunFolder, history: RunHistory) -> str:
    shares = history.last.class_shares
    order = np.argsort(shares)[::-1][:_MOST_CLASSES].tolist()
    parts = [_class_maps(folder, history, k, unfolded=k == order[0]) for k in order]
    note = ""
    if len(shares) > len(order):
        note = f"The {len(order)} largest of {len(shares)} classes are shown."
    return _section("Maps", "".join(parts), note)


def _class_maps(folder: RunFolder, history: RunHistory, k: int, *, unfolded: bool) -> str:
    last = history.last
    resolution = last.resolution[k]
    shown = f"{resolution:.1f} Å" if math.isfinite(resolution) else "no resolution yet"
    columns = {
        i: (pictures["slices"][k], pictures["projections"][k])
        for i, pictures in history.strip.items()
        if k < len(pictures["slices"])
    }
    views = _final_views(folder, history, k)
    large = _image(figures.draw_views(*views), f"Class {k + 1} at the end") if views else ""
    strip = _image(figures.draw_strip(columns), f"Class {k + 1} along the run") if columns else ""
    return (
        f"<h3>Class {k + 1}: {last.class_shares[k]:.0%} of the particles, {shown}</h3>"
        f"{large}<details{' open' if unfolded else ''}>"
        f"<summary>Along the run, by iteration</summary>{strip}</details>"
    )


def _final_views(
    folder: RunFolder, history: RunHistory, k: int
) -> tuple[AnyArray, AnyArray] | None:
    """Return slices and projections of the last map; from the small pictures if need be."""
    path = folder.class_map_path(history.last.iteration, k)
    if path.is_file():
        volume = read_map(path).data
        return central_slices(volume), projections(volume)
    pictures = history.strip.get(history.last.iteration)
    return (pictures["slices"][k], pictures["projections"][k]) if pictures else None


def _symmetry(folder: RunFolder) -> str:
    """Show what was found about the symmetry, where it was asked for."""
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    if facts is None or not files.picture_path.is_file():
        return ""
    picture = base64.b64encode(files.picture_path.read_bytes()).decode("ascii")
    written = [files.aligned_path, files.symmetrised_path, files.particles_path]
    names = ", ".join(f"<code>{path.name}</code>" for path in written if path.is_file())
    return _section(
        f"Symmetry: {facts['group']}",
        f"<p>{escape(facts['verdict'])}</p>"
        f"<img alt='The map with its symmetry axes' src='data:image/png;base64,{picture}'>",
        f"Asked for: {escape(facts['asked'])}. " + (f"Written: {names}." if names else ""),
    )


def _directions(history: RunHistory) -> str:
    pictures = history.strip.get(history.last.iteration)
    if not pictures or not pictures["view_counts"].size:
        return ""
    counts = pictures["view_counts"][:_MOST_CLASSES]
    images = "".join(
        f"<figure>{_image(figures.draw_directions(row), f'Viewing directions of class {k + 1}')}"
        f"<figcaption>class {k + 1}</figcaption></figure>"
        for k, row in enumerate(counts)
    )
    return _section(
        "Viewing directions",
        f"<div class='row'>{images}</div>",
        "Mollweide projection of the sphere, north is +z; even coverage is 1 everywhere.",
    )


def _messages(history: RunHistory) -> str:
    """List what was said, each sentence once where it is repeated in a row."""
    rows, before = [], ""
    for summary in history.summaries:
        if summary.message and summary.message != before:
            rows.append((str(summary.iteration), summary.message))
        before = summary.message
    return _section("Messages", _table(rows, ("iteration", "message"))) if rows else ""


def _timings(history: RunHistory) -> str:
    stages: defaultdict[str, float] = defaultdict(float)
    for summary in history.summaries:
        for stage, value in summary.seconds.items():
            if stage != "total" and "/" not in stage:  # parts are in their stage already
                stages[stage] += value
    if not stages:
        return ""
    return _section("Time per stage", _image(figures.draw_stages(stages), "Seconds per stage"))


def _settings_table(record: RunRecord) -> str:
    rows = []
    for field in dataclasses.fields(record.settings):
        value = getattr(record.settings, field.name)
        unit = field.metadata["info"].unit
        text = _readable(value) + (f" {unit}" if unit and value is not None else "")
        if field.name == "scratch" and value is None:
            text = "none"
        if field.name == "mask_diameter" and record.mask_estimated:
            text += " (estimated from the images)"
        changed = value != field.default
        rows.append((field.name.replace("_", " "), text, "" if not changed else "changed"))
    return _section("Settings", _table(rows, ("setting", "value", "")))


def _origin(record: RunRecord) -> str:
    rows = [
        ("started", record.started),
        ("command", record.command or "from Python"),
        ("SHA-256 of the particles", record.particles_sha256),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *((name, _version_of(name)) for name in _PACKAGES),
    ]
    if record.version != _version_of("napari-ini3d"):
        rows.insert(0, ("run started by version", record.version))
    return _section("Versions and origin", _table(rows, ("", "")))


def _section(title: str, content: str, note: str = "") -> str:
    tail = f"<p class='note'>{note}</p>" if note else ""
    return f"<section><h2>{title}</h2>{content}{tail}</section>"


def _image(figure: Figure, description: str) -> str:
    return f"<img alt='{escape(description)}' src='{figures.encode_png(figure)}'>"


def _legend(n_classes: int) -> str:
    if n_classes == 1:
        return ""
    return " ".join(
        f"<span class='key' style='--c:{figures.colour_of(k)}'>class {k + 1}</span>"
        for k in range(n_classes)
    )


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header) if any(header) else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _readable(value: Any) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
