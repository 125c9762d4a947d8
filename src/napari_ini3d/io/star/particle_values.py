"""Defoci and origins of particles in a STAR file, and whether they are possible."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ini3d._types import Float32, Float64, FloatArray
from napari_ini3d.errors import InputError, StarError
from napari_ini3d.io.star.columns import Column, Columns, read_numbers

_FARTHEST_ORIGIN = 1e5  # Å: beyond any box


def read_defocus(path: Path, columns: Columns, *, ctf: bool) -> dict[str, FloatArray]:
    """Return defoci (Å), their angle and the phase shift (degrees), each (N,) float32.

    A value that is no number is NaN; one beyond the range of float32 is infinite.

    Raises
    ------
    StarError
        If a column is missing, or most defoci are not positive.
    """
    n_rows = len(columns["rlnImageName"])

    def read(name: str, fallback: Float64 | None) -> Float64:
        if name not in columns and fallback is not None:
            return fallback
        return read_numbers(path, columns, name, allow_nan=ctf)

    zeros = np.zeros(n_rows)
    defocus_u = read("rlnDefocusU", None if ctf else zeros)
    defocus_v = read("rlnDefocusV", None if ctf else defocus_u)
    if ctf:
        both = {"rlnDefocusU": defocus_u, "rlnDefocusV": defocus_v}
        for name, values in both.items():
            _check_decimal_points(path, name, columns[name], values)
        check_defocus(path, both)
    found = {
        "defocus_u": defocus_u,
        "defocus_v": defocus_v,
        "defocus_angle": read("rlnDefocusAngle", None if ctf else zeros),
        "phase_shift": read("rlnPhaseShift", zeros),
    }
    with np.errstate(over="ignore"):  # becomes infinite, and the particle is excluded
        return {name: values.astype(np.float32) for name, values in found.items()}


def _check_decimal_points(path: Path, name: str, column: Column, values: Float64) -> None:
    """Refuse defoci most of which are text, as with commas for decimal points."""
    bad = np.flatnonzero(np.isnan(values))
    if 2 * bad.size > len(values) and column.dtype.kind == "O":
        raise StarError.at_row(
            f"{path}: {name} is {str(column[bad[0]])!r} in ",
            int(bad[0]),
            f" ({bad.size} of {len(values)} rows are like it); expected a number with a decimal "
            "point; correct the file or export the particles again",
        )


def check_defocus(
    path: Path, defocus: dict[str, Float64], kind: type[InputError] = StarError
) -> None:
    """Refuse particles most of which have no underfocus; a few are excluded before a run.

    Parameters
    ----------
    path : Path
        For messages.
    defocus : dict of str to (N,) array
        Å, by the name of the column or field.
    kind : type
        Error to raise.
    """
    for name, values in defocus.items():
        bad = np.flatnonzero(~(values > 0))
        if 2 * bad.size > len(values):
            raise kind.at_row(
                f"{path}: {name} is {values[bad[0]]:g} in ",
                int(bad[0]),
                f" ({bad.size} of {len(values)} rows are like it); expected underfocus in Å, above "
                "0; change the sign or export the particles again",
            )


def read_origin(path: Path, columns: Columns, name: str, pixel_size: Float64) -> Float32:
    """Return origins along an axis, Å, (N,) float32; 0 where the file has none.

    Parameters
    ----------
    path : Path
    columns : mapping
    name : str
        Of the column in pixels; that in Å has the ending Angst.
    pixel_size : (N,) float64
        Å.

    Raises
    ------
    StarError
        If an origin is not a number, or lies beyond any box.
    """
    if f"{name}Angst" in columns:
        origin = read_numbers(path, columns, f"{name}Angst")
    elif name in columns:
        origin = read_numbers(path, columns, name) * pixel_size
    else:
        return np.zeros(len(pixel_size), np.float32)
    far = np.flatnonzero(np.abs(origin) > _FARTHEST_ORIGIN)
    if far.size:
        raise StarError.at_row(
            f"{path}: {name} is {origin[far[0]]:g} Å in ",
            int(far[0]),
            f" ({far.size} such rows); expected at most {_FARTHEST_ORIGIN:g} Å; correct or remove "
            "the row",
        )
    return origin.astype(np.float32)
