"""Note of a user on a run: `run_note.txt` in its folder, plain text.

RELION has a `note.txt` of its own in the folder of a job, which is never read or written. In runs
of early versions the note has that name, too, and is on the list of outputs.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.removal import adopt_outputs
from napari_ini3d.runs.storage import explain_os_errors

logger = logging.getLogger(__name__)

NOTE_NAME = "run_note.txt"
_EARLY_NAME = "note.txt"
_MOST_CHARACTERS = 10_000  # of a note; anything may have the name of its file


def read_note(folder: RunFolder) -> str:
    """Return the note on a run; empty if there is none, or it cannot be read, which is logged."""
    path = _note_path(folder)
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_CHARACTERS).strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        logger.warning("the note %s cannot be read (%s); it is ignored", path, error)
        return ""


def write_note(folder: RunFolder, text: str) -> None:
    """Replace the note on a run; an empty text removes it.

    A `run_note.txt` that this program has not written is kept under another name; a note in the
    file of early versions is moved.

    Raises
    ------
    RunFolderError
        If it cannot be written, or has more than 10 000 characters.
    """
    count = len(text.strip())
    if count > _MOST_CHARACTERS:
        raise RunFolderError(
            f"the note on {folder.path} has {count} characters; expected at most "
            f"{_MOST_CHARACTERS}; shorten it"
        )
    path = folder.path / NOTE_NAME
    with explain_os_errors(path):
        adopt_outputs(folder)
        folder.claim(path)
    early = folder.path / _EARLY_NAME
    if not text.strip():
        folder.remove_outputs(path, early)
        return
    with atomic_path(path) as temporary:
        temporary.write_text(text.strip() + "\n", encoding="utf-8")
    folder.remove_outputs(early)


def _note_path(folder: RunFolder) -> Path:
    """Return the file of the note, which an early version may have written under another name."""
    path = folder.path / NOTE_NAME
    early = folder.path / _EARLY_NAME
    with suppress(OSError):  # a list that cannot be read
        if not path.exists() and early in folder.outputs():
            return early
    return path
