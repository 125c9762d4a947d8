"""Equivalent poses of particles: `ini3d symmetry expand` and `fold`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.outputs import refuse_overwriting
from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry import PointGroup
from napari_ini3d.io import expand_particles, fold_particles, is_cryosparc


def expand_file(source: Path, group: str, target: Path, *, as_json: bool) -> None:
    """Write each particle in all its equivalent poses, and report their number."""
    point_group, n_rows = _write(expand_particles, source, group, target)
    if as_json:
        emit("expanded", _values(source, point_group, target) | {"rows": n_rows})
        return
    n_particles = n_rows // point_group.order
    say(f"{n_particles} particles in {point_group.order} poses each ({point_group.name})")
    say(f"Particles: {target}")


def fold_file(source: Path, group: str, target: Path, *, as_json: bool) -> None:
    """Write particles with their poses in one asymmetric unit, and report their number."""
    point_group, n_rows = _write(fold_particles, source, group, target)
    if as_json:
        emit("folded", _values(source, point_group, target) | {"rows": n_rows})
        return
    say(f"{n_rows} particles with poses in one asymmetric unit of {point_group.name}")
    say(f"Particles: {target}")


def _write(
    write: Callable[[Path, Path, PointGroup], int], source: Path, group: str, target: Path
) -> tuple[PointGroup, int]:
    point_group = PointGroup.parse(group)
    if is_cryosparc(source) or is_cryosparc(target):
        raise SettingsError(
            f"{source} and {target}; expected STAR files; convert .cs files with ini3d convert"
        )
    refuse_overwriting([target], [source])
    return point_group, write(source, target, point_group)


def _values(source: Path, group: PointGroup, target: Path) -> dict[str, object]:
    return {
        "particles": str(source),
        "group": group.name,
        "operators": group.order,
        "output": str(target),
    }
