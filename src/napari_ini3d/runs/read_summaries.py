"""Reading of the iterations of a run, without those whose lines are damaged."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.summary import IterationSummary

logger = logging.getLogger(__name__)

_NUMBERS = {"int": int, "float": (int, float), "str": str, "bool": bool}


def read_summaries(folder: RunFolder) -> list[IterationSummary]:
    """Return the iterations of a run; an incomplete line is logged and ignored.

    Raises
    ------
    RunFolderError
        If the lines are of another version.
    """
    return parse_summaries(folder.read_progress(), folder.progress_path.name)


def parse_summaries(lines: Iterable[Mapping[str, Any]], name: str) -> list[IterationSummary]:
    """Return the iterations of the lines of a file; an incomplete line is logged and ignored.

    Parameters
    ----------
    lines : iterable of mapping
        As `parse_lines` returns them.
    name : str
        Of the file, for the log.
    """
    summaries = []
    for line in lines:
        try:
            summary = IterationSummary.from_json(line)
            _check(summary)
        except (KeyError, TypeError, ValueError) as error:
            logger.warning(
                "%s: the line of iteration %d is damaged (%r); it is ignored",
                name,
                line["iteration"],
                error,
            )
            continue
        summaries.append(summary)
    return summaries


def _check(summary: IterationSummary) -> None:
    """Raise `ValueError` for values of another type, or lists of different lengths."""
    for field in fields(summary):
        value, kind = getattr(summary, field.name), str(field.type)
        if kind in _NUMBERS:
            is_right = isinstance(value, _NUMBERS[kind])  # type: ignore[arg-type]
        elif kind == "list[float]":
            is_right = _are_numbers(value)
        elif kind == "list[list[float]]":
            is_right = isinstance(value, list) and all(map(_are_numbers, value))
        else:
            is_right = isinstance(value, dict) and _are_numbers(list(value.values()))
        if not is_right:
            raise ValueError(field.name)
    per_class = ("resolution", "class_shares", "map_change", "fsc", "ssnr")
    lengths = {len(getattr(summary, name)) for name in per_class}
    if len(lengths) != 1 or 0 in lengths or len({len(curve) for curve in summary.fsc}) != 1:
        raise ValueError("the classes differ in length")


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, (int, float)) for value in values)
