"""Scratch copies on a fast local disk: whole stacks, or images that have been resampled."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from napari_ini3d._types import UInt32
from napari_ini3d.errors import RunFolderError, StackError
from napari_ini3d.io.files import atomic_path, nearest_folder, remove_abandoned, write_error
from napari_ini3d.particles import ImageBatch, Particles

logger = logging.getLogger(__name__)

SCRATCH_SUFFIX = ".images"
"""Of a file of resampled images."""

_GIB = 2**30
_RESAMPLING_VERSION = 3  # to be increased when the images in these files change


def copy_to_scratch(
    stacks: Sequence[Path], folder: Path, *, between: Callable[[], object] = lambda: None
) -> tuple[Path, ...]:
    """Copy stacks to a local folder, unless an unchanged copy exists.

    The name of a copy contains a hash of the path of the stack, so that stacks with the same name
    do not collide. A copy is unchanged if size and time of modification agree.

    Parameters
    ----------
    stacks : sequence of Path
    folder : Path
        Created if it does not exist.
    between : callable
        Called before each copy; it may raise to cancel.

    Returns
    -------
    tuple of Path
        Copies in the order of `stacks`.

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
            shutil.copyfile(stack, temporary)
            original = stack.stat()  # not its permissions: Windows replaces no read-only file
            os.utime(temporary, ns=(original.st_atime_ns, original.st_mtime_ns))
    logger.info("%s: %d of %d stack(s) copied", folder, len(outdated), len(stacks))
    return tuple(folder / _scratch_name(stack) for stack in stacks)


def check_scratch(stacks: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Return the stacks that have to be copied, each with the path of its copy.

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
    """Return the path of the scratch file for resampled images of particles.

    The name contains a hash of everything that determines the images: the stacks with size and
    time of modification, the selection and order of the images, and both grids.

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
        If the file does not exist yet, and the folder cannot be written or its disk has too
        little free space.
    StackError
        If a stack is missing.
    """
    name = f"{_digest(particles, box_size, pixel_size)}_{box_size}px{SCRATCH_SUFFIX}"
    path, needed = folder / name, (4 * box_size**2 + 4) * len(particles)
    if path.is_file() and path.stat().st_size != needed:
        logger.warning("%s has a wrong size; it is written again", path)
        path.unlink()
    if not path.is_file():
        _check_free_space(needed, "resampled images", _writable_part(folder))
    return path


def write_scratch_images(path: Path, batches: Iterable[ImageBatch], n_images: int) -> None:
    """Write images as float32 without a header, and their CRC-32, completely or not at all.

    Parameters
    ----------
    path : Path
    batches : iterable of ImageBatch
        Of all images, in order.
    n_images : int

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    StackError
        If images are missing from the batches.
    """
    _make_folder(path.parent)
    checksums: list[int] = []
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for batch in batches:
            images = np.ascontiguousarray(batch.images)
            file.write(images.data)
            checksums += [zlib.crc32(image.data) for image in images]
        if len(checksums) != n_images:
            raise StackError(
                f"{n_images - len(checksums)} images have become constant or not finite since the "
                "run was started; restore the stacks, or run without scratch"
            )
        file.write(np.array(checksums, "<u4").data)


def read_scratch_checksums(path: Path, n_images: int) -> UInt32:
    """Return the CRC-32 of the images of a scratch file."""
    return np.fromfile(path, "<u4", n_images, offset=path.stat().st_size - 4 * n_images)


def _digest(particles: Particles, box_size: int, pixel_size: float) -> str:
    used = np.unique(particles.stack_index).tolist()
    grids = [(group.box_size, group.pixel_size) for group in particles.optics]
    stacks = [(stack, _state(particles.stack_paths[stack])) for stack in used]
    digest = hashlib.sha256(
        repr((_RESAMPLING_VERSION, box_size, pixel_size, grids, stacks)).encode()
    )
    for column in (particles.stack_index, particles.image_index, particles.optics_index):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def _state(stack: Path) -> tuple[str, int, int]:
    status = _status(stack)
    return str(stack.resolve()), status.st_size, status.st_mtime_ns


def _writable_part(folder: Path) -> Path:
    """Return the existing part of a folder's path.

    Raises
    ------
    RunFolderError
        If it is a file, or cannot be written.
    """
    parent = nearest_folder(folder)
    if not parent.is_dir():
        raise RunFolderError(f"{parent} is a file; give a folder as scratch")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"no permission to write in {parent}; choose another scratch folder, or run without one"
        )
    return parent


def _make_folder(folder: Path) -> None:
    """Make a folder, and remove the parts of copies that killed runs left in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
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
