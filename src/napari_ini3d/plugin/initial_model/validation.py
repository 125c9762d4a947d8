"""Problems that keep a run from starting, by the field that causes them; no Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_ini3d.errors import (
    DeviceError,
    Ini3dError,
    InputError,
    RunFolderError,
    SettingsError,
    SymmetryError,
)
from napari_ini3d.io import check_scratch
from napari_ini3d.kernels import check_device
from napari_ini3d.preflight import CheckReport, check_mask, check_symmetry
from napari_ini3d.runs import RunFolder, is_locked
from napari_ini3d.settings import AUTO_SYMMETRY, InitialModelSettings

PARTICLES, OUTPUT = "particles", "output"
"""Names of the two fields that are not settings."""


def find_problems(
    particles: str, output: str, values: dict[str, Any], report: CheckReport | None
) -> dict[str, str]:
    """Return the problems by the name of the field; empty if a run can start.

    Parameters
    ----------
    particles, output : str
        As typed.
    values : dict
        Settings by name.
    report : CheckReport or None
        Report on the particles; None if they have not been checked.
    """
    found = {
        PARTICLES: _first_line(_particle_problem(particles, report)),
        OUTPUT: _output_problem(output),
        **_setting_problems(values),
    }
    if "mask_diameter" not in found and report is not None and report.box_size:
        found["mask_diameter"] = _mask_problem(values, report)
    return {name: text for name, text in found.items() if text}


def field_of(error: BaseException) -> str | None:
    """Return the setting that an error message begins with; None if it is not one."""
    if not isinstance(error, SettingsError):
        return None
    first = str(error).partition(" ")[0]
    names = {field.name for field in dataclasses.fields(InitialModelSettings)}
    return first if first in names else None


def field_of_failure(error: BaseException) -> str | None:
    """Return the field that caused the error of a run; None if unknown."""
    if isinstance(error, SymmetryError):
        return "symmetry"
    if isinstance(error, DeviceError):
        return "device"
    if isinstance(error, InputError):
        return PARTICLES
    if isinstance(error, RunFolderError):
        return OUTPUT
    return field_of(error)


def _particle_problem(particles: str, report: CheckReport | None) -> str:
    if not particles:
        return "choose the particles: a STAR file, or a .cs file of cryoSPARC"
    if report is not None and report.path == Path(particles) and report.problems:
        return report.problems[0]
    if not Path(particles).is_file():
        return f"{particles} is not a file; choose a STAR file or a .cs file"
    return ""


def _output_problem(output: str) -> str:
    if not output:
        return "choose an output folder; it is created if it does not exist"
    folder = Path(output)
    if is_resumable(folder):
        return "the folder has an unfinished run; resume it, or choose another folder"
    if RunFolder(folder).outcome() == "SUCCESS":
        return "the folder has a finished run; choose another folder"
    return _error_text(lambda: RunFolder.check_free(folder))


def is_resumable(folder: Path) -> bool:
    """Tell whether a folder has an unfinished run that is not going on."""
    run = RunFolder(folder)
    is_unfinished = run.settings_path.is_file() and run.has_begun and run.outcome() != "SUCCESS"
    return is_unfinished and not is_locked(folder)


def _setting_problems(values: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    remaining = dict(values)
    while (problem := _first_problem(remaining)) is not None:
        name, text = problem
        found[name] = text
        del remaining[name]  # use its default, to find further problems
    found["symmetry"] = _symmetry_problem(values)
    if values["device"] != "auto":
        found["device"] = _error_text(lambda: check_device(values["device"]))
    if values.get("scratch"):
        found["scratch"] = _error_text(lambda: check_scratch([], Path(values["scratch"])))
    return {name: text for name, text in found.items() if text}


def _symmetry_problem(values: dict[str, Any]) -> str:
    names = ("symmetry", "symmetry_during_run")
    settings = InitialModelSettings(**{name: values[name] for name in names})
    try:
        check_symmetry(settings)
    except SymmetryError as error:
        return f"{error}, or {AUTO_SYMMETRY} to detect the symmetry"
    except SettingsError as error:
        return str(error)
    return ""


def _first_problem(values: dict[str, Any]) -> tuple[str, str] | None:
    try:
        InitialModelSettings(**values)
    except SettingsError as error:
        name = field_of(error)
        return (name, str(error)) if name in values else None
    return None


def _mask_problem(values: dict[str, Any], report: CheckReport) -> str:
    settings = InitialModelSettings(mask_diameter=values["mask_diameter"])
    return _error_text(lambda: check_mask(settings, report.box_size, report.pixel_size))


def _error_text(check: Callable[[], object]) -> str:
    """Return the error message of a check; empty if it passes."""
    try:
        check()
    except Ini3dError as error:
        return str(error)
    return ""


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
