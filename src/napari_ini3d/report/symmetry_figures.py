"""Figures of symmetry: axes drawn on slices, the self-rotation function, FSC of the copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import FuncFormatter
from scipy.spatial import cKDTree

from napari_ini3d._types import Float64, FloatArray, Vector
from napari_ini3d.geometry import symmetry_axes
from napari_ini3d.report.run_figures import (
    INK,
    colour_of,
    label_resolution,
    style_axis,
)
from napari_ini3d.symmetry import (
    FoundAxis,
    GroupCandidate,
    SelfRotation,
    SymmetryAlignment,
    SymmetryReport,
)

if TYPE_CHECKING:
    from napari_ini3d.symmetry import SymmetryValidation

_PLANES = ((2, "x", "y"), (1, "x", "z"), (0, "y", "z"))  # axis across the slice, and axes in it
_LETTERS = {"x": 0, "y": 1, "z": 2}
_IN_PLANE = 0.95  # of many axes, only those nearly in the slice are drawn
_FEW_AXES = 7
_REACH = 0.42  # of an axis in a slice, over the side of the box
_COLUMNS = 7  # of half spheres
_SPHERE_SIDE = 161  # pixels
_CURVES = 4

AxisLike = tuple[int, Vector]  # order, direction


@dataclass(frozen=True, slots=True)
class _Scene:
    """A map with axes through a point of it.

    Attributes
    ----------
    title : str
    volume : (n, n, n)
    voxel_size : float
        Å.
    centre : tuple of float
        Å, (x, y, z) from voxel n // 2; the slices go through it.
    axes : sequence of (int, tuple of float)
        Order and direction of each.
    limits : (float, float), optional
        Values drawn black and white. Default: the range of the slice.
    """

    title: str
    volume: FloatArray
    voxel_size: float
    centre: Vector
    axes: Sequence[AxisLike]
    limits: tuple[float | None, float | None] = (None, None)


def draw_report(report: SymmetryReport, volume: FloatArray) -> Figure:
    """Draw what `detect_symmetry` found.

    Parameters
    ----------
    report : SymmetryReport
    volume : (n, n, n)
        The map it is about; its central slices are shown with the axes of the group found, or
        of the best candidate where none holds.
    """
    shown = shown_candidate(report)
    figure = Figure(figsize=(13.0, 8.6), layout="constrained")
    figure.suptitle(report.verdict, fontsize=11, color=INK, wrap=True)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 1.15)).ravel()
    scene = _scene_of_candidate(report, shown, volume)
    _draw_scenes(top, [scene], {c.group: c.fsc for c in report.candidates[:_CURVES]})
    _draw_spheres(bottom, report.self_rotation, shown.axes if shown else ())
    return figure


def draw_alignment(alignment: SymmetryAlignment, volume: FloatArray, aligned: FloatArray) -> Figure:
    """Draw a map before and after it was aligned, with its axes.

    Parameters
    ----------
    alignment : SymmetryAlignment
    volume, aligned : (n, n, n)
        Before and after.
    """
    figure = Figure(figsize=(13.0, 7.2), layout="constrained")
    voxel_size = alignment.voxel_size
    before = [(axis.order, axis.direction) for axis in alignment.axes]
    after = [(axis.order, axis.direction) for axis in symmetry_axes(alignment.group)]
    x, y, z = alignment.transform.shift.tolist()
    scenes = [
        _Scene("before", volume, voxel_size, (x, y, z), before),
        _Scene("aligned", aligned, voxel_size, (0.0, 0.0, 0.0), after),
    ]
    _draw_scenes(figure, scenes, {alignment.group: alignment.fsc})
    return figure


def draw_validation(validation: SymmetryValidation, volume: FloatArray) -> Figure:
    """Draw a map before and after a point group was imposed, and where they differ.

    Parameters
    ----------
    validation : SymmetryValidation
    volume : (n, n, n)
        The map before. The difference is shown on its scale of grey, the local correlation from
        0 (black) to 1 (white).
    """
    figure = Figure(figsize=(13.0, 13.0), layout="constrained")
    figure.suptitle(validation.verdict, fontsize=11, color=INK, wrap=True)
    axes = [(axis.order, axis.direction) for axis in validation.axes]
    half = float(np.ptp(volume)) / 2

    def scene(title: str, data: FloatArray, axes: Sequence[AxisLike] = (), **more: Any) -> _Scene:
        return _Scene(title, data, validation.voxel_size, (0.0, 0.0, 0.0), axes, **more)

    scenes = [
        scene("before", volume, axes),
        scene(f"{validation.group} imposed", validation.imposed, axes),
        scene("difference", validation.difference, limits=(-half, half)),
        scene("local correlation", validation.local_correlation, limits=(0.0, 1.0)),
    ]
    curves = {
        "map vs. rotated copies": validation.copies_fsc,
        "expected if symmetric": validation.expected_fsc,
        "map vs. imposed map": validation.fsc,
    }
    _draw_scenes(figure, scenes, curves, "FSC")
    return figure


def shown_candidate(report: SymmetryReport) -> GroupCandidate | None:
    """Return the candidate for the group of a report; the best where the map has none."""
    of_group = [c for c in report.candidates if c.group == report.group]
    return next(iter([*of_group, *report.candidates]), None)


def _scene_of_candidate(
    report: SymmetryReport, shown: GroupCandidate | None, volume: FloatArray
) -> _Scene:
    if shown is None:
        return _Scene("no axes", volume, report.voxel_size, (0.0, 0.0, 0.0), ())
    state = "pseudo-symmetry" if shown.pseudo else "does not hold"
    holds = "" if shown.holds else f" ({state})"
    axes = [(axis.order, axis.direction) for axis in shown.axes]
    return _Scene(f"{shown.group}{holds}", volume, report.voxel_size, shown.centre, axes)


def _draw_scenes(
    figure: Figure | SubFigure,
    scenes: Sequence[_Scene],
    curves: Mapping[str, FloatArray],
    label: str = "FSC of the map with its copies",
) -> None:
    """Draw a row of slices per scene, and curves at the right."""
    grid = figure.add_gridspec(len(scenes), 4, width_ratios=(1, 1, 1, 1.25))
    for row, scene in enumerate(scenes):
        for column, plane in enumerate(_PLANES):
            axis = figure.add_subplot(grid[row, column])
            _draw_slice(axis, scene, plane)
    first = scenes[0]
    axis = figure.add_subplot(grid[:2, 3])
    style_axis(axis, label)
    _draw_curves(axis, curves, first.volume.shape[0] * first.voxel_size)


def _draw_slice(axis: Axes, scene: _Scene, plane: tuple[int, str, str]) -> None:
    """Draw the slice through the centre across one direction, with the axes in it."""
    across, *letters = plane
    shown = [_LETTERS[letter] for letter in letters]
    n = scene.volume.shape[0]
    centre = np.asarray(scene.centre)
    index = int(np.clip(round(n // 2 + centre[across] / scene.voxel_size), 0, n - 1))
    image = np.take(scene.volume, index, axis=2 - across)
    low, high = (edge * scene.voxel_size for edge in (-(n // 2) - 0.5, n - n // 2 - 0.5))
    black, white = scene.limits
    extent = (low, high, low, high)
    axis.imshow(image, cmap="gray", origin="lower", extent=extent, vmin=black, vmax=white)
    for order, direction in sorted(_axes_near(scene.axes, shown)):  # the highest on top
        _draw_axis(axis, centre[shown], np.asarray(direction)[shown] * _REACH * (high - low), order)
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    style_axis(axis, f"{scene.title}: {letters[0]}{letters[1]}")
    axis.grid(visible=False)
    axis.set_xlabel(f"{letters[0]} / Å", color=INK, fontsize=8)
    axis.set_ylabel(f"{letters[1]} / Å", color=INK, fontsize=8)


def _axes_near(axes: Sequence[AxisLike], shown: list[int]) -> list[AxisLike]:
    """Return all of few axes; of many, those near a slice or across it."""
    if len(axes) <= _FEW_AXES:
        return list(axes)
    lengths = [float(np.linalg.norm(np.asarray(direction)[shown])) for _, direction in axes]
    across = np.sqrt(1 - _IN_PLANE**2)
    return [a for a, s in zip(axes, lengths, strict=True) if s > _IN_PLANE or s < across]


def _draw_axis(axis: Axes, centre: Float64, reach: Float64, order: int) -> None:
    """Draw an axis as a line with the polygon of its order at both ends."""
    ends = np.stack([centre - reach, centre + reach])
    colour = colour_of(order - 2)
    axis.plot(*ends.T, color=colour, lw=1.4, marker=_marker(order), ms=8, mec="white", mew=0.6)


def _marker(order: int) -> MarkerStyle:
    if order == 2:
        return MarkerStyle("d")
    return MarkerStyle((order, 0, 0) if order <= 8 else "o")


def _draw_curves(axis: Axes, curves: Mapping[str, FloatArray], width: float) -> None:
    """Draw FSC curves against spatial frequency; `width` of the box in Å."""
    for number, (name, curve) in enumerate(curves.items()):
        shells = np.arange(1, len(curve))
        (line,) = axis.plot(shells / width, curve[1:], lw=1.6, label=name)
        line.set(color=colour_of(number), zorder=3 - 0.1 * number)  # the first on top
        axis.set_xlim(0, shells[-1] / width)
    axis.axhline(0.5, color=INK, lw=0.8, ls=":")
    axis.set_ylim(-0.2, 1.05)
    axis.set_xlabel("resolution / Å", color=INK)
    axis.xaxis.set_major_formatter(FuncFormatter(label_resolution))
    if curves:
        axis.legend(frameon=False, labelcolor=INK, fontsize=9)


def _draw_spheres(
    figure: Figure | SubFigure, found: SelfRotation, axes: Sequence[FoundAxis]
) -> None:
    """Draw the self-rotation function as one half sphere per order, seen from +z."""
    rows = -(-len(found.orders) // _COLUMNS)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    image: AxesImage | None = None
    low = min(0.0, float(found.values.min()))
    for panel, order, values in zip(panels, found.orders, found.values, strict=False):
        image = panel.imshow(
            sphere_image(found.directions, values, _SPHERE_SIDE), cmap="magma", vmin=low, vmax=1,
            origin="lower", extent=(-1, 1, -1, 1),
        )  # fmt: skip
        panel.set_title(f"{order}-fold, max. {values.max():.2f}", fontsize=8, color=INK)
        for axis in axes:
            if axis.order % order == 0:
                panel.scatter(*_on_disc(axis.direction), s=70, marker="o", facecolors="none",
                              edgecolors="white", lw=1.0, clip_on=False)  # fmt: skip
    for panel in panels:
        panel.set_axis_off()
    if image is not None:
        bar = figure.colorbar(image, ax=list(panels), shrink=0.7, aspect=30, pad=0.01)
        bar.set_label("correlation of the map with its rotated copy", color=INK, fontsize=9)
        bar.ax.tick_params(colors=INK, labelsize=8)


def sphere_image(directions: FloatArray, values: FloatArray, side: int) -> Float64:
    """Return a function on the half sphere as an image, seen from +z.

    The projection is Lambert's: equal areas on the sphere are equal areas in the image.

    Parameters
    ----------
    directions : (N, 3)
        Unit vectors (x, y, z); a direction and its opposite are one axis.
    values : (N,)
        At these directions.
    side : int
        Pixels.

    Returns
    -------
    (side, side) float64
        x to the right and y upwards (row 0 is the lowest y); NaN outside the disc.
    """
    line = np.linspace(-1, 1, side)
    x, y = np.meshgrid(line, line)
    squared = x**2 + y**2
    inside = squared <= 1
    scale = np.sqrt(2 - squared[inside])
    towards = np.stack([x[inside] * scale, y[inside] * scale, 1 - squared[inside]], axis=1)
    tree = cKDTree(np.concatenate([directions, -np.asarray(directions)]))
    distance, nearest = tree.query(towards, k=4)
    weights = 1 / (np.asarray(distance) ** 2 + 1e-9)
    image = np.full((side, side), np.nan)
    found = np.asarray(values, dtype=np.float64)[nearest % len(directions)]
    image[inside] = (found * weights).sum(axis=1) / weights.sum(axis=1)
    return image


def _on_disc(direction: Vector) -> tuple[float, float]:
    """Return the place of the upper end of an axis in `sphere_image`."""
    x, y, z = np.asarray(direction) * (1 if direction[2] >= 0 else -1)
    scale = 1 / np.sqrt(1 + z)
    return float(x * scale), float(y * scale)
