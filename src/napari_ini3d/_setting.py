"""One setting: its default, help, unit and bounds, and the check of a value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from napari_ini3d.errors import SettingsError

Group = Literal["I/O", "CTF", "Optimisation", "Sampling", "Compute"]

_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """Description of a setting for forms, command-line options and tables."""

    group: Group
    help: str
    unit: str = ""
    words: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[float, ...] = ()
    relion: str = ""


def setting(default: Any, group: Group, text: str, **info: Any) -> Any:
    """Return the field of a dataclass with the description of the setting in its metadata.

    Parameters
    ----------
    default : Any
    group : Group
    text : str
        Help.
    **info
        Further fields of `FieldInfo`.
    """
    return dataclasses.field(
        default=default, metadata={"info": FieldInfo(group=group, help=text, **info)}
    )


def check_field(name: str, value: Any, info: FieldInfo) -> None:
    """Refuse a value that is out of the bounds of a setting, or not one of its choices.

    Raises
    ------
    SettingsError
    """
    if info.choices and value not in info.choices:
        listed = ", ".join(f"{choice:g}" for choice in info.choices)
        raise SettingsError(f"{name} is {value!r}; choose one of {listed}")
    if info.words and value not in info.words:
        raise SettingsError(f"{name} is {value!r}; choose one of {', '.join(info.words)}")
    if value is None or isinstance(value, (str, bool)):
        return
    if not abs(value) < _LARGEST:
        raise SettingsError(f"{name} is {_short(value)}; expected a finite number below 2^63")
    low, high = info.minimum, info.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        unit = f" {info.unit}" if info.unit else ""
        bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise SettingsError(f"{name} is {value:g}{unit}; it must be {bounds}{unit}")


def _short(value: float) -> str:
    """Return a number; an integer that is too large for a float by its length."""
    if isinstance(value, float):
        return f"{value:g}"
    return f"a number of {value.bit_length()} bits" if abs(value) >= _LARGEST else f"{value}"
