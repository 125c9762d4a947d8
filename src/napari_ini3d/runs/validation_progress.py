"""How far the validation of a run is, for programs that follow it; removed when the run ends."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import explain_os_errors

logger = logging.getLogger(__name__)

ValidationPart = Literal["half-sets", "repeated search"]


@dataclass(frozen=True, slots=True)
class ValidationProgress:
    """How far a validation is.

    Attributes
    ----------
    part : {"half-sets", "repeated search"}
        In their order.
    share : float
        Of this part, from 0 to 1.
    """

    part: ValidationPart
    share: float


def write_validation_progress(folder: RunFolder, progress: ValidationProgress) -> None:
    """Write how far the validation is; a failure is logged, since it is only displayed."""
    path = _path(folder)
    try:
        folder.claim(path)
        with explain_os_errors(path), atomic_path(path, durable=False) as temporary:
            temporary.write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")
    except RunFolderError as error:
        logger.warning("the validation cannot be followed (%s); it goes on", error)


def read_validation_progress(folder: RunFolder) -> ValidationProgress | None:
    """Return how far the validation is; None if it has not begun, or cannot be read."""
    try:
        found = json.loads(_path(folder).read_text(encoding="utf-8"))
        part, share = found["part"], float(found["share"])
        if part not in get_args(ValidationPart) or not 0 <= share <= 1:
            raise ValueError(f"{part!r}, {share}")
        return ValidationProgress(part, share)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:  # replaced on another machine
        logger.debug("%s cannot be read: %s", _path(folder), error)
        return None


def remove_validation_progress(folder: RunFolder) -> None:
    """Delete the file when the run ends; a failure is logged."""
    try:
        folder.remove_outputs(_path(folder))
    except RunFolderError as error:
        logger.warning("the progress of the validation is not deleted (%s); it does no harm", error)


def _path(folder: RunFolder) -> Path:
    return folder.path / "validation_progress.json"
