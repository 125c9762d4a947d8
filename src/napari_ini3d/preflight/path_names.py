"""Names of files and folders that STAR files can hold."""

from __future__ import annotations

from pathlib import Path

from napari_ini3d.errors import SettingsError

_BAD_SIGNS = {"\n": "a line break", "\r": "a line break", '"': "a double quote"}


def check_path_name(path: Path) -> None:
    """Raise `SettingsError` for a path that cannot be written to STAR files and read back."""
    name = str(path.absolute())
    try:
        name.encode("utf-8")
        found = next((kind for sign, kind in _BAD_SIGNS.items() if sign in name), None)
    except UnicodeEncodeError:
        found = "bytes that are not UTF-8"
    if found is not None:
        raise SettingsError(
            f"{name!r} has {found}; expected a path that STAR files can hold; rename the file or "
            "folder"
        )
