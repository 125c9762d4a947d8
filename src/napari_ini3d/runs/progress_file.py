"""Lines of `progress.jsonl`: one per iteration, in JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_ini3d.errors import RunFolderError

logger = logging.getLogger(__name__)

PROGRESS_VERSION = 2
"""Version of the lines of `progress.jsonl`; the first ones had none."""


def format_progress(line: Mapping[str, Any]) -> str:
    """Return a line as it is written."""
    return json.dumps({"version": PROGRESS_VERSION, **line}, allow_nan=False) + "\n"


def parse_progress(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; damaged lines are logged and ignored.

    Raises
    ------
    RunFolderError
        If a line has another version than `PROGRESS_VERSION`, or none.
    """
    try:
        texts = path.read_bytes().decode("utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("%s cannot be read (%s); it is ignored", path, error.strerror)
        return []
    return parse_lines(texts, path)


def parse_lines(texts: Iterable[str], path: Path) -> list[dict[str, Any]]:
    """Return the lines of a text of a file; damaged ones are logged and ignored.

    Raises
    ------
    RunFolderError
        If a line has another version than `PROGRESS_VERSION`, or none.
    """
    lines = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        line = _parse(text)
        if line is None:
            logger.warning("%s: line %d is damaged; it is ignored", path.name, number)
            continue
        version = line.pop("version", None)
        if version != PROGRESS_VERSION:
            raise RunFolderError(_wrong_version(path, number, version))
        lines.append(line)
    return lines


def _parse(text: str) -> dict[str, Any] | None:
    """Return a line; None if it is damaged."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    iteration = line.get("iteration")
    is_number = isinstance(iteration, int) and not isinstance(iteration, bool) and iteration > 0
    return line if is_number else None


def _wrong_version(path: Path, number: int, version: object) -> str:
    found = "no version number" if version is None else f"version {version}"
    return (
        f"{path} cannot be used: line {number} has {found}; expected version "
        f"{PROGRESS_VERSION}; open the run with the version of napari-ini3d that made it, or "
        "start it again in another folder"
    )
