"""Symmetry axes and hand of a map: `ini3d symmetry detect`, `align` and `flip-hand`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from napari_ini3d._types import Float32
from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.outputs import refuse_overwriting
from napari_ini3d.cli.symmetry.display import (
    print_alignment,
    print_outputs,
    print_report,
    print_warnings,
)
from napari_ini3d.cli.symmetry.files import (
    AlignRequest,
    MapChoice,
    Outputs,
    check_outputs,
    particles_to_change,
    read_chosen,
)
from napari_ini3d.fourier import mirror_map
from napari_ini3d.geometry import PointGroup, RigidTransform
from napari_ini3d.io import Map, PreparedMap, flip_particles, rotate_particles
from napari_ini3d.jobs import judge_groups
from napari_ini3d.symmetry import (
    CLOSE_AGREEMENT,
    SymmetryReport,
    alignment_values,
    detect_symmetry,
    report_values,
)


def detect_file(
    chosen: MapChoice,
    *,
    resolution: float | None,
    picture: Path | None,
    likelihood: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Report the point group of a map, and its axes."""

    def detect(
        map_: Map | PreparedMap, half_maps: tuple[Float32, Float32] | None = None
    ) -> SymmetryReport:
        return detect_symmetry(
            map_.data, voxel_size=map_.voxel_size, resolution=resolution, half_maps=half_maps,
            threads=threads,
        )  # fmt: skip

    def score(map_: Map) -> tuple[float, ...]:
        report = detect(map_)
        best = report.candidates[0].score if report.candidates else 0.0
        return PointGroup.parse(report.group).order, best

    given = read_chosen(chosen, score)
    if likelihood and given.run_class is None:
        raise typer.BadParameter(
            f"--likelihood compares the particles of a run; {chosen.path} is not a run folder"
        )
    written = {} if picture is None else {"picture": str(picture)}
    refuse_overwriting([Path(path) for path in written.values()], [given.path])
    report = detect(given.map_, given.read_half_maps())
    if picture is not None:
        from napari_ini3d.report import draw_report, save_png

        save_png(draw_report(report, given.map_.data), picture)
    print_warnings(report.warnings)
    judged = []
    if likelihood and given.run_class is not None:
        judged = list(judge_groups(chosen.path, given.run_class, _close(report), threads=threads))
    if as_json:
        values = {"map": str(given.path), **report_values(report), **written}
        asked = {"particles": [one.values() for one in judged]} if likelihood else {}
        emit("detected", values | asked)
        return
    print_report(report)
    for one in judged:
        say(f"Of {one.n_particles} particles: {one.verdict}.")
    print_outputs(written)


def _close(report: SymmetryReport) -> list[tuple[str, RigidTransform]]:
    """Return the groups that the map is close to, with their transforms (Å)."""
    return [
        (one.group, RigidTransform(one.rotation, np.array(one.centre)))
        for one in report.candidates
        if one.holds or one.pseudo or one.score >= CLOSE_AGREEMENT
    ]


def align_file(
    chosen: MapChoice, request: AlignRequest, outputs: Outputs, *, as_json: bool
) -> None:
    """Align a map to the axes of a point group, and rotate its particles too.

    Raises
    ------
    typer.Exit
        With 4 where the group does not hold.
    """
    given = read_chosen(chosen, lambda map_: (request.align(map_).score,))
    particles = particles_to_change(given, outputs)
    check_outputs(given, outputs)
    alignment = request.align(given.map_, given.read_half_maps())
    written = alignment.holds or outputs.force
    if written:
        aligned = alignment.apply(given.map_.data, threads=request.threads)
        if particles is not None and outputs.particles_output is not None:
            rotate_particles(particles, outputs.particles_output, alignment.transform)
        given.map_.write(outputs.map_path, aligned)
        if outputs.picture is not None:
            from napari_ini3d.report import draw_alignment, save_png

            save_png(draw_alignment(alignment, given.map_.data, aligned), outputs.picture)
    print_warnings(alignment.warnings)
    if as_json:
        values = {"map": str(given.path), **alignment_values(alignment)}
        emit("aligned", values | outputs.values(written=written))
    else:
        print_alignment(alignment)
    outputs.conclude(holds=alignment.holds, as_json=as_json)


def flip_file(chosen: MapChoice, outputs: Outputs, *, as_json: bool) -> None:
    """Write a map in the other hand, and its particles to match."""
    if chosen.choice == "most-symmetric":
        raise typer.BadParameter("flip-hand does not search for symmetry; give another --class")
    given = read_chosen(chosen, lambda _: (0.0,))
    particles = particles_to_change(given, outputs)
    check_outputs(given, outputs)
    if particles is not None and outputs.particles_output is not None:
        flip_particles(particles, outputs.particles_output)
    given.map_.write(outputs.map_path, mirror_map(given.map_.data))
    if as_json:
        emit("flipped", {"map": str(given.path), **outputs.paths()})
    else:
        print_outputs(outputs.paths())
