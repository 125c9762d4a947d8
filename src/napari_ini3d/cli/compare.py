"""Compare two maps: `ini3d compare`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ini3d.cli.display import emit, say
from napari_ini3d.comparison import (
    MapComparison,
    MapGrid,
    check_same_grid,
    compare_maps,
    describe_comparison,
)
from napari_ini3d.io import read_map

if TYPE_CHECKING:
    import numpy as np


def compare_files(
    paths: tuple[Path, Path],
    *,
    mask_diameter: float | None,
    align: bool,
    picture: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Compare two maps and report the result."""
    found = compare_paths(
        paths, mask_diameter=mask_diameter, align=align, picture=picture, threads=threads
    )
    if as_json:
        emit("compared", comparison_values(found))
        return
    for line in describe_comparison(found):
        say(line)
    if picture is not None:
        say(f"Curve: {picture}")


def compare_paths(
    paths: tuple[Path, Path],
    *,
    mask_diameter: float | None,
    align: bool,
    picture: Path | None,
    threads: int = 0,
) -> MapComparison:
    """Read two maps, compare them, and draw the curve if a picture is given.

    Raises
    ------
    MapError
        If a map cannot be read, or their boxes or voxel sizes differ.
    """
    first, second = (read_map(path, allow_odd=True) for path in paths)
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
