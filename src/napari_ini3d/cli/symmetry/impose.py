"""`ini3d symmetry impose`: a map averaged over a point group, and whether the group holds."""

from __future__ import annotations

from pathlib import Path

from napari_ini3d._types import Float32
from napari_ini3d.cli.display import emit
from napari_ini3d.cli.session import errors
from napari_ini3d.cli.symmetry.display import print_validation, print_warnings
from napari_ini3d.cli.symmetry.files import (
    AlignRequest,
    MapChoice,
    Outputs,
    check_outputs,
    read_chosen,
)
from napari_ini3d.errors import MapError
from napari_ini3d.io import PreparedMap, read_map
from napari_ini3d.symmetry import (
    alignment_values,
    find_particle_extent,
    validate_symmetry,
    validation_values,
)

_VOXEL_TOLERANCE = 0.01


def impose_file(
    chosen: MapChoice,
    request: AlignRequest,
    outputs: Outputs,
    *,
    mask: Path | None,
    align: bool,
    as_json: bool,
) -> None:
    """Average a map over the operators of a point group, and report whether it holds.

    Raises
    ------
    typer.Exit
        With 4 where the group does not hold.
    """
    given = read_chosen(chosen, lambda map_: (request.align(map_).score,))
    check_outputs(given, outputs, mask)
    mask_data = None if mask is None else _read_mask(mask, given.map_, chosen.voxel_size)
    halves = given.read_half_maps()
    alignment = request.align(given.map_, halves) if align else None
    volume = (
        alignment.apply(given.map_.data, threads=request.threads) if alignment else given.map_.data
    )
    voxel_size = given.map_.voxel_size
    if halves is not None and alignment:
        first, second = (alignment.apply(half, threads=request.threads) for half in halves)
        halves = first, second
    validation = validate_symmetry(
        volume, request.group, voxel_size=voxel_size, half_maps=halves, threads=request.threads
    )
    written = validation.holds or outputs.force
    if written:
        imposed = validation.imposed if mask_data is None else validation.imposed * mask_data
        given.map_.write(outputs.map_path, imposed)
        if outputs.difference is not None:
            given.map_.write(outputs.difference, validation.difference, background=False)
        if outputs.picture is not None:
            from napari_ini3d.report import draw_validation, save_png

            save_png(draw_validation(validation, volume), outputs.picture)
    print_warnings(find_particle_extent(given.map_.data).warnings)
    if as_json:
        values = {"map": str(given.path), **validation_values(validation)}
        values["alignment"] = alignment_values(alignment) if alignment else None
        emit("imposed", values | outputs.values(written=written))
    else:
        print_validation(validation)
    if not written and alignment is None:
        errors.print("If the map is not on the axes of its group yet, align it first (--align).")
    outputs.conclude(holds=validation.holds, as_json=as_json)


def _read_mask(path: Path, map_: PreparedMap, voxel_size: float | None) -> Float32:
    """Return a mask, padded with 0 as the map was padded."""
    mask = read_map(path, any_box=True, voxel_size=voxel_size)
    apart = abs(mask.voxel_size / map_.voxel_size - 1)
    if mask.data.shape == map_.shape and apart <= _VOXEL_TOLERANCE:
        return map_.pad(mask.data)
    raise MapError(
        f"{path}: {_size_text(mask.data.shape)} voxels of {mask.voxel_size:g} Å; expected those of "
        f"the map ({_size_text(map_.shape)} voxels of {map_.voxel_size:g} Å); make the mask from "
        "this map"
    )


def _size_text(shape: tuple[int, ...]) -> str:
    return str(shape[0]) if len(set(shape)) == 1 else " x ".join(map(str, reversed(shape)))
