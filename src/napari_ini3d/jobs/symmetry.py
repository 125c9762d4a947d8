"""Symmetry after a run: detect, align, impose and validate the point group of its map."""

from __future__ import annotations

import logging
from typing import Any

from napari_ini3d._types import Float32
from napari_ini3d.errors import Ini3dError
from napari_ini3d.fourier import resize_map
from napari_ini3d.io import Map, read_map, rotate_particles, write_map
from napari_ini3d.report import draw_report, draw_validation, save_png
from napari_ini3d.runs import RunFolder, SymmetryFiles, ValidationFiles
from napari_ini3d.settings import AUTO_SYMMETRY, InitialModelSettings
from napari_ini3d.symmetry import (
    align_symmetry,
    alignment_values,
    detect_symmetry,
    report_values,
    validate_symmetry,
    validation_values,
)

logger = logging.getLogger(__name__)


def apply_symmetry(
    folder: RunFolder,
    settings: InitialModelSettings,
    iteration: int,
    *,
    working_box: int | None = None,
) -> None:
    """Align the map of a finished C1 run to the group asked for, impose it, and validate it.

    Writes the aligned and the symmetrised map, the particles of the last iteration rotated
    to match, `symmetry.json` and a picture. If the group does not hold, all this is written too,
    with a warning: it was asked for, and the C1 map stays as it is. A failure is reported in the
    log, and does not make the run fail.

    Parameters
    ----------
    folder : RunFolder
        Of the finished run.
    settings : InitialModelSettings
    iteration : int
        The last one, whose particles were written.
    working_box : int, optional
        Voxels per side of the box in which the map was made and is analysed. Default: that of
        the result, which the written maps have.
    """
    files = SymmetryFiles(folder)
    files.clear()
    if not settings.symmetry_follows:
        return
    folder.claim(*files.paths())
    try:
        _finish(files, settings, iteration, working_box)
    except Ini3dError as error:
        logger.warning(
            "the symmetry of the map could not be analysed (%s); the map itself is complete", error
        )


def _finish(
    files: SymmetryFiles, settings: InitialModelSettings, iteration: int, working_box: int | None
) -> None:
    requested = settings.symmetry
    found = read_map(files.folder.map_path)
    box_size = len(found.data)
    found = _resampled(found, working_box or box_size)
    halves = ValidationFiles(files.folder).read_half_maps(len(found.data))
    facts: dict[str, Any] = {"requested": requested}
    group = requested
    if requested.lower() == AUTO_SYMMETRY:
        report = detect_symmetry(
            found.data, voxel_size=found.voxel_size, half_maps=halves, threads=settings.threads
        )
        facts |= {"group": report.group, "detected": report_values(report)}
        facts |= {"verdict": report.verdict, "holds": report.group != "C1"}
        logger.info("symmetry: %s", report.verdict)
        group = report.group
        if group == "C1":
            save_png(draw_report(report, found.data), files.picture_path)
            files.write_facts(facts)  # last: they say that the analysis is complete
            return
    files.write_facts(
        facts
        | _align_and_impose(files, found, group, iteration, box_size, settings.threads, halves)
    )


def _resampled(map_: Map, box_size: int) -> Map:
    """Return a map with another number of voxels over the same width."""
    voxel_size = map_.voxel_size * len(map_.data) / box_size
    return Map(resize_map(map_.data, box_size), voxel_size, map_.origin)


def _align_and_impose(
    files: SymmetryFiles,
    found: Map,
    group: str,
    iteration: int,
    box_size: int,
    threads: int,
    halves: tuple[Float32, Float32] | None,
) -> dict[str, Any]:
    """Write the maps, the particles and the picture of a group, and return the facts."""
    alignment = align_symmetry(
        found.data, group, voxel_size=found.voxel_size, half_maps=halves, threads=threads
    )
    aligned = alignment.apply(found.data, threads=threads)
    if halves is not None:
        halves = (
            alignment.apply(halves[0], threads=threads),
            alignment.apply(halves[1], threads=threads),
        )
    validation = validate_symmetry(
        aligned, group, voxel_size=found.voxel_size, half_maps=halves, threads=threads
    )
    for path, data in ((files.aligned_path, aligned), (files.symmetrised_path, validation.imposed)):
        written = _resampled(Map(data, found.voxel_size, found.origin), box_size)
        write_map(path, written.data, written.voxel_size)
    particles = files.folder.iteration_path(iteration, "data.star")
    rotate_particles(particles, files.particles_path, alignment.transform)
    save_png(draw_validation(validation, aligned), files.picture_path)
    logger.log(logging.INFO if validation.holds else logging.WARNING, "symmetry: %s",
               validation.verdict)  # fmt: skip
    for warning in alignment.warnings:
        logger.warning("%s", warning)
    return {
        "group": alignment.group,
        "verdict": validation.verdict,
        "holds": validation.holds,
        "alignment": alignment_values(alignment),
        "validation": validation_values(validation),
    }
