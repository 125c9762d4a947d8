"""Copies of stacks on a fast local disk, or of the images as a run works on them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from napari_ini3d.errors import RunFolderError, StackError
from napari_ini3d.io.files import atomic_path, nearest_folder, write_error
from napari_ini3d.particles import ImageBatch, Particles

logger = logging.getLogger(__name__)

_GIB = 2**30
_WAY = 1  # of resampling; to be raised when images come out differently


def copy_to_scratch(
    stacks: Sequence[Path], folder: Path, *, between: Callable[[], object] = lambda: None
) -> tuple[Path, ...]:
    """Copy stacks to a local folder; those that lie there unchanged are not copied again.

    A copy's name holds a digest of where the stack came from, so that stacks of the same name do
    not meet; it counts as unchanged when size and time of modification agree.

    Parameters
    ----------
    stacks : sequence of Path
    folder : Path
        Made if it does not exist.
    between : callable
        Called before each copy; to leave, it raises.

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
        between()
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
    parent = _writable_part(folder)
    pairs = ((stack, folder / _scratch_name(stack)) for stack in stacks)
    outdated = [(stack, copy) for stack, copy in pairs if not _is_unchanged(stack, copy)]
    _check_free_space(sum(stack.stat().st_size for stack, _ in outdated), "stacks", parent)
    return outdated


def check_scratch_images(
    particles: Particles, box_size: int, pixel_size: float, folder: Path
) -> Path:
    """Return where the images of some particles lie, or will lie, brought to one grid.

    The name holds a digest of all they depend on: the stacks with size and time of modification,
    which images of them in which order, their grids, and the new one.

    Parameters
    ----------
    particles : Particles
    box_size : int
        Pixels per side.
    pixel_size : float
        Å.
    folder : Path

    Raises
    ------
    RunFolderError
        If they are not there yet, and the folder cannot be written, or its disk has too little
        free space.
    StackError
        If a stack is missing.
    """
    path = folder / f"{_digest(particles, box_size, pixel_size)}_{box_size}px.images"
    if not path.is_file():
        needed = 4 * box_size**2 * len(particles)
        _check_free_space(needed, "resampled images", _writable_part(folder))
    return path


def write_scratch_images(path: Path, batches: Iterable[ImageBatch]) -> None:
    """Write images one after the other, as float32 without a header; the whole file or nothing.

    Raises
    ------
    RunFolderError
        If it cannot be written.
    """
    _make_folder(path.parent)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for batch in batches:
            file.write(np.ascontiguousarray(batch.images).data)


def _digest(particles: Particles, box_size: int, pixel_size: float) -> str:
    used = np.unique(particles.stack_index).tolist()
    grids = [(group.box_size, group.pixel_size) for group in particles.optics]
    stacks = [(stack, _state(particles.stack_paths[stack])) for stack in used]
    digest = hashlib.sha256(repr((_WAY, box_size, pixel_size, grids, stacks)).encode())
    for column in (particles.stack_index, particles.image_index, particles.optics_index):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def _state(stack: Path) -> tuple[str, int, int]:
    status = _status(stack)
    return str(stack.resolve()), status.st_size, status.st_mtime_ns


def _writable_part(folder: Path) -> Path:
    """Return what exists of a folder that is to be made, and may be written."""
    parent = nearest_folder(folder)
    if not parent.is_dir():
        raise RunFolderError(f"{parent} is a file; give a folder as scratch")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"no permission to write in {parent}; choose another scratch folder, or run without one"
        )
    return parent


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def _scratch_name(stack: Path) -> str:
    digest = hashlib.sha256(str(stack.resolve()).encode()).hexdigest()[:16]
    return f"{digest}_{stack.name}"


def _status(stack: Path) -> os.stat_result:
    try:
        return stack.stat()
    except OSError as error:
        raise StackError(f"{stack}: cannot be read ({error.strerror}); check the path") from error


def _is_unchanged(stack: Path, copy: Path) -> bool:
    original = _status(stack)
    if not copy.is_file():
        return False
    copied = copy.stat()
    return (original.st_size, original.st_mtime_ns) == (copied.st_size, copied.st_mtime_ns)


def _check_free_space(needed: int, what: str, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunFolderError(
            f"{folder}: {needed / _GIB:.2f} GiB needed for the {what}, {free / _GIB:.2f} GiB free; "
            "free some space, choose another scratch folder, or run without one"
        )
