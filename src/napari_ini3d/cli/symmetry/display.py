"""Tables about the symmetry of a map on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_ini3d.cli.session import errors

if TYPE_CHECKING:
    from napari_ini3d.symmetry import (
        FoundAxis,
        GroupCandidate,
        SymmetryAlignment,
        SymmetryBreak,
        SymmetryReport,
        SymmetryValidation,
    )

_MOST_CANDIDATES = 10
_MOST_SUBUNITS = 8
_MOST_AXES = 13  # of an octahedral map all, of an icosahedral one those of the highest orders


def print_report(report: SymmetryReport) -> None:
    """Print the candidates, the axes of the group, and the verdict."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("group", "score", "FSC 0.5", "axes", ""):
        table.add_column(name, justify="right" if name in ("score", "FSC 0.5") else "left")
    for candidate in report.candidates[:_MOST_CANDIDATES]:
        table.add_row(
            candidate.group,
            f"{candidate.score:.3f}",
            f"{candidate.fsc05:.1f} Å",
            _count_axes(candidate.axes),
            _state_of(candidate),
        )
    console = _console()
    if report.candidates:
        console.print(table)
    for candidate in report.candidates:
        if candidate.group == report.group:
            _print_axes(console, candidate.axes)
    console.print(report.verdict, markup=False)
    named = (c.pseudo for c in report.candidates if c.pseudo and c.verdict in report.verdict)
    _print_subunits(console, next(named, None))


def print_alignment(alignment: SymmetryAlignment) -> None:
    """Print the transform of a map, its axes, and whether the group holds."""
    console = _console()
    transform = alignment.transform
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for number, row in enumerate(transform.rotation):
        label = f"[dim]rotation, {transform.angle:.2f}°[/]" if number == 0 else ""
        table.add_row(label, "".join(f"{value:10.5f}" for value in row))
    shift = "".join(f"{value:10.2f}" for value in transform.shift)
    table.add_row("[dim]shift (x, y, z)[/]", f"{shift} Å")
    table.add_row("[dim]score[/]", f"{alignment.score:.3f}")
    table.add_row("[dim]FSC 0.5 of the copies[/]", f"{alignment.fsc05:.1f} Å")
    console.print(table)
    _print_axes(console, alignment.axes)
    console.print(alignment.verdict, markup=False)
    _print_subunits(console, alignment.pseudo)


def print_validation(validation: SymmetryValidation) -> None:
    """Print how a map compares with the imposed one, and the verdict."""
    console = _console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("[dim]correlation of map and imposed map[/]", f"{validation.correlation:.3f}")
    share = f"{np.clip(validation.agreement, 0, 1):.0%} of that expected with this noise"
    table.add_row("[dim]agreement of the rotated copies[/]", share)
    console.print(table)
    _print_axes(console, validation.axes)
    console.print(validation.verdict, markup=False)
    _print_subunits(console, validation.pseudo)


def print_outputs(written: Mapping[str, str]) -> None:
    """Print the paths of the files that were written."""
    names = {
        "output": "Map",
        "particles_output": "Particles",
        "picture": "Picture",
        "difference": "Difference",
    }
    for name, path in written.items():
        _console().print(f"{names[name]}: {path}", markup=False)


def print_warnings(warnings: Iterable[str]) -> None:
    """Print warnings about a map on the error stream."""
    for warning in warnings:
        errors.print("[yellow]warning:[/]", end=" ")
        errors.print(warning, markup=False)


def _print_axes(console: Console, axes: Sequence[FoundAxis]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("axis", "x", "y", "z", "score"):
        table.add_column(name, justify="left" if name == "axis" else "right")
    for axis in axes[:_MOST_AXES]:
        x, y, z = (f"{round(value, 4) + 0.0:.4f}" for value in axis.direction)  # no -0.0000
        table.add_row(f"{axis.order}-fold", x, y, z, f"{axis.score:.3f}")
    if len(axes) > _MOST_AXES:
        table.add_row(f"and {len(axes) - _MOST_AXES} more", "", "", "", "")
    if axes:
        console.print(table)


def _print_subunits(console: Console, found: SymmetryBreak | None) -> None:
    """Print where the copies differ most, those that differ most first."""
    if found is None or not found.subunits:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("density", "x", "y", "z [Å]"):
        table.add_column(name, justify="right")
    for one in found.subunits[:_MOST_SUBUNITS]:
        x, y, z = (f"{value:.0f}" for value in one.place)
        table.add_row(f"{one.difference:+.0%}", x, y, z)
    console.print("Density of equivalent places, over their mean:")
    console.print(table)
    if len(found.subunits) > _MOST_SUBUNITS:
        console.print(f"and {len(found.subunits) - _MOST_SUBUNITS} more")


def _state_of(candidate: GroupCandidate) -> str:
    if candidate.holds:
        return "[green]holds[/]"
    return "[yellow]pseudo-symmetry[/]" if candidate.pseudo else "[dim]does not hold[/]"


def _count_axes(axes: Sequence[FoundAxis]) -> str:
    counts = Counter(axis.order for axis in axes)
    return ", ".join(f"{counts[order]} x {order}-fold" for order in sorted(counts, reverse=True))


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
