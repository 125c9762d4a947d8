"""Particles of a STAR file with all their poses and classes, to be compared with maps again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64, IntArray
from napari_ini3d.io.star.columns import read_integers
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.io.star.poses import read_angles
from napari_ini3d.particles import Particles


@dataclass(frozen=True, slots=True)
class PosedParticles:
    """Particles, and the poses of all rows of their table.

    Attributes
    ----------
    particles : Particles
        Their origins are those of the poses.
    angles : (rows, 3) float64
        rot, tilt, psi in degrees.
    classes : (rows,) int64
        From 1; 0 where a particle has no pose.
    """

    particles: Particles
    angles: Float64
    classes: IntArray


def read_posed_particles(path: Path | str, *, ctf: bool = True) -> PosedParticles:
    """Read particles of a STAR file that has the poses of a 3D reconstruction.

    Parameters
    ----------
    path : Path or str
    ctf : bool
        Whether the CTF is needed.

    Raises
    ------
    StarError
        If the file cannot be read, has no angles, or describes 3D particles.
    """
    star_path = Path(path)
    particles, table = read_particles(star_path, ctf=ctf)
    columns = table.particles
    classes = np.ones(len(table), dtype=np.int64)
    if "rlnClassNumber" in columns:
        classes = read_integers(star_path, columns, "rlnClassNumber")
    return PosedParticles(particles, read_angles(star_path, columns), classes)
