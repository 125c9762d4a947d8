"""Record of a run: its particles, settings, and what was decided before it began."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.io import ParticleFiles
from napari_ini3d.settings import (
    STORED_VERSION,
    InitialModelSettings,
    check_types,
    from_stored,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Contents of `settings.json`.

    Attributes
    ----------
    version : str
        Version of the package that started the run.
    command : str
        Command line that started the run; empty if it was started from Python.
    started : str
        ISO 8601, local time with its offset.
    particles : str
        Absolute path of the particle file.
    particles_sha256 : str
        Hash of the particle file, with its passthrough files; a run is resumed only if it has not
        changed.
    n_particles : int
        Rows of the particle file, without those of other classes.
    passthrough : tuple of str
        Absolute paths of passthrough files of cryoSPARC.
    project : str
        Absolute path of the folder to which the paths of stacks are relative; empty to search.
    classes_2d : tuple of int
        Classes whose particles are used, numbered as in the particle file; all if it is empty.
    class_averages : bool
        True if each image of a stack of class averages is used as a particle.
    excluded : tuple of int
        Rows of excluded particles, from 0.
    mask_estimated : bool
        True if the mask diameter was estimated from the images.
    contrast : str
        Of the particles, as measured or as their file says, such as "black on white"; empty if it
        was not measured.
    inversion_measured : bool
        True if the contrast decided whether the images are inverted (`settings.invert_contrast`).
    n_mended, n_replaced_pixels : int
        Images with outlier pixels, which were replaced, and the number of these pixels.
    n_uneven : int
        Images with a step or a steep gradient of the background.
    working_pixel_size : float or None
        Å, to which the images are resampled; None if they are not.
    cluster : str
        On which the run was started or resumed last, as for ``ini3d run --cluster``; empty for one
        machine.
    settings : InitialModelSettings
        With the mask diameter and the inversion of the contrast resolved.
    """

    version: str
    command: str
    started: str
    particles: str
    particles_sha256: str
    n_particles: int
    passthrough: tuple[str, ...] = ()
    project: str = ""
    classes_2d: tuple[int, ...] = ()
    class_averages: bool = False
    excluded: tuple[int, ...] = ()
    mask_estimated: bool = False
    contrast: str = ""
    inversion_measured: bool = False
    n_mended: int = 0
    n_replaced_pixels: int = 0
    n_uneven: int = 0
    working_pixel_size: float | None = None
    cluster: str = ""
    settings: InitialModelSettings

    @property
    def particle_files(self) -> ParticleFiles:
        """The particle file, with all that the run was given to read it."""
        return ParticleFiles(
            Path(self.particles),
            tuple(Path(path) for path in self.passthrough),
            Path(self.project) if self.project else None,
            classes_2d=self.classes_2d,
            class_averages=self.class_averages,
        )


def format_record(record: RunRecord) -> str:
    """Return the text of `settings.json`."""
    values = {"settings_version": STORED_VERSION, **asdict(record)}
    return json.dumps(values, indent=2) + "\n"


def parse_record(text: str) -> RunRecord:
    """Read the text of `settings.json`.

    Raises
    ------
    ValueError, TypeError, KeyError, SettingsError
        If it is not the record of a run.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or not isinstance(data["settings"], dict):
        raise ValueError("it holds no settings")
    values = from_stored(data.pop("settings"), data.pop("settings_version", None))
    check_types(values)
    data["excluded"] = tuple(data["excluded"])
    for name in ("passthrough", "classes_2d"):
        data[name] = tuple(data.get(name, ()))
    record = RunRecord(settings=InitialModelSettings(**values), **data)
    for field in dataclasses.fields(RunRecord):
        value = getattr(record, field.name)
        if field.name != "settings" and not _CHECKS[str(field.type)](value):
            raise ValueError(f"{field.name} is {value!r:.60}")
    if any(row >= record.n_particles for row in record.excluded):
        raise ValueError("excluded has rows beyond the last one")
    return record


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": _is_count,
    "tuple[str, ...]": lambda texts: all(isinstance(text, str) for text in texts),
    "tuple[int, ...]": lambda rows: all(_is_count(row) for row in rows),
    "float | None": lambda value: (
        value is None or (isinstance(value, (int, float)) and math.isfinite(value) and value > 0)
    ),
}
