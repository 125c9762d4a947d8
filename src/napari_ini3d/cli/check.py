"""`ini3d check`: problems of particles, before a run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from napari_ini3d.cli.display import emit
from napari_ini3d.cli.session import EXIT_PROBLEMS

if TYPE_CHECKING:
    from napari_ini3d.io import ParticleFiles
    from napari_ini3d.preflight import CheckReport
    from napari_ini3d.settings import InitialModelSettings

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check_files(
    particles: ParticleFiles, settings: InitialModelSettings, *, strict: bool, as_json: bool
) -> None:
    """Check particles and print the result.

    Raises
    ------
    typer.Exit
        With 3 if there are errors.
    Ini3dError
        If the settings are not those of a run, such as an unknown point group.
    """
    from napari_ini3d.preflight import check_particles, check_symmetry

    check_symmetry(settings)
    report = check_particles(particles, settings, strict=strict)
    if as_json:
        emit("checked", check_values(report, settings))
    else:
        _print_check(report, settings)
    if not report.ok:
        raise typer.Exit(EXIT_PROBLEMS)


def check_values(report: CheckReport, settings: InitialModelSettings) -> dict[str, Any]:
    """Return a check as JSON values."""
    from napari_ini3d.preflight import estimated_time

    return {
        **dataclasses.asdict(report),
        "path": str(report.path),
        "ok": report.ok,
        "findings": [found.to_json() for found in report.findings],
        "estimated_seconds": estimated_time(report, settings),
    }


def _print_check(report: CheckReport, settings: InitialModelSettings) -> None:
    from napari_ini3d.preflight import check_rows, estimated_time

    console = Console(highlight=False, soft_wrap=True)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in check_rows(report, estimated_time(report, settings)):
        table.add_row(f"[dim]{name}[/]", value)
    if report.n_particles:
        console.print(table)
    for found in sorted(report.findings, key=lambda found: list(_STYLES).index(found.level)):
        console.print(f"[{_STYLES[found.level]}]{found.level}:[/]", end=" ")
        console.print(f"{found} [{found.code}]", markup=False)
    if report.ok:
        console.print("[green]A run can start.[/]")
