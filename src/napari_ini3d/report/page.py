"""Report page of a run: one HTML file that needs no server, network or other file."""

from __future__ import annotations

import base64
import dataclasses
import math
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version

import numpy as np
from matplotlib.figure import Figure

from napari_ini3d import __version__
from napari_ini3d._types import AnyArray
from napari_ini3d.io import read_map
from napari_ini3d.report import run_figures as figures
from napari_ini3d.report.html import duration, fill_template, section, table
from napari_ini3d.runs import (
    IterationSummary,
    Outcome,
    RunFolder,
    RunRecord,
    SymmetryFiles,
    ValidationFiles,
    central_slices,
    describe_inversion,
    describe_junk,
    describe_mended,
    describe_outcome,
    describe_resolution,
    describe_uneven,
    describe_verdict,
    projections,
    read_summaries,
)
from napari_ini3d.settings import format_setting

STRIP_LENGTH = 8
"""Maximum number of iterations that are shown side by side."""

_MOST_CLASSES = 12
_PACKAGES = ("numpy", "scipy", "numba", "mrcfile")

Pictures = dict[str, AnyArray]


@dataclass(frozen=True, slots=True)
class RunHistory:
    """Record and iterations of a run.

    Attributes
    ----------
    record : RunRecord
    summaries : tuple of IterationSummary
        In order; at least one.
    strip : dict
        Slices and projections by iteration, for the iterations that are shown.
    status : str
        How the run ended, such as "finished".
    """

    record: RunRecord
    summaries: tuple[IterationSummary, ...]
    strip: dict[int, Pictures]
    status: str

    @property
    def last(self) -> IterationSummary:
        """The last iteration."""
        return self.summaries[-1]


def format_page(folder: RunFolder, outcome: Outcome | None = None) -> str:
    """Return the text of the report page, made from the files of a run."""
    history = read_history(folder, outcome)
    body = (
        "\n".join(_sections(folder, history)) if history else "<p>No iteration has been done.</p>"
    )
    return fill_template(folder.path.name, body)


def read_history(folder: RunFolder, outcome: Outcome | None = None) -> RunHistory | None:
    """Read the record, summaries and pictures of a run; None before its first iteration."""
    summaries = tuple(read_summaries(folder))
    if not summaries:
        return None
    shown = choose_iterations([summary.iteration for summary in summaries])
    strip = {i: pictures for i in shown if (pictures := folder.read_pictures(i)) is not None}
    status = describe_outcome(folder, outcome)
    return RunHistory(folder.read_record(), summaries, strip, status)


def choose_iterations(iterations: Sequence[int], count: int = STRIP_LENGTH) -> list[int]:
    """Choose the first, the last and some other iterations, denser at the start of the run."""
    n = len(iterations)
    if n <= count:
        return list(iterations)
    spread = np.round((n - 1) * np.linspace(0, 1, count) ** 1.5).astype(int)
    positions = np.maximum(spread, np.arange(count))  # none twice
    return [iterations[position] for position in positions]


def _sections(folder: RunFolder, history: RunHistory) -> Iterator[str]:
    yield _heading(folder, history)
    yield _validation(folder)
    yield _maps(folder, history)
    yield _symmetry(folder)
    yield section(
        "Convergence",
        _image(figures.draw_convergence(history.summaries), "Convergence over the iterations"),
        "Shaded: the random starts, the refinement and the final pass. "
        + _legend(len(history.last.resolution)),
    )
    yield section(
        "FSC and SSNR",
        _image(figures.draw_shells(history.last), "FSC and SSNR of the last iteration"),
        "Last iteration. Both half-sets are aligned to the same map, so this FSC is not a "
        "gold-standard FSC. Dotted lines: 0.5 and 0.143.",
    )
    yield _directions(history)
    yield _junk(history)
    yield _messages(history)
    yield _timings(history)
    yield _images(history.record)
    yield _settings_table(history.record)
    yield _origin(history.record)


def key_figures(history: RunHistory) -> dict[str, str]:
    """Return what the heading says about a run, by its name; those that there are."""
    last, record = history.last, history.record
    seconds = math.fsum(summary.total_seconds for summary in history.summaries)
    used = record.n_particles - len(record.excluded)
    tiles = {
        "resolution": describe_resolution(last.best_resolution, "none yet"),
        "iterations": _describe_iterations(last),
        "particles": f"{used:,}".replace(",", " "),
        "excluded": f"{len(record.excluded)}",
        "junk": f"{last.junk:.0%}" if math.isfinite(last.junk) else "",
        "classes": f"{len(last.resolution)}",
        "time": duration(seconds),
    }
    return {name: value for name, value in tiles.items() if value}


def _heading(folder: RunFolder, history: RunHistory) -> str:
    record, tiles = history.record, key_figures(history)
    cells = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in tiles.items())
    return (
        f"<header><h1>{escape(folder.path.name)}</h1>"
        f"<p>Initial model from <code>{escape(record.particles)}</code>{_working_box(history)}. "
        f"Status: {escape(history.status)}.</p><dl class='tiles'>{cells}</dl></header>"
    )


def _working_box(history: RunHistory) -> str:
    """Return the box in which the particles were processed, if it is not their own."""
    pixel_size = history.record.working_pixel_size
    if pixel_size is None:
        return ""
    return f", processed in a box of {history.last.box_size} pixels of {pixel_size:.4g} Å"


def _describe_iterations(last: IterationSummary) -> str:
    early = last.converged and last.iteration < last.n_iterations
    return f"{last.iteration}, converged" if early else f"{last.iteration} of {last.n_iterations}"


def _maps(folder: RunFolder, history: RunHistory) -> str:
    shares = history.last.class_shares
    order = np.argsort(shares)[::-1][:_MOST_CLASSES].tolist()
    parts = [_class_maps(folder, history, k, unfolded=k == order[0]) for k in order]
    note = ""
    if len(shares) > len(order):
        note = f"Only the {len(order)} largest of {len(shares)} classes are shown."
    return section("Maps", "".join(parts), note)


def _class_maps(folder: RunFolder, history: RunHistory, k: int, *, unfolded: bool) -> str:
    last = history.last
    shown = describe_resolution(last.resolution[k])
    columns = {
        i: (pictures["slices"][k], pictures["projections"][k])
        for i, pictures in history.strip.items()
        if k < len(pictures["slices"])
    }
    views = final_views(folder, history, k)
    large = _image(figures.draw_views(*views), f"Final map of class {k + 1}") if views else ""
    strip = _image(figures.draw_strip(columns), f"Class {k + 1} by iteration") if columns else ""
    return (
        f"<h3>Class {k + 1}: {last.class_shares[k]:.0%} of the particles, {shown}</h3>"
        f"{large}<details{' open' if unfolded else ''}>"
        f"<summary>Earlier iterations</summary>{strip}</details>"
    )


def final_views(folder: RunFolder, history: RunHistory, k: int) -> tuple[AnyArray, AnyArray] | None:
    """Return slices and projections of the last map, or its small ones if it was not written."""
    path = folder.class_map_path(history.last.iteration, k)
    if path.is_file():
        volume = read_map(path, allow_empty=True).data
        return central_slices(volume), projections(volume)
    pictures = history.strip.get(history.last.iteration)
    return (pictures["slices"][k], pictures["projections"][k]) if pictures else None


def _symmetry(folder: RunFolder) -> str:
    """Return the result of the symmetry search, if there was one."""
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    if facts is None or not files.picture_path.is_file():
        return ""
    picture = base64.b64encode(files.picture_path.read_bytes()).decode("ascii")
    written = [files.aligned_path, files.symmetrised_path, files.particles_path]
    names = ", ".join(f"<code>{path.name}</code>" for path in written if path.is_file())
    return section(
        f"Symmetry: {facts['group']}",
        f"<p>{escape(facts['verdict'])}</p>"
        f"<img alt='The map with its symmetry axes' src='data:image/png;base64,{picture}'>",
        f"Requested: {escape(facts['requested'])}. " + (f"Output files: {names}." if names else ""),
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
    return section(
        "Viewing directions",
        f"<div class='row'>{images}</div>",
        "Mollweide projection with +z at the top, relative to a uniform distribution.",
    )


def _validation(folder: RunFolder) -> str:
    """Show the verdict on the run, and the FSC of the independent half-sets."""
    facts = ValidationFiles(folder).read_facts()
    if facts is None:
        return ""
    return section(
        "Verdict",
        f"<p>{escape(describe_verdict(facts))}</p>"
        + _image(figures.draw_half_maps(facts), "FSC of the independent half-sets"),
        "Two half-sets of the particles, refined independently. Within the mask, which was grown "
        "from the map, and corrected for it by phase randomisation. Dotted lines: 0.5 and 0.143.",
    )


def _junk(history: RunHistory) -> str:
    """Show how sure it is of each image whether it is junk, once the search has begun."""
    pictures = history.strip.get(history.last.iteration) or {}
    if "junk_counts" not in pictures or not math.isfinite(history.last.junk):
        return ""
    return section(
        "Junk",
        _image(figures.draw_junk(pictures["junk_counts"]), "Images by their probability of junk"),
        f"{describe_junk(history.last) or 'Almost no image is junk'}. Probability that an image "
        "shows no particle like that of the map, the column <code>ini3dJunkProbability</code> of "
        "the particles.",
    )


def _messages(history: RunHistory) -> str:
    """List the messages of the iterations, without consecutive repetitions."""
    rows, before = [], ""
    for summary in history.summaries:
        if summary.message and summary.message != before:
            rows.append((str(summary.iteration), summary.message))
        before = summary.message
    return section("Messages", table(rows, ("iteration", "message"))) if rows else ""


def _timings(history: RunHistory) -> str:
    stages: defaultdict[str, float] = defaultdict(float)
    for summary in history.summaries:
        for stage, value in summary.seconds.items():
            if stage != "total" and "/" not in stage:  # a part is contained in its stage
                stages[stage] += value
    if not stages:
        return ""
    return section("Time per stage", _image(figures.draw_stages(stages), "Seconds per stage"))


def _images(record: RunRecord) -> str:
    rows = [("outlier pixels", describe_mended(record)), ("background", describe_uneven(record))]
    if record.contrast:
        rows.append(("contrast", describe_inversion(record)))
    return section("Images", table(rows, ("", "")))


def setting_rows(record: RunRecord) -> list[tuple[str, str, str]]:
    """Return name, value and "changed" of each setting."""
    rows = []
    for field in dataclasses.fields(record.settings):
        value = getattr(record.settings, field.name)
        text = format_setting(field.name, value)
        changed = value != field.default
        if field.name == "mask_diameter" and record.mask_estimated:
            text, changed = f"{text} (estimated from the images)", False
        if field.name == "invert_contrast" and record.inversion_measured:
            text, changed = f"{text} (by the contrast of the images)", False
        rows.append((field.name.replace("_", " "), text, "changed" if changed else ""))
    return rows


def _settings_table(record: RunRecord) -> str:
    return section("Settings", table(setting_rows(record), ("setting", "value", "")))


def _origin(record: RunRecord) -> str:
    rows = [
        ("started", record.started),
        ("command", record.command or "from Python"),
        ("SHA-256 of the particles", record.particles_sha256),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("napari-ini3d", __version__),
        *((name, version(name)) for name in _PACKAGES),
    ]
    if record.version != __version__:
        rows.insert(0, ("started by version", record.version))
    return section("Versions and input", table(rows, ("", "")))


def _image(figure: Figure, description: str) -> str:
    return f"<img alt='{escape(description)}' src='{figures.encode_png(figure)}'>"


def _legend(n_classes: int) -> str:
    if n_classes == 1:
        return ""
    return " ".join(
        f"<span class='key' style='--c:{figures.colour_of(k)}'>class {k + 1}</span>"
        for k in range(n_classes)
    )
