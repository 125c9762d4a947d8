"""Compare two maps: `ini3d compare`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ini3d.cli.display import emit, say
from napari_ini3d.comparison import MapComparison, compare_maps
from napari_ini3d.errors import MapError
from napari_ini3d.io import Map, read_map

if TYPE_CHECKING:
    import numpy as np

_VOXEL_TOLERANCE = 0.01


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
    for line in comparison_lines(found):
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
    _check_alike(paths, first, second)
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


def comparison_lines(found: MapComparison) -> list[str]:
    """Return a comparison in words, line by line."""
    lines = [
        f"FSC 0.5 at {found.resolution_half:.1f} Å, 0.143 at {found.resolution_0143:.1f} Å",
        f"Correlation inside the mask: {found.correlation:.3f}",
    ]
    if found.registration is not None:
        hand = "the hands differ: the second map was mirrored" if found.mirrored else "same hand"
        lines.append(f"The second map was aligned to the first ({hand}).")
    return lines


def _check_alike(paths: tuple[Path, Path], first: Map, second: Map) -> None:
    apart = abs(first.voxel_size / second.voxel_size - 1)
    if apart <= _VOXEL_TOLERANCE and first.data.shape == second.data.shape:
        return
    boxes = " and ".join(
        f"{path}: {map_.data.shape[0]} voxels of {map_.voxel_size:g} Å"
        for path, map_ in zip(paths, (first, second), strict=True)
    )
    raise MapError(
        f"the maps differ in box or voxel size ({boxes}); expected the same; resample one "
        "first, for instance with relion_image_handler --rescale_angpix and --new_box"
    )


def _curve(values: np.ndarray) -> list[float | None]:
    return [_plain(value) for value in values.tolist()]


def _plain(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
