"""Note of a user on a run: `note.txt` in its folder, plain text."""

from __future__ import annotations

import logging

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import atomic_path
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.removal import adopt_outputs
from napari_ini3d.runs.storage import explain_os_errors

logger = logging.getLogger(__name__)

NOTE_NAME = "note.txt"
_MOST_CHARACTERS = 10_000  # of a note; anything may have the name of its file


def read_note(folder: RunFolder) -> str:
    """Return the note on a run; empty if there is none, or it cannot be read, which is logged."""
    path = folder.path / NOTE_NAME
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

    A `note.txt` that this program has not written is kept under another name.

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
    if not text.strip():
        folder.remove_outputs(path)
        return
    with atomic_path(path) as temporary:
        temporary.write_text(text.strip() + "\n", encoding="utf-8")
