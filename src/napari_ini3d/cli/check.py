"""`ini3d check`: what is wrong with particles, before a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from napari_ini3d.cli.display import emit
from napari_ini3d.cli.session import EXIT_PROBLEMS

if TYPE_CHECKING:
    from napari_ini3d.io.check import CheckReport


def check_files(particles: Path, *, as_json: bool) -> None:
    """Check particles and say what was found.

    Raises
    ------
    typer.Exit
        With 3 where there are problems.
    """
    from napari_ini3d.io.check import check_particles

    report = check_particles(particles)
    if as_json:
        emit("checked", check_values(report))
    else:
        _print_check(report)
    if not report.ok:
        raise typer.Exit(EXIT_PROBLEMS)


def check_values(report: CheckReport) -> dict[str, Any]:
    """Return a check as values that JSON can hold."""
    values = dataclasses.asdict(report)
    about = {"path": str(report.path), "ok": report.ok, "seconds": estimated_time(report)}
    return {**values, **about}


def estimated_time(report: CheckReport) -> float | None:
    """Return about how many seconds a run with default settings takes on this machine."""
    if report.mask_diameter is None or not report.box_size:
        return None
    from napari_ini3d.engine.estimate import estimate_seconds
    from napari_ini3d.engine.schedule import Geometry
    from napari_ini3d.settings import InitialModelSettings

    geometry = Geometry(
        report.box_size, report.pixel_size, report.mask_diameter, report.n_particles
    )
    return round(estimate_seconds(geometry, InitialModelSettings()), 1)


def _print_check(report: CheckReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _check_rows(report):
        table.add_row(f"[dim]{name}[/]", value)
    if report.n_particles:
        console.print(table)
    for problem in report.problems:
        console.print("[bold red]problem:[/]", problem, markup=True)
    for note in report.notes:
        console.print("[yellow]note:[/]", note)
    if report.ok:
        console.print("[green]A run can start.[/]")


def _check_rows(report: CheckReport) -> list[tuple[str, str]]:
    rows = [
        ("particles", str(report.n_particles)),
        ("stacks", str(report.n_stacks)),
        ("optics groups", ", ".join(_describe_group(group) for group in report.optics)),
    ]
    if report.box_size:
        width = report.box_size * report.pixel_size
        box = f"{report.box_size} pixels of {report.pixel_size:g} Å, {width:.0f} Å wide"
        rows += [("box of the run", box), ("contrast", report.contrast)]
        rows.append(("images that would be set aside", _describe_bad(report)))
    if report.mask_diameter is not None:
        rows.append(("mask diameter, estimated", f"{report.mask_diameter:.0f} Å"))
    seconds = estimated_time(report)
    if seconds is not None:
        minutes = max(1, round(seconds / 60))
        rows.append(("time of a run here, about", f"{minutes} min"))
    if report.resources is not None:
        rows.append(("memory, about", f"{report.resources.memory_bytes / 1e9:.1f} GB"))
        rows.append(("disk, at most", f"{report.resources.disk_bytes / 1e9:.2f} GB"))
    return rows


def _describe_group(group: Any) -> str:
    return (
        f"{group.name} ({group.voltage:g} kV, Cs {group.spherical_aberration:g} mm, "
        f"{group.box_size} x {group.pixel_size:g} Å)"
    )


def _describe_bad(report: CheckReport) -> str:
    if not report.bad_images:
        return "none"
    first = ", ".join(f"row {b.index + 1}: {b.reason}" for b in report.bad_images[:5])
    more = ", ..." if len(report.bad_images) > 5 else ""
    return f"{len(report.bad_images)} ({first}{more})"
