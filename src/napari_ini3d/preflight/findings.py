"""Findings of the checks before a run: errors, warnings and notes, each with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_ini3d._types import BoolArray
from napari_ini3d.errors import InputError, StackError, StarError
from napari_ini3d.particles import Particles

Level = Literal["error", "warning", "note"]

_ROWS_LISTED = 10
_ROWS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that the checks found.

    Attributes
    ----------
    code : str
        Short and stable, such as "defocus-unit".
    level : {"error", "warning", "note"}
        A run does not start with an error.
    message : str
        What was found, and what was expected.
    advice : str
        What to do.
    count : int
        Particles, images or stacks concerned; 0 where it concerns the file.
    rows : tuple of int
        The first ten rows of the particle file concerned, from 1.
    """

    code: str
    level: Level
    message: str
    advice: str = ""
    count: int = 0
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the finding as a sentence."""
        text = self.message
        if self.rows:
            shown = ", ".join(map(str, self.rows[:_ROWS_SHOWN]))
            more = ", ..." if self.count > min(len(self.rows), _ROWS_SHOWN) else ""
            text += f" (row{'s' if self.count > 1 else ''} {shown}{more})"
        return f"{text}; {self.advice}" if self.advice else text

    def to_json(self) -> dict[str, Any]:
        """Return the finding as values that JSON can hold."""
        return {
            "code": self.code,
            "level": self.level,
            "message": self.message,
            "advice": self.advice,
            "count": self.count,
            "rows": list(self.rows),
        }


def rows_of(particles: Particles, concerned: BoolArray) -> tuple[int, ...]:
    """Return the first ten rows of the file, from 1, of the particles (N,) that are concerned."""
    return tuple(particles.file_rows(np.flatnonzero(concerned)[:_ROWS_LISTED]).tolist())


def finding_of(error: InputError) -> Finding:
    """Return an error of the readers as a finding; its last clause says what to do."""
    code = "stack" if isinstance(error, StackError) else "particles"
    message, separator, advice = str(error).rpartition("; ")
    if not separator:
        message, advice = advice, ""
    return Finding(code=code, level="error", message=message, advice=advice, count=1)


def with_strict(findings: Iterable[Finding], *, strict: bool) -> tuple[Finding, ...]:
    """Return findings, with warnings as errors if `strict`."""
    return tuple(
        replace(found, level="error") if strict and found.level == "warning" else found
        for found in findings
    )


def raise_errors(findings: Sequence[Finding]) -> None:
    """Raise the errors among findings as one.

    Raises
    ------
    InputError
        StarError if only the STAR file is wrong.
    """
    errors = [found for found in findings if found.level == "error"]
    if errors:
        kind = StarError if all(found.code != "stack" for found in errors) else InputError
        raise kind("\n".join(map(str, errors)))
