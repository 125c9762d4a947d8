"""List of the files that a run wrote, so that the files of users are never deleted or replaced.

``outputs.txt`` has a line for each file, relative to the run folder; one that begins with ``- ``
takes a file off the list. A file that is not listed is not ours, whatever its name. The first
line says whose list it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from napari_ini3d.io import atomic_path
from napari_ini3d.runs.storage import explain_os_errors

logger = logging.getLogger(__name__)

NAME = "outputs.txt"
_HEADER = "# files of a run of ini3d; no others are replaced or deleted"
_REMOVED = "- "


def read_outputs(folder: Path) -> set[str] | None:
    """Return the listed names; None if there is no list, as in runs of early versions.

    Names that lead out of the folder are ignored: no run wrote them.
    """
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    names: set[str] = set()
    for line in lines:
        if line.startswith(_REMOVED):
            names.discard(line.removeprefix(_REMOVED))
        elif line and line != _HEADER and _is_inside(line):
            names.add(line)
    return names


def has_list(folder: Path) -> bool:
    """Return whether a folder has a list of outputs of ours."""
    try:
        with (folder / NAME).open(encoding="utf-8", errors="replace") as file:
            return file.readline(200).strip() == _HEADER
    except OSError:
        return False


def begin_list(folder: Path) -> None:
    """Write a list without files, if there is none: from then on the folder is ours."""
    path = folder / NAME
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_text(f"{_HEADER}\n", encoding="utf-8")


def claim(folder: Path, paths: Iterable[Path]) -> None:
    """List files before they are written; a file that is there and not listed is renamed.

    Raises
    ------
    RunFolderError
        If the list cannot be written.
    """
    listed = read_outputs(folder) or set()
    new = {name: path for path in paths if (name := _name(folder, path)) not in listed}
    for path in new.values():
        if os.path.lexists(path):  # a link that points nowhere, too
            _rename(path)
    _append(folder, list(new))


def append_outputs(folder: Path, paths: Iterable[Path]) -> None:
    """List files that are there as outputs."""
    _append(folder, [_name(folder, path) for path in paths])


def remove_listed(folder: Path, paths: Iterable[Path]) -> None:
    """Delete those of the files that are listed, and take them off the list.

    Raises
    ------
    RunFolderError
        If a file cannot be deleted.
    """
    listed = read_outputs(folder) or set()
    names = [name for path in paths if (name := _name(folder, path)) in listed]
    for name in names:
        with explain_os_errors(folder / name):
            (folder / name).unlink(missing_ok=True)
    _append(folder, [_REMOVED + name for name in names])


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or PureWindowsPath(name).anchor)


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _append(folder: Path, lines: list[str]) -> None:
    if not lines:
        return
    path = folder / NAME
    with explain_os_errors(path), path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            lines = [_HEADER, *lines]
        else:
            file.seek(size - 1)
            if file.read(1) != b"\n":  # a line that was truncated by a crash
                lines = ["", *lines]
        file.write("".join(f"{line}\n" for line in lines).encode())


def _rename(path: Path) -> None:
    """Rename a file of the user that has the name of an output."""
    kept = path.with_name(f"{path.stem}.kept{path.suffix}")
    number = 1
    while os.path.lexists(kept):
        number += 1
        kept = path.with_name(f"{path.stem}.kept{number}{path.suffix}")
    with explain_os_errors(path):
        path.rename(kept)
    logger.warning("%s was not written by this run; it is kept as %s", path, kept.name)
