"""Whether a new run may be written to a folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import is_temporary, nearest_folder
from napari_ini3d.runs.commands import resume_command
from napari_ini3d.runs.lock import LOCK_NAME, check_unlocked
from napari_ini3d.runs.output_list import has_list

_OF_THE_DESKTOP = {".DS_Store", ".directory", "Thumbs.db", "desktop.ini"}
_MARK = "RELION_JOB_EXIT_"


def check_free(path: Path, *, overwrite: bool = False, locked: bool = False) -> None:
    """Raise `RunFolderError` unless a new run can be written to a folder.

    Parameters
    ----------
    path : Path
        Free if it does not exist, is empty, or holds a run that ended before its first iteration.
    overwrite : bool
        Accept a folder with an earlier run. One with files of others only is always refused.
    locked : bool
        Whether the caller holds the lock of the folder.
    """
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path} is a file; give a folder as output")
    parent = nearest_folder(path)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"no permission to write in {parent}; change its permissions or give another "
            "folder as output"
        )
    if not path.is_dir():
        return
    if not locked:
        check_unlocked(path)
    ignored = {*_OF_THE_DESKTOP, LOCK_NAME}
    names = sorted(child.name for child in path.iterdir() if child.name not in ignored)
    if all(is_temporary(name) for name in names):
        return
    if not is_ours(path):
        raise RunFolderError(
            f"{path} is not empty (it has {_listed(names)}), and holds no run of ini3d; expected a "
            "new or empty folder; give another one as output"
        )
    if _has_begun(path, names) and not overwrite:
        raise RunFolderError(
            f"{path} already holds a run; continue it with `{resume_command(path)}`, "
            "give another folder as output, or delete the files of that run with --overwrite"
        )


def check_space(path: Path, n_bytes: int) -> None:
    """Raise `RunFolderError` if fewer than `n_bytes` are free on the disk of `path`."""
    free = shutil.disk_usage(nearest_folder(path)).free
    if free < n_bytes:
        raise RunFolderError(
            f"{path} has {free / 1e6:.1f} MB free; an iteration needs about "
            f"{n_bytes / 1e6:.1f} MB; free some disk space or give another folder as output"
        )


def is_ours(path: Path) -> bool:
    """Return whether a folder has the record of a run, or its list of outputs."""
    if has_list(path):
        return True
    try:
        record = json.loads((path / "settings.json").read_text(encoding="utf-8"))
        return all(name in record for name in ("settings", "particles", "particles_sha256"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def _has_begun(path: Path, names: list[str]) -> bool:
    """Return whether a run has done an iteration, or may still be in its first one."""
    if {"checkpoint.npz", "initial_model.mrc"} & set(names) or any(path.glob("run_it*")):
        return True
    return "settings.json" in names and not any(name.startswith(_MARK) for name in names)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
