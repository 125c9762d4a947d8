"""Optics groups of a STAR file: reading, conversion from RELION 3.0, and checks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ini3d._types import Float64, Int32, IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.mrc.stack import read_stack_header
from napari_ini3d.io.star.columns import (
    Column,
    Columns,
    distinct_rows,
    read_integers,
    read_numbers,
)
from napari_ini3d.particles import OpticsGroup

logger = logging.getLogger(__name__)

_CTF_DEFAULTS = {
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
}
_OPTICS_DEFAULTS = {
    "rlnImageDimensionality": 2.0,
    "rlnCtfDataAreCtfPremultiplied": 0.0,
    "rlnCtfDataArePhaseFlipped": 0.0,
}
_FLAGS = ("rlnCtfDataAreCtfPremultiplied", "rlnCtfDataArePhaseFlipped")
_PIXEL_SIZES = ("rlnImagePixelSize", "rlnPixelSize")
_FROM_DETECTOR = ("rlnDetectorPixelSize", "rlnMagnification")
_LIMITS: dict[str, tuple[float, float, str]] = {
    "rlnVoltage": (10.0, 1500.0, "the voltage in kV, between 10 and 1500"),
    "rlnSphericalAberration": (-1.0, 50.0, "the spherical aberration in mm, at most 50"),
    "rlnAmplitudeContrast": (0.0, 1.0, "a fraction between 0 and 1"),
}
_TYPICAL = {
    "rlnVoltage": (80.0, 1500.0),
    "rlnSphericalAberration": (0.4, 10.0),
    "rlnAmplitudeContrast": (0.01, 0.5),
}
_OTHER_UNITS = {
    "rlnVoltage": {"V": 1e-3, "MV": 1e3},
    "rlnSphericalAberration": {"µm": 1e-3, "nm": 1e-6, "Å": 1e-7},
    "rlnAmplitudeContrast": {"percent": 1e-2},
}
_SINGLE_TABLE = "the particle table (without data_optics, RELION 3.0)"


def convert_single_table(
    path: Path, columns: Columns, *, ctf: bool, header_pixel_size: float | None = None
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Make one optics group of each set of values in a particle table of RELION 3.0.

    Parameters
    ----------
    path : Path
    columns : mapping
        Of the particle table.
    ctf : bool
        Whether the columns for the CTF are needed.
    header_pixel_size : float, optional
        Å, used if the table has no pixel size.

    Returns
    -------
    optics, particles : dict
        Tables in the layout of RELION 3.1, with voltage, aberration and amplitude contrast in the
        optics table and rlnOpticsGroup in the particle table.

    Raises
    ------
    StarError
        If the pixel size, or a column for the CTF, is missing or not a number.
    """
    if header_pixel_size is not None and not has_pixel_size(columns):
        pixel_sizes = np.full(len(columns["rlnImageName"]), header_pixel_size)
    else:
        pixel_sizes = _pixel_sizes(path, columns)
    values = {"rlnImagePixelSize": pixel_sizes}
    for name in _CTF_DEFAULTS:
        if ctf or name in columns:
            values[name] = read_numbers(path, columns, name, table=_SINGLE_TABLE)
    for name in _FLAGS:
        if name in columns:
            values[name] = read_numbers(path, columns, name, table=_SINGLE_TABLE)
    optics, group = optics_of_equal_rows(values)
    particles = {name: column for name, column in columns.items() if name not in _CTF_DEFAULTS}
    logger.info(
        "%s: table of RELION 3.0, converted to %d optics group(s)",
        path,
        len(optics["rlnOpticsGroup"]),
    )
    return optics, particles | {"rlnOpticsGroup": group}


def optics_of_equal_rows(values: Columns) -> tuple[dict[str, Column], Column]:
    """Return the optics table with a group for each set of equal rows, and each row's group.

    Parameters
    ----------
    values : columns
        Properties of the optics, of each particle.
    """
    first, index = distinct_rows(list(values.values()))
    numbers = np.arange(1, len(first) + 1)
    optics: dict[str, Column] = {
        "rlnOpticsGroup": numbers,
        "rlnOpticsGroupName": np.array([f"opticsGroup{n}" for n in numbers], dtype=object),
        **{name: column[first] for name, column in values.items()},
        "rlnImageDimensionality": np.full(len(first), 2),
    }
    return optics, numbers[index]


def has_pixel_size(columns: Columns) -> bool:
    """Return whether a particle table of RELION 3.0 has a pixel size, or what it follows from."""
    return any(name in columns for name in (*_PIXEL_SIZES, *_FROM_DETECTOR))


def _pixel_sizes(path: Path, columns: Columns) -> Float64:
    for name in _PIXEL_SIZES:
        if name in columns:
            return read_numbers(path, columns, name, table=_SINGLE_TABLE)
    micrometres = read_numbers(path, columns, "rlnDetectorPixelSize", table=_SINGLE_TABLE)
    magnification = read_numbers(path, columns, "rlnMagnification", table=_SINGLE_TABLE)
    if magnification.min() <= 0:
        raise StarError(
            f"{path}: rlnMagnification is {magnification.min():g}; expected a positive number; "
            "export the particles again"
        )
    pixel_sizes: Float64 = np.round(micrometres * 1e4 / magnification, 6)
    return pixel_sizes


def read_optics_groups(
    path: Path, optics: Columns, particles: Columns, *, ctf: bool
) -> tuple[tuple[OpticsGroup, ...], Int32]:
    """Return the optics groups with particles, and the position of each particle's group in them.

    Raises
    ------
    StarError
        If the group of a particle is not listed, a group is listed twice, a column is missing, or
        a value is impossible.
    """
    wanted = read_integers(path, particles, "rlnOpticsGroup")
    known = read_integers(path, optics, "rlnOpticsGroup", table="data_optics")
    if len(np.unique(known)) < len(known):
        raise StarError(f"{path}: data_optics lists a group twice: {known.tolist()}; remove one")
    used, index = np.unique(wanted, return_inverse=True)
    unknown = np.setdiff1d(used, known)
    if unknown.size:
        raise StarError(
            f"{path}: particles name optics group {unknown[0]}, but data_optics has "
            f"{known.tolist()}; add the group or export the particles again"
        )
    rows = [int(np.flatnonzero(known == number)[0]) for number in used]
    groups = tuple(_read_group(path, optics, row, ctf=ctf) for row in rows)
    return groups, index.astype(np.int32)


def _read_group(path: Path, optics: Columns, row: int, *, ctf: bool) -> OpticsGroup:
    one = {name: column[row : row + 1] for name, column in optics.items()}
    number = int(read_integers(path, one, "rlnOpticsGroup", table="data_optics")[0])
    defaults = _OPTICS_DEFAULTS if ctf else _OPTICS_DEFAULTS | _CTF_DEFAULTS

    def value(name: str) -> float:
        if name not in one and name in defaults:
            return defaults[name]
        return float(read_numbers(path, one, name, table=f"data_optics (group {number})")[0])

    box_size = 0  # that of the stack
    if "rlnImageSize" in one:
        table = f"data_optics (group {number})"
        box_size = int(read_integers(path, one, "rlnImageSize", table=table)[0])
    group = OpticsGroup(
        name=str(one["rlnOpticsGroupName"][0]) if "rlnOpticsGroupName" in one else f"{number}",
        number=number,
        voltage=value("rlnVoltage"),
        spherical_aberration=value("rlnSphericalAberration"),
        amplitude_contrast=value("rlnAmplitudeContrast"),
        pixel_size=value("rlnImagePixelSize"),
        box_size=box_size,
        ctf_premultiplied=value("rlnCtfDataAreCtfPremultiplied") != 0,
        phase_flipped=value("rlnCtfDataArePhaseFlipped") != 0,
    )
    if value("rlnImageDimensionality") != 2:
        raise StarError(
            f"{path}: optics group {number} has images of {value('rlnImageDimensionality'):g} "
            "dimensions; expected 2; subtomograms cannot be used here"
        )
    _check_group(path, group, ctf=ctf)
    return group


def _check_group(path: Path, group: OpticsGroup, *, ctf: bool) -> None:
    where = f"{path}: optics group {group.number} has"
    if not group.pixel_size > 0:
        raise StarError(
            f"{where} rlnImagePixelSize {group.pixel_size:g}; expected Å per pixel, above 0; "
            "correct data_optics"
        )
    found = {
        "rlnVoltage": group.voltage,
        "rlnSphericalAberration": group.spherical_aberration,
        "rlnAmplitudeContrast": group.amplitude_contrast,
    }
    for name, value in found.items():
        low, high, expected = _LIMITS[name]
        if ctf and not low <= value <= high:
            advice = _likely_unit(name, value)
            raise StarError(f"{where} {name} {value:g}; expected {expected}; {advice}")


def _likely_unit(name: str, value: float) -> str:
    """Return what to do about a value that is out of range."""
    for unit, factor in _OTHER_UNITS[name].items():
        low, high = _TYPICAL[name]
        if low <= value * factor <= high:
            how = f"divide by {1 / factor:g}" if factor < 1 else f"multiply by {factor:g}"
            return f"it looks like {unit}: {how}"
    return "correct the value"


def fill_box_sizes(
    groups: tuple[OpticsGroup, ...],
    optics_index: IntArray,
    stack_index: IntArray,
    stacks: Sequence[Path],
) -> tuple[OpticsGroup, ...]:
    """Read missing box sizes of groups from the headers of their first stacks."""
    filled = []
    for position, group in enumerate(groups):
        box_size = group.box_size
        if box_size <= 0:
            first = int(np.argmax(optics_index == position))
            box_size = read_stack_header(stacks[stack_index[first]]).nx
        filled.append(replace(group, box_size=box_size))
    return tuple(filled)
