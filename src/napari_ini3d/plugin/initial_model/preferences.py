"""Defaults for new runs from napari's Preferences."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from napari_ini3d.errors import SettingsError
from napari_ini3d.plugin import is_sample
from napari_ini3d.plugin.viewer import read_preference
from napari_ini3d.settings import InitialModelSettings

logger = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(.*)_(\d+)")
_PLACES = {
    "device": ("compute", "device"),
    "threads": ("compute", "threads"),
    "iterations": ("runs", "iterations"),
    "starts": ("runs", "starts"),
    "write_every": ("runs", "write_every"),
}


def preferred_settings() -> InitialModelSettings:
    """Return the defaults for a new run."""
    found = {name: read_preference(*place) for name, place in _PLACES.items()}
    known = {name: value for name, value in found.items() if value is not None}
    try:
        return InitialModelSettings(**known)
    except (SettingsError, TypeError) as error:
        logger.warning(
            "the preferences of the plugin are ignored (%s); the defaults are used", error
        )
        return InitialModelSettings()


def preferred_output(star: Path) -> Path:
    """Return a free output folder for a run on particles.

    It is in the folder of Preferences, or else beside the particles. For a sample, which is kept
    in the cache, it is in the user's home.
    """
    chosen = read_preference("runs", "output")
    beside = Path.home() / "ini3d-samples" / star.parent.name if is_sample(star) else star.parent
    return next_folder(Path(chosen or beside) / "ini3d_000")


def next_folder(folder: Path) -> Path:
    """Return the next free folder: ``run`` or ``run_001`` gives ``run_002``.

    A name without a number counts as the first.
    """
    match = _NUMBERED.fullmatch(folder.name)
    stem, number = (match[1], int(match[2])) if match else (folder.name, 1)
    while (found := folder.with_name(f"{stem}_{number + 1:03d}")).exists():
        number += 1
    return found
