"""Arguments that RELION gives to the program of an External job."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.errors import SettingsError
from napari_ini3d.io import ParticleFiles, parse_classes
from napari_ini3d.settings import InitialModelSettings, setting_types

_OUTPUT, _PARTICLES, _CLASSES = "o", "in_parts", "classes_2d"
_ALIASES = {  # RELION's names, where they have the same meaning and unit
    "j": "threads",
    "particle_diameter": "mask_diameter",
    "K": "classes",
    "sym": "symmetry",
    "iter": "iterations",
    "pad": "padding_factor",
    "preread_images": "preread",
    "scratch_dir": "scratch",
    "random_seed": "seed",
}
_IGNORED = "pipeline_control"  # RELION appends it to a command that contains "relion_"
_OTHER_INPUTS = ("in_movies", "in_mics", "in_coords", "in_3dref", "in_mask")
_TRUE, _FALSE = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True, slots=True)
class RelionArguments:
    """What an External job is to do.

    Attributes
    ----------
    files : ParticleFiles
        Input STAR file, and the classes of a 2D classification that are used.
    settings : InitialModelSettings
    unused : tuple of str
        Inputs that were given and have no meaning here.
    """

    files: ParticleFiles
    settings: InitialModelSettings
    unused: tuple[str, ...]


def find_output(words: Sequence[str]) -> str:
    """Return the folder of the job, also if other arguments are wrong.

    Raises
    ------
    SettingsError
        If it is not given.
    """
    flag = f"--{_OUTPUT}"
    place = words.index(flag) + 1 if flag in words else len(words)
    if place >= len(words) or words[place].startswith("--"):
        raise SettingsError(
            "no --o; expected the folder of the job, as RELION gives it: --o External/job012/"
        )
    return words[place]


def parse_arguments(words: Sequence[str]) -> RelionArguments:
    """Return the particles and the settings of a job.

    Parameters
    ----------
    words : sequence of str
        Arguments, as RELION gives them. Names are those of the settings, with ``_`` or ``-``
        between words, or of RELION where the meaning is the same. A setting without a value is
        switched on if it can be, and automatic otherwise.

    Raises
    ------
    SettingsError
        If there are no particles, a name is not known, a value is not possible, or a word belongs
        to no argument.
    """
    values = _split(words)
    settings: dict[str, Any] = {}
    unused = []
    for name, value in values.items():
        if name in _OTHER_INPUTS:
            unused.append(name)
        elif name not in (_OUTPUT, _PARTICLES, _CLASSES, _IGNORED):
            field, setting = _setting(name, value)
            settings[field] = setting
    particles = values.get(_PARTICLES)
    if not particles:
        raise SettingsError(
            "no --in_parts; expected a STAR file of particles: choose it as Input particles on the "
            "tab Input of the External job"
        )
    classes = values.get(_CLASSES)
    files = ParticleFiles(Path(particles), classes_2d=parse_classes(classes) if classes else ())
    return RelionArguments(files, InitialModelSettings(**settings), tuple(unused))


def _split(words: Sequence[str]) -> dict[str, str | None]:
    """Return the values of arguments by their name without ``--``; None where there is none."""
    values: dict[str, str | None] = {}
    name = None
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            name = _CLASSES if name.replace("-", "_") == _CLASSES else name
            values[name] = value or None
        elif name is None or values[name] is not None:
            raise SettingsError(f"found {word!r} without a name; expected --name value")
        else:
            values[name] = word or None
    return values


def _setting(name: str, value: str | None) -> tuple[str, Any]:
    """Return the name of a setting, and its value."""
    kinds = setting_types()
    field = _ALIASES.get(name, name.replace("-", "_"))
    if field not in kinds and field.removeprefix("no_") in kinds:
        field, value = field.removeprefix("no_"), value or "no"
    if field not in kinds:
        near = difflib.get_close_matches(field, [*kinds, *_ALIASES], 1)
        advice = f"did you mean {near[0]}?" if near else "`ini3d run --help` lists the settings"
        raise SettingsError(f"no setting has the name {name!r}; {advice}")
    kind = kinds[field]
    if kind.plain is bool:
        return field, _to_bool(name, value)
    if value is None:
        if kind.optional:
            return field, None
        raise SettingsError(f"--{name} has no value; give one, or leave the label empty, too")
    try:
        return field, kind.plain(value)
    except ValueError as error:
        expected = "a whole number" if kind.plain is int else "a number"
        raise SettingsError(f"--{name} is {value!r}; expected {expected}") from error


def _to_bool(name: str, value: str | None) -> bool:
    if value is None or value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise SettingsError(f"--{name} is {value!r}; expected Yes or No, or no value")
