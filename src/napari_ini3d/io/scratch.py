"""Copies of stacks on a fast local disk."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from napari_ini3d.errors import RunFolderError, StackError
from napari_ini3d.io.files import atomic_path, nearest_folder, write_error

logger = logging.getLogger(__name__)

_GIB = 2**30


def copy_to_scratch(stacks: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Copy stacks to a local folder; those that lie there unchanged are not copied again.

    A copy's name holds a digest of where the stack came from, so that stacks of the same name do
    not meet; it counts as unchanged when size and time of modification agree.

    Parameters
    ----------
    stacks : sequence of Path
    folder : Path
        Made if it does not exist.

    Returns
    -------
    tuple of Path
        The copies, in the order of `stacks`.

    Raises
    ------
    RunFolderError
        If the folder cannot be written, or its disk has too little free space.
    StackError
        If a stack is missing.
    """
    outdated = check_scratch(stacks, folder)
    _make_folder(folder)
    for stack, copy in outdated:
        with atomic_path(copy) as temporary:
            shutil.copy2(stack, temporary)
    logger.info("%s: %d of %d stack(s) copied", folder, len(outdated), len(stacks))
    return tuple(folder / _scratch_name(stack) for stack in stacks)


def check_scratch(stacks: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Return the stacks that have to be copied, each with its copy; nothing is written.

    Raises
    ------
    RunFolderError
        If the folder cannot be written, or its disk has too little free space.
    StackError
        If a stack is missing.
    """
    parent = nearest_folder(folder)
    if not parent.is_dir():
        raise RunFolderError(f"{parent} is a file; give a folder as scratch")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"no permission to write in {parent}; choose another scratch folder, or run without one"
        )
    pairs = ((stack, folder / _scratch_name(stack)) for stack in stacks)
    outdated = [(stack, copy) for stack, copy in pairs if not _is_unchanged(stack, copy)]
    _check_free_space(outdated, parent)
    return outdated


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def _scratch_name(stack: Path) -> str:
    digest = hashlib.sha256(str(stack.resolve()).encode()).hexdigest()[:16]
    return f"{digest}_{stack.name}"


def _is_unchanged(stack: Path, copy: Path) -> bool:
    try:
        original = stack.stat()
    except OSError as error:
        raise StackError(f"{stack}: cannot be read ({error.strerror}); check the path") from error
    if not copy.is_file():
        return False
    copied = copy.stat()
    return (original.st_size, original.st_mtime_ns) == (copied.st_size, copied.st_mtime_ns)


def _check_free_space(outdated: list[tuple[Path, Path]], folder: Path) -> None:
    needed = sum(stack.stat().st_size for stack, _ in outdated)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunFolderError(
            f"{folder}: {needed / _GIB:.2f} GiB needed for the stacks, {free / _GIB:.2f} GiB free; "
            "free some space, choose another scratch folder, or run without one"
        )
