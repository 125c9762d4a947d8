"""Particles, maps and class averages in the folder of a RELION job."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PARTICLES = (  # of Select, Extract, Polish, CtfRefine, Subtract, and JoinStar
    "particles.star",
    "shiny.star",
    "particles_ctf_refine.star",
    "particles_subtracted.star",
    "join_particles.star",
)
_DATA = re.compile(r"run_(?:ct\d+_)?it(\d+)_data\.star")
_AVERAGES = re.compile(r"run_(?:ct\d+_)?it(\d+)_classes\.mrcs")
_FINAL_MAP = re.compile(r"run_(?:ct\d+_)?class\d+\.mrc")
_HALF_MAP = re.compile(r"run_(?:ct\d+_)?it(\d+)_half([12])_class\d+\.mrc")


@dataclass(frozen=True, slots=True)
class JobFiles:
    """Files of a job that can be shown.

    Attributes
    ----------
    particles : Path or None
    class_averages : Path or None
        Of a 2D classification, in its last iteration.
    maps : tuple of Path
        Of a refinement: the final map, or else the half-maps of the last iteration.
    """

    particles: Path | None = None
    class_averages: Path | None = None
    maps: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.particles or self.class_averages or self.maps)


def find_job_files(folder: Path) -> JobFiles:
    """Return what the folder of a RELION job holds, by the names of its files.

    Of a refinement, the maps; of a 2D classification, the averages and the particles with their
    classes; of jobs that select or extract particles, those.

    Parameters
    ----------
    folder : Path
        Such as ``Select/job011``, ``Class2D/job008`` or ``Refine3D/job020``.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    paths = sorted(folder.iterdir())
    final = tuple(path for path in paths if _FINAL_MAP.fullmatch(path.name))
    maps = final or _of_last_iteration(paths, _HALF_MAP)
    if maps:
        return JobFiles(maps=maps)
    averages = _of_last_iteration(paths, _AVERAGES)
    if averages:
        data = _of_last_iteration(paths, _DATA)
        return JobFiles(particles=data[-1] if data else None, class_averages=averages[-1])
    names = {path.name: path for path in paths}
    return JobFiles(particles=next((names[name] for name in _PARTICLES if name in names), None))


def _of_last_iteration(paths: list[Path], pattern: re.Pattern[str]) -> tuple[Path, ...]:
    found = [(int(match[1]), p) for p in paths if (match := pattern.fullmatch(p.name))]
    last = max((iteration for iteration, _ in found), default=0)
    return tuple(path for iteration, path in found if iteration == last)
