"""Output files of a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_ini3d.errors import SettingsError


def refuse_overwriting(targets: Sequence[Path], inputs: Iterable[Path | None]) -> None:
    """Raise `SettingsError` if an output is also an input, or given twice."""
    read = [path.resolve() for path in inputs if path is not None]
    places = [path.resolve() for path in targets]
    for target, place in zip(targets, places, strict=True):
        if place in read:
            raise SettingsError(f"{target} is read by this command; give another file to write")
        if places.count(place) > 1:
            raise SettingsError(f"{target} would be written twice; give two files")
