"""Figures of the report page of a run, legible on light and dark backgrounds."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.spatial import cKDTree

from napari_ini3d._types import FloatArray, IntArray
from napari_ini3d.comparison import MapComparison
from napari_ini3d.geometry import pixel_directions
from napari_ini3d.io import atomic_path
from napari_ini3d.runs import IterationSummary

INK = "#7b8490"  # readable on white and on near-black
_GRID = "#7b849040"
_COLOURS = (
    "#3b82c4", "#e08a2e", "#3f9e6b", "#c9524f", "#8a6cc2", "#a87b52", "#c86fa5", "#7d9a2b",
)  # fmt: skip
_PHASE_SHADES = {"starts": 0.10, "search": 0.0, "refine": 0.10, "final": 0.22}
_AXES = ("z", "y", "x")
_DPI = 110
_LEAST_SIDE = 4  # of the HEALPix grid that is drawn


def colour_of(class_index: int) -> str:
    """Return the colour of a class (from 0) in all figures."""
    if class_index < len(_COLOURS):
        return _COLOURS[class_index]
    from matplotlib import colormaps

    return to_hex(colormaps["viridis"]((class_index * 0.618) % 1))


def encode_png(figure: Figure) -> str:
    """Return a figure as a data URI."""
    return "data:image/png;base64," + base64.b64encode(render_png(figure, transparent=True)).decode(
        "ascii"
    )


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure with a white background to a PNG file, completely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(render_png(figure, transparent=False))


def render_png(figure: Figure, *, transparent: bool) -> bytes:
    """Return a figure as a PNG file."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, transparent=transparent)
    return buffer.getvalue()


def draw_views(slices: FloatArray, projections: FloatArray) -> Figure:
    """Draw central slices and projections of a map in two rows.

    Parameters
    ----------
    slices, projections : (3, n, n)
        Perpendicular to, and along, z, y and x.
    """
    return _draw_tiles([slices, projections], ("central slice", "projection"), _AXES, width=8.4)


def draw_strip(columns: Mapping[int, tuple[FloatArray, FloatArray]]) -> Figure:
    """Draw slices and projections of a map during the run, one column per iteration.

    Parameters
    ----------
    columns : mapping
        Slices and projections by iteration, each (3, m, m).
    """
    tiles = np.stack([np.concatenate(images) for images in columns.values()], axis=1)
    labels = [f"{kind} {axis}" for kind in ("slice", "projection") for axis in _AXES]
    return _draw_tiles(tiles, labels, list(map(str, columns)), width=1.2 * len(columns) + 0.6)


def draw_convergence(summaries: Sequence[IterationSummary]) -> Figure:
    """Draw resolution, Pmax, map change, class shares, angular step and subset by iteration."""
    figure = Figure(figsize=(10.2, 8.2))
    axes = figure.subplots(3, 2, sharex=True, gridspec_kw=_margins(10.2, 8.2, rows=3)).ravel()
    panels: tuple[tuple[Axes, str, Callable[[IterationSummary], list[float]]], ...] = (
        (axes[0], "resolution / Å", lambda s: s.resolution),
        (axes[1], "mean maximum probability", lambda s: [s.mean_max_probability]),
        (axes[2], "relative change of the map", lambda s: s.map_change),
        (axes[3], "class share", lambda s: s.class_shares),
        (axes[4], "angular step / °", lambda s: [s.angular_step]),
        (axes[5], "particles used", lambda s: [s.subset_size]),
    )
    for axis, label, values in panels:
        style_axis(axis, label)
        _shade_phases(axis, summaries)
        _plot_classes(axis, summaries, values)
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].yaxis.set_minor_formatter(FuncFormatter(_label_some))
    if any(value > 0 for s in summaries for value in s.map_change):
        axes[2].set_yscale("log")
    axes[1].set_ylim(0, 1.02)
    axes[3].set_ylim(0, 1.02)
    for axis in axes[4:]:
        axis.set_xlabel("iteration", color=INK)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_shells(summary: IterationSummary) -> Figure:
    """Draw FSC and SSNR of the last iteration against spatial frequency."""
    figure = Figure(figsize=(10.2, 3.3))
    left, right = figure.subplots(1, 2, gridspec_kw=_margins(10.2, 3.3))
    width = summary.box_size * summary.voxel_size
    style_axis(left, "FSC between half-sets")
    style_axis(right, "SSNR")
    for k, (fsc, ssnr) in enumerate(zip(summary.fsc, summary.ssnr, strict=True)):
        left.plot(np.arange(len(fsc)) / width, fsc, color=colour_of(k), lw=1.6)
        positive = np.where(np.asarray(ssnr) > 0, ssnr, np.nan)
        right.plot(np.arange(len(ssnr)) / width, positive, color=colour_of(k), lw=1.6)
    for level in (0.5, 0.143):
        left.axhline(level, color=INK, lw=0.8, ls=":")
    left.set_ylim(-0.1, 1.05)
    if any(value > 0 for curve in summary.ssnr for value in curve):
        right.set_yscale("log")
        right.set_ylim(bottom=1e-3)
    for axis in (left, right):
        axis.set_xlabel("resolution / Å", color=INK)
        axis.set_xlim(0, 0.5 / summary.voxel_size)
        axis.xaxis.set_major_formatter(FuncFormatter(label_resolution))
    return figure


def draw_half_maps(facts: Mapping[str, Any]) -> Figure:
    """Draw the FSC of independent half-sets, with and without the correction for the mask.

    Parameters
    ----------
    facts : mapping
        From `runs.ValidationFiles.read_facts`.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.add_subplot()
    style_axis(axis, "FSC of independent half-sets")
    curves, width = facts["fsc"], facts["box_size"] * facts["voxel_size"]
    drawn = {
        "unmasked": "whole map",
        "masked": "in the mask",
        "randomised": "in the mask, random phases",
        "corrected": "corrected",
    }
    for i, (name, label) in enumerate(drawn.items()):
        frequency = np.arange(len(curves[name])) / width
        last = name == "corrected"
        axis.plot(frequency, curves[name], color=colour_of(i), lw=2.0 if last else 1.0, label=label)
    for level in (0.5, 0.143):
        axis.axhline(level, color=INK, lw=0.8, ls=":")
    axis.set_ylim(-0.1, 1.05)
    axis.set_xlim(0, 0.5 / facts["voxel_size"])
    axis.set_xlabel("resolution / Å", color=INK)
    axis.xaxis.set_major_formatter(FuncFormatter(label_resolution))
    axis.legend(frameon=False, labelcolor=INK, fontsize=9)
    return figure


def draw_comparison(found: MapComparison) -> Figure:
    """Draw the FSC of two maps before and after alignment."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axis = figure.add_subplot()
    style_axis(axis, "Fourier shell correlation")
    if found.registration is not None:
        axis.plot(found.frequency, found.fsc_as_is, color=INK, lw=1.0, label="before alignment")
    axis.plot(found.frequency, found.fsc, color=_COLOURS[0], lw=1.8, label="after alignment")
    for level in (0.5, 0.143):
        axis.axhline(level, color=INK, lw=0.8, ls=":")
    axis.set_ylim(-0.1, 1.05)
    axis.set_xlim(0, found.frequency[-1])
    axis.set_xlabel("resolution / Å", color=INK)
    axis.xaxis.set_major_formatter(FuncFormatter(label_resolution))
    if found.registration is not None:
        axis.legend(frameon=False, labelcolor=INK, fontsize=9)
    return figure


def draw_directions(view_counts: FloatArray) -> Figure:
    """Draw the viewing directions of a class on the sphere, relative to a uniform distribution.

    Parameters
    ----------
    view_counts : (M,)
        Count per pixel of a HEALPix grid in the nested order of `pixel_directions`. The grid is
        coarsened if the counts are low.
    """
    view_counts = _pool_directions(view_counts)
    side = math.isqrt(len(view_counts) // 12)
    lon = np.linspace(-np.pi, np.pi, 241)
    lat = np.linspace(-np.pi / 2, np.pi / 2, 121)
    lon_centre, lat_centre = np.meshgrid((lon[1:] + lon[:-1]) / 2, (lat[1:] + lat[:-1]) / 2)
    towards = np.stack(
        [
            np.cos(lat_centre) * np.cos(lon_centre),
            np.cos(lat_centre) * np.sin(lon_centre),
            np.sin(lat_centre),
        ],
        axis=-1,
    )
    _, nearest = cKDTree(pixel_directions(side)).query(towards)
    total = float(np.sum(view_counts))
    relative = np.asarray(view_counts) * (len(view_counts) / total if total > 0 else 0.0)
    figure = Figure(figsize=(5.0, 3.1), layout="constrained")
    axis = figure.add_subplot(projection="mollweide")
    mesh = axis.pcolormesh(lon, lat, relative[nearest], cmap="magma", vmin=0, rasterized=True)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines["geo"].set_color(INK)
    bar = figure.colorbar(mesh, ax=axis, orientation="horizontal", shrink=0.7, aspect=35, pad=0.04)
    bar.set_label("density relative to uniform", color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8)
    bar.outline.set_edgecolor(INK)
    return figure


def _pool_directions(view_counts: FloatArray) -> FloatArray:
    """Sum groups of four neighbours (consecutive) until the mean count per pixel is 10."""
    while len(view_counts) > 12 * _LEAST_SIDE**2 and np.sum(view_counts) < 10 * len(view_counts):
        view_counts = view_counts.reshape(-1, 4).sum(axis=1)
    return view_counts


def draw_junk(counts: IntArray) -> Figure:
    """Draw how many images have which probability of junk.

    Parameters
    ----------
    counts : (B,)
        Images in bins of equal width from 0 to 1.
    """
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axis = figure.add_subplot()
    style_axis(axis, "images")
    edges = np.linspace(0, 1, len(counts) + 1)
    axis.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=_COLOURS[0])
    axis.set_yscale("symlog", linthresh=1)  # linear below one image
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlim(0, 1)
    axis.set_xlabel("probability of junk", color=INK)
    return figure


def draw_stages(seconds: Mapping[str, float]) -> Figure:
    """Draw the wall time of each stage as bars, the longest at the top."""
    ordered = sorted(seconds.items(), key=lambda item: item[1])
    figure = Figure(figsize=(6.4, 0.34 * len(ordered) + 0.7), layout="constrained")
    axis = figure.add_subplot()
    style_axis(axis, "")
    names = [name.replace("_", " ") for name, _ in ordered]
    axis.barh(names, [value for _, value in ordered], color=_COLOURS[0])
    axis.set_xlabel("seconds", color=INK)
    axis.grid(visible=False, axis="y")
    return figure


def _draw_tiles(
    tiles: Sequence[FloatArray] | FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    width: float,
) -> Figure:
    """Draw images (R, C, n, n) as one mosaic, each with its own contrast."""
    mosaic, side = _join_tiles(np.asarray(tiles, dtype=np.float32))
    left, top = 0.75, 0.25  # inches for the labels
    height = (width - left) * len(rows) / len(columns)
    figure = Figure(figsize=(width, height + top))
    axis = figure.add_axes((left / width, 0, 1 - left / width, height / (height + top)))
    axis.patch.set_alpha(0)
    axis.imshow(mosaic, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="antialiased")
    centres = [(side - 1) / 2 + side * i for i in range(max(len(rows), len(columns)))]
    axis.set_xticks(centres[: len(columns)], columns)
    axis.set_yticks(centres[: len(rows)], rows)
    axis.tick_params(length=0, labelcolor=INK, labelsize=8, labeltop=True, labelbottom=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure


def _join_tiles(tiles: FloatArray) -> tuple[FloatArray, int]:
    """Return (R (n + g), C (n + g)) with gaps of NaN, y upwards, and n + g."""
    low, high = tiles.min(axis=(2, 3), keepdims=True), tiles.max(axis=(2, 3), keepdims=True)
    scaled = (tiles - low) / np.where(high > low, high - low, 1)
    n = tiles.shape[-1]
    gap = max(1, n // 32)
    padded = np.full((*tiles.shape[:2], n + gap, n + gap), np.nan, dtype=np.float32)
    padded[:, :, :n, :n] = scaled[:, :, ::-1]
    rows, columns, side, _ = padded.shape
    return padded.transpose(0, 2, 1, 3).reshape(rows * side, columns * side), side


def style_axis(axis: Axes, label: str) -> None:
    """Apply the common style of all figures to a plot."""
    axis.patch.set_alpha(0)
    # with y, else every tick label is measured to find out whether the title must give way
    axis.set_title(label, color=INK, fontsize=10, loc="left", y=1.0)
    axis.tick_params(which="both", colors=INK, labelsize=8)
    axis.grid(color=_GRID, lw=0.6)
    axis.set_axisbelow(True)
    for name, spine in axis.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(INK)


def _margins(width: float, height: float, *, rows: int = 1) -> dict[str, float]:
    """Return the layout of two columns of plots in a figure of a given size in inches.

    Explicit, because an automatic layout draws the figure three times.
    """
    panel_width, panel_height = (width - 1.35) / 2, (height - 0.85) / rows
    return {
        "left": 0.55 / width,
        "right": 1 - 0.1 / width,
        "bottom": 0.5 / height,
        "top": 1 - 0.3 / height,
        "wspace": 0.7 / panel_width,
        "hspace": 0.45 / (panel_height - 0.45),
    }


def _shade_phases(axis: Axes, summaries: Sequence[IterationSummary]) -> None:
    begin = summaries[0].iteration - 1
    for phase, of_phase in groupby(summaries, lambda summary: summary.phase):
        *_, last = of_phase
        shade = _PHASE_SHADES.get(phase, 0.0)
        if shade:
            axis.axvspan(begin, last.iteration, color=INK, alpha=shade, lw=0)
        begin = last.iteration


def _plot_classes(
    axis: Axes,
    summaries: Sequence[IterationSummary],
    values: Callable[[IterationSummary], Sequence[float]],
) -> None:
    iterations = [summary.iteration for summary in summaries]
    count = max((len(values(summary)) for summary in summaries), default=0)
    for k in range(count):
        curve = [v[k] if k < len(v) else math.nan for v in map(values, summaries)]
        marker = "o" if len(iterations) < 3 else None
        axis.plot(iterations, curve, color=colour_of(k), lw=1.6, marker=marker)


def label_resolution(frequency: float, _: int) -> str:
    """Return the label of a spatial frequency (1/Å) as a resolution in Å."""
    return f"{1 / frequency:.1f}" if frequency > 0 else "∞"


def _label_some(value: float, _: int) -> str:
    """Label only 2, 3 and 5 between the decades of a logarithmic axis."""
    leading = value / 10 ** math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:g}" if any(math.isclose(leading, d) for d in (2, 3, 5)) else ""
