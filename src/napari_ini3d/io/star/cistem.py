"""Particle tables of cisTEM, in RELION's columns.

cisTEM's shifts are the negative of RELION's origins, both in Å, and its angles psi, theta, phi are
RELION's psi, tilt, rot. Its phase shift is in rad. Columns of cisTEM are kept beside RELION's.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from napari_ini3d._types import IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.class_selection import rows_of_file
from napari_ini3d.io.star.columns import Column, Columns, read_integers, read_numbers
from napari_ini3d.io.star.optics import optics_of_equal_rows

logger = logging.getLogger(__name__)

_NUMBER = "cisTEMPositionInStack"
_STACK = "cisTEMStackFilename"
_ACTIVITY = "cisTEMImageActivity"
_OPTICS = {
    "cisTEMMicroscopeVoltagekV": "rlnVoltage",
    "cisTEMMicroscopeCsMM": "rlnSphericalAberration",
    "cisTEMAmplitudeContrast": "rlnAmplitudeContrast",
    "cisTEMPixelSize": "rlnImagePixelSize",
}
_PARTICLES = {
    "cisTEMDefocus1": ("rlnDefocusU", 1.0),
    "cisTEMDefocus2": ("rlnDefocusV", 1.0),
    "cisTEMDefocusAngle": ("rlnDefocusAngle", 1.0),
    "cisTEMPhaseShift": ("rlnPhaseShift", 180 / np.pi),
    "cisTEMAnglePhi": ("rlnAngleRot", 1.0),
    "cisTEMAngleTheta": ("rlnAngleTilt", 1.0),
    "cisTEMAnglePsi": ("rlnAnglePsi", 1.0),
    "cisTEMXShift": ("rlnOriginXAngst", -1.0),
    "cisTEMYShift": ("rlnOriginYAngst", -1.0),
}
_CLASS = ("cisTEMBest2DClass", "rlnClassNumber")


def is_cistem(columns: tuple[str, ...]) -> bool:
    """Return whether a table with these columns is one of particles of cisTEM."""
    return _NUMBER in columns


def convert_cistem(
    path: Path, table: Columns
) -> tuple[dict[str, Column], dict[str, Column], IntArray | None]:
    """Return the optics table and the particle table for a particle table of cisTEM.

    Particles that are switched off (cisTEMImageActivity below 0) are left out. The rows (N,) of the
    others are returned, too, from 0; None if all are used.

    Raises
    ------
    StarError
        If the table does not name its stack, or a value is not a number.
    """
    if _STACK not in table:
        raise StarError(
            f"{path}: particles of cisTEM without the column {_STACK}; expected the name of their "
            "stack; export them in cisTEM (Assets, Refinement Packages, Export), as a RELION "
            "package"
        )
    rows = None
    if _ACTIVITY in table:
        active = read_numbers(path, table, _ACTIVITY) >= 0
        if not active.all():
            logger.warning(
                "%s: %d of %d particles are switched off (%s); they are left out",
                path,
                int(np.count_nonzero(~active)),
                len(active),
                _ACTIVITY,
            )
            rows = np.flatnonzero(active)
            table = {name: column[active] for name, column in table.items()}
    with rows_of_file(rows):
        return *_convert(path, table), rows


def _convert(path: Path, table: Columns) -> tuple[dict[str, Column], dict[str, Column]]:
    """Return the optics table and the particle table for particles that are used."""
    numbers = read_integers(path, table, _NUMBER).tolist()
    stacks = [str(name).strip("'\"") for name in table[_STACK].tolist()]
    images = [
        f"{number:06d}@{stack if stack.endswith('.mrcs') else f'{stack}:mrcs'}"
        for number, stack in zip(numbers, stacks, strict=True)
    ]
    optics, group = _optics(path, table)
    columns: dict[str, Column] = {
        "rlnImageName": np.array(images, dtype=object),
        "rlnOpticsGroup": group,
    }
    for name, (label, factor) in _PARTICLES.items():
        if name in table:
            columns[label] = read_numbers(path, table, name) * factor + 0.0  # no -0
    if _CLASS[0] in table:
        columns[_CLASS[1]] = read_integers(path, table, _CLASS[0])
    return optics, columns | dict(table)


def _optics(path: Path, table: Columns) -> tuple[dict[str, Column], Column]:
    """Return the optics table, one group for each set of equal optics, and each row's group."""
    known = {
        label: read_numbers(path, table, name) for name, label in _OPTICS.items() if name in table
    }
    if "rlnImagePixelSize" not in known:
        raise StarError(
            f"{path}: particles of cisTEM without the column cisTEMPixelSize; expected Å per "
            "pixel; export them again"
        )
    return optics_of_equal_rows(known)
