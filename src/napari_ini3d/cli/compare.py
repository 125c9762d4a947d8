"""Compare two maps, or the poses in two STAR files: `ini3d compare`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_ini3d.cli.display import emit, say
from napari_ini3d.comparison import (
    MapComparison,
    MapGrid,
    PoseComparison,
    check_same_grid,
    compare_maps,
    compare_poses,
    describe_comparison,
    describe_poses,
)
from napari_ini3d.io import prepare_map, read_poses

if TYPE_CHECKING:
    from napari_ini3d._types import Float64


def compare_files(
    paths: tuple[Path, Path],
    *,
    mask_diameter: float | None,
    align: bool,
    picture: Path | None,
    threads: int,
    as_json: bool,
    pixel_size: float | None = None,
) -> None:
    """Compare two maps and report the result."""
    found = compare_paths(
        paths,
        mask_diameter=mask_diameter,
        align=align,
        picture=picture,
        threads=threads,
        pixel_size=pixel_size,
    )
    if as_json:
        emit("compared", comparison_values(found))
        return
    for line in describe_comparison(found):
        say(line)
    if picture is not None:
        say(f"Curve: {picture}")


def compare_pose_files(paths: tuple[Path, Path], *, symmetry: str, as_json: bool) -> None:
    """Compare the poses in two particle STAR files and report the result."""
    first, second = (read_poses(path) for path in paths)
    found = compare_poses(first, second, symmetry=symmetry)
    unassigned = (first.n_unassigned, second.n_unassigned)
    if as_json:
        emit("compared_poses", pose_values(found) | {"unassigned": list(unassigned)})
        return
    for path, number in zip(paths, unassigned, strict=True):
        if number:
            say(f"{path}: {number} particles of class 0 have no pose and were left out")
    for line in describe_poses(found):
        say(line)
    _print_errors(found)


def pose_values(found: PoseComparison) -> dict[str, Any]:
    """Return a comparison of poses as values that JSON can hold; angles in degrees, shifts in Å."""
    return {
        "matched": len(found),
        "first_only": found.n_first_only,
        "second_only": found.n_second_only,
        "symmetry": found.symmetry,
        "setting": found.setting,
        "mean_angle": _plain(float(np.mean(found.angle))),
        "median_angle": _plain(float(np.median(found.angle))),
        "mean_out_of_plane": _plain(float(np.mean(found.out_of_plane))),
        "median_out_of_plane": _plain(float(np.median(found.out_of_plane))),
        "mean_shift": _plain(float(np.mean(found.shift))),
        "median_shift": _plain(float(np.median(found.shift))),
        "random_median_angle": _plain(found.random_angle),
        "mirrored": found.mirrored,
        "hand_is_clear": found.hand_is_clear,
        "agreeing": found.n_agreeing,
        "agreeing_other_hand": found.n_other_hand,
        "agreement_angle": _plain(found.agreement),
        "rotation": np.round(found.transform.rotation, 6).tolist(),
        "translation": np.round(found.transform.shift, 4).tolist(),
    }


def _print_errors(found: PoseComparison) -> None:
    """Print a table of the mean and the median of each error."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("error")
    rows: tuple[tuple[str, Float64, str], ...] = (
        ("angle", found.angle, "°"),
        ("out-of-plane angle", found.out_of_plane, "°"),
        ("shift", found.shift, " Å"),
    )
    averages: tuple[tuple[str, Callable[[Float64], Any]], ...] = (
        ("mean", np.mean),
        ("median", np.median),
    )
    for name, _ in averages:
        table.add_column(name, justify="right")
    for name, values, unit in rows:
        table.add_row(name, *(f"{average(values):.2f}{unit}" for _, average in averages))
    Console(highlight=False).print(table)


def compare_paths(
    paths: tuple[Path, Path],
    *,
    mask_diameter: float | None,
    align: bool,
    picture: Path | None,
    threads: int = 0,
    pixel_size: float | None = None,
) -> MapComparison:
    """Read two maps, compare them, and draw the curve if a picture is given.

    Raises
    ------
    MapError
        If a map cannot be read, or their boxes or voxel sizes differ.
    """
    first, second = (prepare_map(path, voxel_size=pixel_size) for path in paths)
    check_same_grid(
        *(
            MapGrid(str(path), len(map_.data), map_.voxel_size)
            for path, map_ in zip(paths, (first, second), strict=True)
        )
    )
    found = compare_maps(
        first.data,
        second.data,
        voxel_size=first.voxel_size,
        mask_diameter=mask_diameter,
        align=align,
        threads=threads,
    )
    if picture is not None:
        from napari_ini3d.report import draw_comparison, save_png

        save_png(draw_comparison(found), picture)
    return found


def comparison_values(found: MapComparison) -> dict[str, Any]:
    """Return a comparison as values that JSON can hold."""
    return {
        "correlation": _plain(found.correlation),
        "resolution_half": _plain(found.resolution_half),
        "resolution_0143": _plain(found.resolution_0143),
        "mirrored": found.mirrored,
        "frequency": _curve(found.frequency),
        "fsc": _curve(found.fsc),
        "fsc_as_is": _curve(found.fsc_as_is),
    }


def _curve(values: np.ndarray) -> list[float | None]:
    return [_plain(value) for value in values.tolist()]


def _plain(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
